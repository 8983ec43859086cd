// Choosing the next token. Same logits, history, options and seed: same token, on every machine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace mneme {

using TokenId = int32_t;

// Applied in this order: bias, penalties, (temperature 0: greedy), top-k, top-p, min-p, temperature, draw.
struct SamplingOptions {
  float temperature = 0.8f;         // 0: greedy, the lowest id among equals
  int top_k = 40;                   // 0: off
  float top_p = 0.95f;              // 1: off
  float min_p = 0.05f;              // 0: off; keeps p >= min_p * max p
  float repetition_penalty = 1.0f;  // 1: off; divides positive and multiplies negative logits of seen tokens
                                    // (Keskar 2019)
  float presence_penalty = 0.0f;    // subtracted once from seen tokens
  float frequency_penalty = 0.0f;   // subtracted once for each time seen
  int penalty_window = 64;          // tokens looked back; -1: all
  uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;  // added; -infinity forbids
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;
  // `logits`: [vocab_size]. NaN counts as -infinity, which is never drawn; +infinity as the largest float.
  // Where nothing may be drawn the result is 0. `history`: the context so far, for the penalties.
  TokenId next(std::span<const float> logits, std::span<const TokenId> history);
  // The same among the tokens whose bit (id % 64 of word id / 64) is set, whatever bias and penalties say;
  // ids beyond the last word are not. Nothing where no such token may be drawn.
  std::optional<TokenId> next_allowed(std::span<const float> logits, std::span<const TokenId> history,
                                      std::span<const uint64_t> allowed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mneme

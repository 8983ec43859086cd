// divergence() without the models: over anything that reads tokens and says what comes next.
#pragma once

#include <functional>
#include <span>

#include "core/error.h"
#include "mneme/likelihood.h"

namespace mneme::engine {

class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual size_t tokens_held() const = 0;
  // Forgets what is behind the first `count`, reads the rest of `tokens` as one prompt. `on_tokens` is told
  // now and then how many more were read; false: stop there.
  virtual Result<void> prefill(size_t count, std::span<const TokenId> tokens,
                               const std::function<bool(size_t)>& on_tokens) = 0;
  // Reads one token as generation does; the logits of the next, valid until the next call.
  virtual Result<std::span<const float>> decode(TokenId token) = 0;
};

// `text` is longer than the deepest depth and its tokens.
Result<DivergenceReport> divergence_over(Predictor& a, Predictor& b, std::span<const TokenId> text,
                                         const DivergenceOptions& options, const DivergenceEvents& events);

// In nats; both of the same size. Not negative.
double kl_of(std::span<const float> logits_a, std::span<const float> logits_b);

// var(b - a) / var(a) over the vocabulary; 0 where all of a are the same.
double nmse_of(std::span<const float> logits_a, std::span<const float> logits_b);

}  // namespace mneme::engine

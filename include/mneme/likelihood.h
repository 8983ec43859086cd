// How well a model predicts text (perplexity), and how far apart two engines are in what they predict
// (divergence): the same model attending in two ways, or a model and its quantised copy.
//
// Both run on the caller's thread until they are done or `cancelled` says true, which is asked between
// steps; what was measured by then stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mneme/engine.h"
#include "mneme/result.h"

namespace mneme {

struct PerplexityText {
  std::string name;  // for messages
  std::string text;
};

struct PerplexityOptions {
  // Windows of `context` tokens; in each but a text's first, `stride` tokens were in the one before and only
  // warm up: every token is scored once, with at least `stride` tokens in front of it.
  size_t context = 0;                 // 0: what the model was trained for, 2048 at most
  std::optional<size_t> stride = {};  // 1 .. context - 1; nothing: a quarter of the context
  // Where not empty, an n-gram model is trained on it and scored on the same tokens; some 150 bytes of memory
  // a token.
  std::vector<PerplexityText> ngram_train = {};
};

// Negative log likelihoods in nats, summed over `tokens`.
struct PerplexityScore {
  size_t tokens = 0;
  uint64_t bytes = 0;  // of the text that these tokens spell
  double nll = 0;
  double nll_mean() const;
  double perplexity() const;
  double bits_per_byte() const;
};

struct PerplexityReport {
  size_t context = 0, stride = 0;
  PerplexityScore model;
  std::optional<PerplexityScore> ngram;  // 5 tokens, interpolated Kneser-Ney
  size_t ngram_train_tokens = 0;
  double seconds = 0;  // of the model's passes
  bool cancelled = false;
};

struct PerplexityEvents {
  std::function<void(size_t done, size_t total, const PerplexityScore&)> on_work = {};  // tokens
  std::function<bool()> cancelled = {};
};

// Texts are scored apart; where the file asks for a BOS token, every window begins with one, else the first
// token of each text is not scored. Fails where a window does not fit the KV budget and where nothing is left
// to score.
Result<PerplexityReport> perplexity(Engine& engine, std::span<const PerplexityText> texts,
                                    const PerplexityOptions& options, const PerplexityEvents& events);

struct DivergenceOptions {
  // How many tokens of the text stand in front, ascending. They are prefilled, so that what differs is the
  // decoding behind them.
  std::vector<size_t> depths = {1024};
  // Of the text, behind each depth: evaluated one at a time by both engines, whatever either would have said.
  size_t tokens = 64;
  uint64_t seed = 0;  // of the confidence interval's resampling
  // How depths are reached that are deeper than fill_period (a multiple of 64) tokens: these are read, and
  // the rest is made of their keys and values (Session::repeat_for_bench), so that depth costs no prefill.
  // Nothing: all of it is read.
  std::optional<Repetition> fill = {};
  size_t fill_period = 512;
};

// KL(A || B) of the distributions of the next token over the whole vocabulary, in nats, from temperature 1.
struct DivergenceRow {
  std::optional<size_t> depth = {};  // nothing: all depths together
  size_t tokens = 0;
  double kl_mean = 0, kl_p99 = 0, kl_max = 0;
  double kl_mean_low = 0, kl_mean_high = 0;  // 95 %, bootstrap over the tokens
  double top1_agreement = 0;                 // share of tokens where the likeliest next one is the same
  double nll_a = 0, nll_b = 0;               // mean, of the text's own next tokens
  // Mean of var(B - A) / var(A) over a row's logits: what KL would hide where one token has all of the
  // probability.
  double nmse = 0;
};

struct DivergenceReport {
  std::vector<DivergenceRow> rows;  // a depth each, then all of them
  bool cancelled = false;
};

struct DivergenceEvents {
  std::function<void(size_t depth, size_t done, size_t total)> on_work = {};  // tokens of all depths, both
  std::function<void(const DivergenceRow&)> on_depth = {};
  std::function<bool()> cancelled = {};
};

// Both engines must have the same vocabulary, and room for the deepest context; they may be one engine. Fails
// for a text that is shorter than the deepest depth and its tokens.
Result<DivergenceReport> divergence(Engine& a, Engine& b, const std::string& text,
                                    const DivergenceOptions& options, const DivergenceEvents& events);

}  // namespace mneme

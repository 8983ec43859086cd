// A generation token by token: prompt, choice of a token, its text, and what says stop.
#include "mneme/generation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "engine/log_probs.h"
#include "engine/stop_text.h"
#include "kv/block.h"

namespace mneme {

using core::fail;
using core::pass;

namespace {

// What the pending tokens take beyond the blocks already held.
Result<void> check_prompt_fits(const Engine& engine, const Session& session) {
  if (engine.tiers().on) return {};  // the disk is the limit
  const ModelInfo& info = engine.info();
  const size_t count = session.tokens().size();
  const uint64_t needed = info.kv_bytes(count) - info.kv_bytes(count - session.pending());
  const uint64_t left = engine.kv_bytes_max() - std::min(engine.kv_bytes_max(), engine.kv_bytes_used());
  if (needed <= left) return {};
  return fail("a prompt of {} tokens needs {} MiB more for keys and values, {} MiB are left (raise --kv)",
              session.pending(), (needed >> 20) + 1, left >> 20);
}

Result<void> check_constraint(const Engine& engine, const GenerateOptions& options) {
  if (!options.constraint) return {};
  const size_t tokens = options.constraint->vocabulary().size();
  if (tokens == static_cast<size_t>(engine.text().vocab_size())) return {};
  return fail("the constraint was made for a vocabulary of {} tokens, the model's has {}", tokens,
              engine.text().vocab_size());
}

Result<void> check_bias(const Engine& engine, const SamplingOptions& sampling) {
  const int vocab_size = engine.info().vocab_size;
  for (const auto& [token, bias] : sampling.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      return fail("logit bias {} for token {}: the vocabulary has {} tokens", bias, token, vocab_size);
    }
  }
  return {};
}

// Sees to it that there are logits to sample from once nothing is pending: after truncate() there are none.
Result<void> ensure_logits(Session& session) {
  if (session.tokens().empty()) return fail("the prompt is empty: there is nothing to go on from");
  if (session.pending() > 0 || !session.logits().empty()) return {};
  const TokenId last = session.tokens().back();
  session.truncate(session.tokens().size() - 1);
  return session.append({&last, 1});
}

Result<void> check(const Engine& engine, Session& session, const GenerateOptions& options) {
  if (auto known = check_bias(engine, options.sampling); !known) return known;
  if (auto fitting = check_constraint(engine, options); !fitting) return fitting;
  if (options.score_prompt && session.pending() < session.tokens().size())
    return fail("the tokens of a prompt are scored while it is evaluated, and some of this one are already");
  if (auto ready = ensure_logits(session); !ready) return ready;
  return check_prompt_fits(engine, session);
}

// The text side of a generation: tokens in, text out to the report and the listener.
class Output {
 public:
  Output(const Engine& engine, const Session& session, const std::vector<std::string>& stop)
      : stream_(engine.text().stream(false)), stop_(stop) {
    // The stream starts where the context ends: a word that goes on keeps its leading space, and a character
    // whose first bytes ended the prompt becomes whole.
    stream_->push(session.tokens().back());
  }
  // What may be shown now; nothing more once a stop text is complete.
  std::string push(TokenId token) { return stop_.push(stream_->push(token)); }
  std::string finish() {
    std::string rest;
    if (!stop_.matched()) rest = stop_.push(stream_->finish());
    if (!stop_.matched()) rest += stop_.finish();
    return rest;
  }
  bool stopped() const { return stop_.matched(); }
  const std::string& stop_text() const { return stop_.matched_text(); }

 private:
  std::unique_ptr<Text::Stream> stream_;
  engine::StopText stop_;
};

// The tokens of a generation: sampled, and held to the constraint where there is one.
class Choice {
 public:
  explicit Choice(const GenerateOptions& options) : sampler_(options.sampling) {
    if (options.constraint) guide_ = options.constraint->guide();
  }
  bool constrained() const { return guide_.has_value(); }
  // Nothing: no token may be drawn.
  std::optional<TokenId> next(const Session& session) {
    if (!guide_) return sampler_.next(session.logits(), session.tokens());
    const auto token = sampler_.next_allowed(session.logits(), session.tokens(), guide_->allowed());
    if (token && !guide_->accept(*token)) return std::nullopt;
    return token;
  }
  bool finished() const { return guide_ && guide_->finished(); }
  bool complete() const { return !guide_ || guide_->complete(); }

 private:
  Sampler sampler_;
  std::optional<grammar::Guide> guide_;
};

class RunningGeneration final : public Generation {
 public:
  RunningGeneration(Engine& engine, Session& session, GenerateOptions options, GenerateEvents events)
      : engine_(&engine),
        session_(&session),
        options_(std::move(options)),
        events_(std::move(events)),
        choice_(options_),
        output_(engine, session, options_.stop),
        pending_at_start_(session.pending()),
        computed_at_start_(session.computed()),
        start_s_(core::now_s()) {
    if (options_.score_prompt)
      session.hear_logits([this](size_t index, std::span<const float> logits) { score(index, logits); });
  }
  ~RunningGeneration() override {
    if (options_.score_prompt && !prefilled_) session_->hear_logits({});
  }

  Result<void> advance() override {
    if (finished_) return {};
    if (!prefilled_) show_prefill();
    if (session_->pending() == 0) {
      if (auto drawn = go_on(); !drawn) return drawn;
    }
    if (!finished_ && events_.cancelled && events_.cancelled()) stop(StopReason::kCancelled, "");
    return {};
  }
  bool finished() const override { return finished_; }
  void stop(StopReason reason, std::string message) override {
    if (finished_) return;
    if (!prefilled_) report_.prefill_s = core::now_s() - start_s_;
    finish(reason, std::move(message));
  }
  const GenerateReport& report() const override { return report_; }

 private:
  void show_prefill() {
    const size_t done = session_->computed() - computed_at_start_, pending = session_->pending();
    const bool new_rows = done != report_.prompt_tokens;
    report_.prompt_tokens = done;
    report_.found_tokens = pending_at_start_ - std::min(pending_at_start_, done + pending);
    if (events_.on_prefill && new_rows) events_.on_prefill(done, done + pending);
    for (const DrawnToken& token : std::exchange(scores_, {}))
      if (events_.on_prompt_token) events_.on_prompt_token(token);
    if (pending > 0) return;
    prefilled_ = true;
    if (options_.score_prompt) session_->hear_logits({});
    report_.prefill_s = core::now_s() - start_s_;
  }

  // What the token behind `index` is worth; each once.
  void score(size_t index, std::span<const float> logits) {
    if (index != scored_ || index + 1 >= session_->tokens().size()) return;
    ++scored_;
    log_probs_.read(logits, options_.top_logprobs);
    scores_.push_back(told(session_->tokens()[index + 1], logits));
  }

  // Nothing is pending: the next token, or the end.
  Result<void> go_on() {
    const auto tokens_max = static_cast<size_t>(std::max(options_.tokens_max, 0));
    if (options_.tokens_max >= 0 && report_.generated_tokens >= tokens_max) {
      finish(StopReason::kLength, "");
      return {};
    }
    if (choice_.finished()) {
      finish(StopReason::kEnd, "");
      return {};
    }
    if (options_.top_logprobs >= 0) log_probs_.read(session_->logits(), options_.top_logprobs);
    const auto token = choice_.next(*session_);
    if (!token) {
      finish(StopReason::kNoToken, "no token that the grammar allows here may be drawn");
      return {};
    }
    show_token(*token);
    auto appended = session_->append({&*token, 1});
    if (!appended) return appended;
    if (report_.generated_tokens++ == 0) first_s_ = core::now_s();
    report_.decode_s = core::now_s() - first_s_;
    take(*token, tokens_max);
    return {};
  }

  // The text of a token that was drawn, and whether it was the last.
  void take(TokenId token, size_t tokens_max) {
    const bool ends = !options_.ignore_end || choice_.constrained();
    if (ends && engine_->text().is_end_of_generation(token)) return finish(StopReason::kEnd, "");
    show(output_.push(token));
    if (output_.stopped()) return finish(StopReason::kStopText, "");
    // The last token is not evaluated.
    if (options_.tokens_max >= 0 && report_.generated_tokens >= tokens_max) finish(StopReason::kLength, "");
  }

  void finish(StopReason reason, std::string message) {
    finished_ = true;
    if (reason == StopReason::kLength && choice_.finished()) reason = StopReason::kEnd;
    show(output_.finish());
    report_.reason = output_.stopped() ? StopReason::kStopText : reason;
    report_.message = std::move(message);
    report_.stop_text = output_.stop_text();
    report_.complete = choice_.complete() && (!choice_.constrained() || !output_.stopped());
  }

  void show(const std::string& piece) {
    if (piece.empty()) return;
    report_.text += piece;
    if (events_.on_text) events_.on_text(piece);
  }

  void show_token(TokenId token) {
    if (options_.top_logprobs >= 0 && events_.on_token) events_.on_token(told(token, session_->logits()));
  }
  // The row of logits is the one that log_probs_ has read.
  DrawnToken told(TokenId token, std::span<const float> logits) const {
    const Text& text = engine_->text();
    DrawnToken drawn{token, text.token_bytes(token), log_probs_.of(logits, token), {}};
    for (const auto& [other, logprob] : log_probs_.top())
      drawn.top.push_back({other, text.token_bytes(other), logprob});
    return drawn;
  }

  Engine* engine_;
  Session* session_;
  GenerateOptions options_;
  GenerateEvents events_;
  Choice choice_;
  Output output_;
  engine::LogProbs log_probs_;
  GenerateReport report_;
  std::vector<DrawnToken> scores_;  // of the prompt, not told yet
  size_t scored_ = 0;
  size_t pending_at_start_, computed_at_start_;
  double start_s_, first_s_ = 0;
  bool prefilled_ = false, finished_ = false;
};

}  // namespace

Result<std::unique_ptr<Generation>> Generation::begin(Engine& engine, Session& session,
                                                      GenerateOptions options, GenerateEvents events) {
  if (auto good = check(engine, session, options); !good) return pass(good);
  return std::make_unique<RunningGeneration>(engine, session, std::move(options), std::move(events));
}

}  // namespace mneme

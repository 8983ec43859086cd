// generate(): prefill, then sample, show, append, evaluate, until something says stop.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "engine/stop_text.h"
#include "kv/block.h"
#include "mneme/engine.h"

namespace mneme {

using core::fail;
using core::pass;

namespace {

bool is_cancelled(const GenerateEvents& events) { return events.cancelled && events.cancelled(); }

// Keys and values are taken in blocks of 64 tokens: what the pending tokens take beyond the blocks already
// held.
Result<void> check_prompt_fits(const Engine& engine, const Session& session) {
  if (engine.tiers().on) return {};  // the disk is the limit
  const auto blocks_bytes = [&](size_t tokens) {
    const uint64_t blocks = (tokens + kv::kBlockTokens - 1) / kv::kBlockTokens;
    return blocks * kv::kBlockTokens * engine.info().kv_token_bytes;
  };
  const size_t count = session.tokens().size();
  const uint64_t needed = blocks_bytes(count) - blocks_bytes(count - session.pending());
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

// False when cancelled.
Result<bool> prefill(Engine& engine, Session& session, const GenerateEvents& events, GenerateReport& report) {
  const size_t total = session.pending();
  Session* const sessions[] = {&session};
  while (session.pending() > 0) {
    if (is_cancelled(events)) return false;
    auto step = engine.step(sessions);
    if (!step) return pass(step);
    size_t& done = report.prompt_tokens;
    done += *step;
    report.found_tokens = total - std::min(total, done + session.pending());
    if (events.on_prefill) events.on_prefill(done, done + session.pending());
  }
  return true;
}

// The text side of a generation: tokens in, text out to the report and the listener.
class Output {
 public:
  Output(const Engine& engine, const Session& session, const GenerateOptions& options,
         const GenerateEvents& events, std::string& text)
      : stream_(engine.text().stream(false)), stop_(options.stop), events_(&events), text_(&text) {
    // The stream starts where the context ends: a word that goes on keeps its leading space, and a character
    // whose first bytes ended the prompt becomes whole.
    stream_->push(session.tokens().back());
  }
  // False once a stop text is complete.
  bool push(TokenId token) {
    show(stop_.push(stream_->push(token)));
    return !stop_.matched();
  }
  void finish() {
    if (!stop_.matched()) show(stop_.push(stream_->finish()));
    if (!stop_.matched()) show(stop_.finish());
  }
  bool stopped() const { return stop_.matched(); }

 private:
  void show(const std::string& piece) {
    if (piece.empty()) return;
    *text_ += piece;
    if (events_->on_text) events_->on_text(piece);
  }

  std::unique_ptr<Text::Stream> stream_;
  engine::StopText stop_;
  const GenerateEvents* events_;
  std::string* text_;
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

// Evaluates the token before, and draws the next. Nothing: the report says why generation ends here.
std::optional<TokenId> next_token(Engine& engine, Session& session, Choice& choice, GenerateReport& report) {
  if (choice.finished()) {
    report.reason = StopReason::kEnd;
    return std::nullopt;
  }
  if (report.generated_tokens > 0) {
    Session* const sessions[] = {&session};
    auto step = engine.step(sessions);
    if (!step) {
      report.reason = StopReason::kFull;
      report.message = step.error().message;
      return std::nullopt;
    }
  }
  const auto token = choice.next(session);
  if (!token) {
    report.reason = StopReason::kNoToken;
    report.message = "no token that the grammar allows here may be drawn";
  }
  return token;
}

// Fills the report but for its times.
Result<void> decode(Engine& engine, Session& session, const GenerateOptions& options,
                    const GenerateEvents& events, GenerateReport& report) {
  Choice choice(options);
  Output output(engine, session, options, events, report.text);
  const bool bounded = options.tokens_max >= 0;
  const auto tokens_max = static_cast<size_t>(std::max(options.tokens_max, 0));
  const bool ends = !options.ignore_end || choice.constrained();
  double start_s = 0;
  report.reason = StopReason::kLength;
  while (!bounded || report.generated_tokens < tokens_max) {
    const auto token = next_token(engine, session, choice, report);
    if (!token) break;
    auto appended = session.append({&*token, 1});
    if (!appended) return appended;
    if (report.generated_tokens++ == 0) start_s = core::now_s();
    report.decode_s = core::now_s() - start_s;
    if (ends && engine.text().is_end_of_generation(*token)) {
      report.reason = StopReason::kEnd;
      break;
    }
    if (!output.push(*token)) break;
    if (is_cancelled(events)) {
      report.reason = StopReason::kCancelled;
      break;
    }
  }
  if (report.reason == StopReason::kLength && choice.finished()) report.reason = StopReason::kEnd;
  output.finish();
  if (output.stopped()) report.reason = StopReason::kStopText;
  report.complete = choice.complete() && (!choice.constrained() || !output.stopped());
  return {};
}

}  // namespace

Result<GenerateReport> generate(Engine& engine, Session& session, const GenerateOptions& options,
                                const GenerateEvents& events) {
  auto ready = ensure_logits(session);
  if (!ready) return pass(ready);
  auto fits = check_prompt_fits(engine, session);
  if (!fits) return pass(fits);
  auto known = check_bias(engine, options.sampling);
  if (!known) return pass(known);
  auto fitting = check_constraint(engine, options);
  if (!fitting) return pass(fitting);

  GenerateReport report;
  const double start_s = core::now_s();
  auto evaluated = prefill(engine, session, events, report);
  if (!evaluated) return pass(evaluated);
  report.prefill_s = core::now_s() - start_s;
  if (!*evaluated) {
    report.reason = StopReason::kCancelled;
    return report;
  }
  auto decoded = decode(engine, session, options, events, report);
  if (!decoded) return pass(decoded);
  return report;
}

}  // namespace mneme

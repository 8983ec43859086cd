// generate(): prefill, then sample, show, append, evaluate, until something says stop.
#include <algorithm>
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

// Fills the report but for its times.
Result<void> decode(Engine& engine, Session& session, const GenerateOptions& options,
                    const GenerateEvents& events, GenerateReport& report) {
  Sampler sampler(options.sampling);
  Output output(engine, session, options, events, report.text);
  const bool bounded = options.tokens_max >= 0;
  const auto tokens_max = static_cast<size_t>(std::max(options.tokens_max, 0));
  Session* const sessions[] = {&session};
  double start_s = 0;
  report.reason = StopReason::kLength;
  while (!bounded || report.generated_tokens < tokens_max) {
    if (report.generated_tokens > 0) {
      auto step = engine.step(sessions);
      if (!step) {
        report.reason = StopReason::kFull;
        report.message = step.error().message;
        break;
      }
    }
    const TokenId token = sampler.next(session.logits(), session.tokens());
    auto appended = session.append({&token, 1});
    if (!appended) return appended;
    if (report.generated_tokens++ == 0) start_s = core::now_s();
    report.decode_s = core::now_s() - start_s;
    const bool end = engine.text().is_end_of_generation(token);
    if (end && !options.ignore_end) {
      report.reason = StopReason::kEnd;
      break;
    }
    if (!output.push(token)) break;
    if (is_cancelled(events)) {
      report.reason = StopReason::kCancelled;
      break;
    }
  }
  output.finish();
  if (output.stopped()) report.reason = StopReason::kStopText;
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

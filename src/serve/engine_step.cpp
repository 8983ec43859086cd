// One pass of an EngineLoop: who is in it, with how many rows, and what is done when memory is short.
#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "serve/engine_running.h"

namespace mneme::serve {

namespace {

constexpr size_t kTokensAhead = 64;  // that a generation should have room for before it goes on
constexpr size_t kFirstRows = 32;    // where nothing is known of speeds yet
constexpr size_t kRowsMax = 512;     // of a pass
// Rows of prompts may take so much of what a pass takes without them, even where that alone takes too long:
// with others' next tokens in it, and with nobody's, where reading the weights should not be most of it.
constexpr double kPrefillShare = 0.25, kLoneShare = 4;

size_t evaluated(const Session& session) { return session.tokens().size() - session.pending(); }

}  // namespace

void EngineLoop::step() {
  wake_paused();
  const Batch batch = compose();
  if (batch.sessions.empty()) return;
  const double start_s = core::now_s();
  auto done = engine_->step(batch.sessions, batch.rows);
  if (!done) return relieve(done.error());
  after(batch, core::now_s() - start_s);
}

EngineLoop::Batch EngineLoop::compose() {
  Batch batch;
  for (Running& running : running_) {
    if (running.paused || !running.decodes()) continue;
    batch.generations.push_back(&running);
    batch.embeddings.push_back(nullptr);
    batch.sessions.push_back(running.own.session.get());
    batch.rows.push_back(1);
    batch.shape.decode_rows += 1;
    batch.shape.decode_depth += static_cast<double>(running.own.session->tokens().size());
  }
  add_prompts(batch);
  for (const Session* session : batch.sessions) batch.evaluated.push_back(evaluated(*session));
  return batch;
}

void EngineLoop::add_prompts(Batch& batch) {
  std::vector<PromptInWork> prompts;
  Batch candidates;
  const auto add = [&](Session& session, Priority priority, uint64_t served) {
    candidates.sessions.push_back(&session);
    prompts.push_back({evaluated(session), session.pending(), priority, served});
  };
  for (Running& running : running_) {
    if (running.paused || running.decodes() || running.own.session->pending() == 0) continue;
    add(*running.own.session, running.submission.request.from.priority, running.served);
    candidates.generations.push_back(&running);
    candidates.embeddings.push_back(nullptr);
  }
  for (RunningEmbedding& embedding : embeddings_) {
    for (const RunningEmbedding::Text& text : embedding.now) {
      if (text.session->pending() == 0) continue;
      add(*text.session, Priority::kNormal, text.served);
      candidates.generations.push_back(nullptr);
      candidates.embeddings.push_back(&embedding);
    }
  }
  const size_t decoding = batch.sessions.size();
  const double decode_s = cost_.seconds(batch.shape);
  const double target_s = decoding > 0 ? options_.step_s : options_.lone_step_s;
  const double share = decoding > 0 ? kPrefillShare : kLoneShare;
  const bool known = cost_.tokens_per_second() > 0;
  const PrefillBudget budget{std::max(target_s - decode_s, share * decode_s),
                             known ? kRowsMax - std::min(kRowsMax - 1, decoding) : kFirstRows};
  std::vector<size_t> rows = plan_prefill(prompts, cost_, budget);
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (rows[i] == 0) continue;
    batch.generations.push_back(candidates.generations[i]);
    batch.embeddings.push_back(candidates.embeddings[i]);
    batch.sessions.push_back(candidates.sessions[i]);
    batch.rows.push_back(rows[i]);
  }
}

// Tokens are drawn and shown; what has ended leaves.
void EngineLoop::after(const Batch& batch, double seconds) {
  ++passes_;
  StepShape shape = batch.shape;
  bool found_any = false;
  for (size_t i = 0; i < batch.sessions.size(); ++i) {
    Running* const running = batch.generations[i];
    const size_t now = evaluated(*batch.sessions[i]), rows = now - std::min(now, batch.evaluated[i]);
    if (running != nullptr) running->served = passes_;
    found_any |= rows > batch.rows[i];  // found on the disk: that time is not of rows
    if (i < static_cast<size_t>(batch.shape.decode_rows)) continue;
    shape.prefill_rows += static_cast<double>(rows);
    shape.prefill_depth += static_cast<double>(rows) *
                           (static_cast<double>(now) - static_cast<double>(rows) / 2);
  }
  if (!found_any) cost_.learn(shape, seconds);
  const double decode_s = shape.prefill_rows == 0  ? seconds
                          : shape.decode_rows == 0 ? 0
                                                   : std::min(seconds, cost_.seconds(batch.shape));
  totals_.decode_s += decode_s;
  totals_.prefill_s += seconds - decode_s;

  for (auto at = running_.begin(); at != running_.end();) {
    const auto now = at++;
    if (now->served != passes_) continue;
    auto advanced = now->generation->advance();
    if (!advanced)
      end_failed(now, {FailureKind::kInternal, advanced.error().message, 0, 0, 0});
    else if (now->generation->finished())
      end(now);
  }
  for (RunningEmbedding& embedding : embeddings_) {
    for (RunningEmbedding::Text& text : embedding.now)
      if (std::find(batch.sessions.begin(), batch.sessions.end(), text.session.get()) != batch.sessions.end())
        text.served = passes_;
  }
}

// --- Memory is short ---

// The pass failed and nothing has changed. The next one finds more memory: of idle sessions, then of
// embeddings that go on one by one, then of the newest generation, which waits until another has ended. Only
// who is alone and does not fit ends.
void EngineLoop::relieve(const Error& error) {
  if (pool_.give_room() || thin_embeddings(error)) return;
  Running* newest = nullptr;
  size_t active = embeddings_.empty() ? 0 : 1;
  for (Running& running : running_) {
    if (running.paused) continue;
    ++active;
    const bool later = newest == nullptr ||
                       running.submission.request.from.priority >= newest->submission.request.from.priority;
    if (later) newest = &running;
  }
  if (newest == nullptr) return;
  if (active > 1) return pause(*newest);
  end_newest(error);
}

void EngineLoop::pause(Running& running) {
  running.paused = true;
  ended_since_pause_ = false;
  Session& session = *running.own.session;
  if (engine_->tiers().on && session.demote()) return;
  const std::vector<TokenId> tokens(session.tokens().begin(), session.tokens().end());
  session.truncate(0);
  if (auto appended = session.append(tokens); !appended) pool_.note(appended.error());
}

void EngineLoop::wake_paused() {
  const auto runs = [](const Running& running) { return !running.paused; };
  const bool others = !embeddings_.empty() || std::any_of(running_.begin(), running_.end(), runs);
  if (others && !ended_since_pause_) return;
  for (Running& running : running_) {
    if (!running.paused) continue;
    const Session& session = *running.own.session;
    if (others && !fits(session, session.tokens().size() + kTokensAhead)) continue;
    running.paused = false;
    return;  // one at a time: what it takes shows with the next pass
  }
  ended_since_pause_ = false;
}

// The one that is not paused.
void EngineLoop::end_newest(const Error& error) {
  for (auto at = running_.begin(); at != running_.end(); ++at) {
    if (at->paused) continue;
    if (at->generation->report().generated_tokens > 0) {
      at->generation->stop(StopReason::kFull, error.message);
      return end(at);
    }
    const uint64_t tokens = at->submission.request.prompt.size();
    return end_failed(at, {FailureKind::kTooLong, error.message, tokens, evaluated(*at->own.session), 0});
  }
}

}  // namespace mneme::serve

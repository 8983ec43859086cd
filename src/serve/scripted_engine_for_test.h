// An Engine without a model: the next token follows from a hash of the whole context, so that a context that
// was mixed up, cut wrongly or evaluated twice says something else. Keys and values are counted in blocks.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "mneme/engine.h"
#include "serve/byte_text_for_test.h"

namespace mneme::serve {

class ScriptedEngine;

class ScriptedSession final : public Session {
 public:
  ScriptedSession(ScriptedEngine& engine, bool embeds) : engine_(&engine), embeds_(embeds) {}
  ~ScriptedSession() override;

  const std::string& name() const override { return name_; }
  size_t reused() const override { return 0; }
  size_t computed() const override { return computed_; }
  Result<void> flush() override { return {}; }
  Result<void> demote() override;
  Result<std::unique_ptr<Session>> fork() override;
  TierMap map() const override {
    TierMap map;
    map.tokens = evaluated_;
    return map;
  }
  AttentionReport attention() const override { return {}; }
  Result<void> append(std::span<const TokenId> tokens) override {
    for (const TokenId token : tokens)
      if (token < 0 || token >= 263) return core::fail("token {} is outside the vocabulary of 263", token);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    return {};
  }
  std::span<const TokenId> tokens() const override { return tokens_; }
  size_t pending() const override { return tokens_.size() - evaluated_; }
  std::span<const float> logits() const override {
    return pending() == 0 && !stale_ ? std::span<const float>(logits_) : std::span<const float>();
  }
  size_t kept_by_truncate(size_t count) const override;
  void truncate(size_t count) override {
    if (count >= tokens_.size()) return;
    const size_t kept = kept_by_truncate(count);
    stale_ = stale_ || kept < evaluated_;
    evaluated_ = kept;
    tokens_.resize(count);
  }
  std::vector<float> embedding() const override {
    return embeds_ ? std::vector<float>{static_cast<float>(tokens_.size()), 0} : std::vector<float>();
  }
  void hear_logits(std::function<void(size_t, std::span<const float>)> row) override {
    hear_ = std::move(row);
  }
  Result<void> repeat_for_bench(size_t, size_t, Repetition) override { return core::fail("no"); }
  Result<void> set_note(std::string_view, std::string_view) override { return core::fail("no"); }
  std::string note(std::string_view) const override { return {}; }

 private:
  friend class ScriptedEngine;
  ScriptedEngine* engine_;
  bool embeds_, stale_ = true, resting_ = false;
  std::function<void(size_t, std::span<const float>)> hear_;
  std::string name_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;
  size_t evaluated_ = 0, computed_ = 0;
};

class ScriptedEngine final : public Engine {
 public:
  static constexpr size_t kBlock = 64;

  ScriptedEngine() {
    info_.name = "scripted";
    info_.vocab_size = text_.vocab_size();
    info_.prefill_rows = 512;
    info_.kv_token_bytes = 1;
    info_.parameters = 1000;
    info_.heads = info_.kv_heads = info_.head_dim = info_.dim = 2;
  }

  // A letter for every context.
  static TokenId next_of(std::span<const TokenId> tokens) {
    uint64_t hash = 1469598103934665603u;
    for (const TokenId token : tokens) hash = (hash ^ static_cast<uint64_t>(token)) * 1099511628211u;
    return 'a' + static_cast<TokenId>((hash >> 20) % 26);
  }
  static std::string answer_to(std::vector<TokenId> prompt, size_t count) {
    std::string text;
    while (text.size() < count) {
      prompt.push_back(next_of(prompt));
      text += static_cast<char>(prompt.back());
    }
    return text;
  }

  // --- The script: before it runs, or from its thread ---
  size_t tokens_max = 1 << 20;   // of all contexts, in blocks
  size_t rewind_max = SIZE_MAX;  // truncate() forgets everything beyond
  bool has_tiers = false;
  std::function<void(size_t rows)> on_step;  // on the engine's thread
  struct Step {
    std::vector<const Session*> sessions;
    std::vector<size_t> rows;
  };
  std::vector<Step> steps;

  // --- Engine ---
  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return text_; }
  std::unique_ptr<Session> new_session(const std::string&) override { return make(false); }
  std::unique_ptr<Session> new_embedding() override { return make(true); }
  Result<std::unique_ptr<Session>> open_session(const std::string&, const std::string&) override {
    return core::fail("no folder");
  }
  Result<void> remove_session(const std::string&) override { return core::fail("no folder"); }
  TierReport tiers() const override {
    TierReport report;
    report.on = has_tiers;
    return report;
  }
  std::vector<std::string> take_warnings() override { return {}; }
  Result<size_t> step(std::span<Session* const> sessions, std::span<const size_t> rows_max) override {
    Step step;
    size_t left = 512, blocks = 0;
    for (size_t i = 0; i < sessions.size(); ++i) {
      auto& session = static_cast<ScriptedSession&>(*sessions[i]);
      session.resting_ = false;
      const size_t rows = std::min({session.pending(), left, rows_max.empty() ? left : rows_max[i]});
      left -= rows;
      step.sessions.push_back(&session);
      step.rows.push_back(rows);
      blocks += blocks_of(session.evaluated_ + rows) - blocks_of(session.evaluated_);
    }
    if ((used_blocks() + blocks) * kBlock > tokens_max) return core::fail("the KV cache is full");
    if (on_step) on_step(512 - left);
    for (size_t i = 0; i < sessions.size(); ++i)
      evaluate(static_cast<ScriptedSession&>(*sessions[i]), step.rows[i]);
    steps.push_back(std::move(step));
    return 512 - left;
  }
  Result<void> logits_of(Session&, std::span<const TokenId>, bool,
                         const std::function<void(std::span<const float>)>&) override {
    return core::fail("no");
  }
  uint64_t kv_bytes_used() const override { return used_blocks() * kBlock; }
  uint64_t kv_bytes_max() const override { return tokens_max; }

  size_t alive() const { return alive_.size(); }

 private:
  friend class ScriptedSession;
  static size_t blocks_of(size_t tokens) { return (tokens + kBlock - 1) / kBlock; }
  size_t used_blocks() const {
    size_t blocks = 0;
    for (const ScriptedSession* one : alive_) blocks += one->resting_ ? 0 : blocks_of(one->evaluated_);
    return blocks;
  }
  std::unique_ptr<ScriptedSession> make(bool embeds) {
    auto session = std::make_unique<ScriptedSession>(*this, embeds);
    alive_.push_back(session.get());
    return session;
  }
  static std::vector<float> logits_after(std::span<const TokenId> tokens) {
    std::vector<float> logits(263);
    logits[static_cast<size_t>(next_of(tokens))] = 10;
    return logits;
  }
  static void evaluate(ScriptedSession& session, size_t rows) {
    for (size_t i = session.evaluated_; i < session.evaluated_ + rows && session.hear_; ++i)
      session.hear_(i, logits_after(session.tokens().first(i + 1)));
    session.evaluated_ += rows;
    session.computed_ += rows;
    if (session.pending() > 0) return;
    session.stale_ = false;
    session.logits_ = logits_after(session.tokens_);
  }

  ModelInfo info_;
  ByteText text_;
  std::vector<ScriptedSession*> alive_;
};

inline ScriptedSession::~ScriptedSession() { std::erase(engine_->alive_, this); }
inline size_t ScriptedSession::kept_by_truncate(size_t count) const {
  if (count >= evaluated_) return evaluated_;
  return evaluated_ - count > engine_->rewind_max ? 0 : count;
}
inline Result<void> ScriptedSession::demote() {
  if (!engine_->has_tiers) return core::fail("no tiers");
  resting_ = true;
  return {};
}
inline Result<std::unique_ptr<Session>> ScriptedSession::fork() {
  if (!engine_->has_tiers || pending() > 0) return core::fail("no fork");
  auto other = engine_->make(embeds_);
  other->tokens_ = tokens_;
  other->logits_ = logits_;
  other->evaluated_ = evaluated_;
  other->stale_ = stale_;
  return other;
}

// A gate that steps wait at.
class Gate {
 public:
  void close() { set(false); }
  void open() { set(true); }
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_for_arrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }

 private:
  void set(bool open) {
    {
      std::lock_guard lock(mutex_);
      open_ = open;
    }
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int arrived_ = 0;
};

}  // namespace mneme::serve

// One growing context of a LoadedEngine: its tokens, its sequence, and, where there is a cold tier, what is
// found instead of computed, what is sealed, and the log of a named session.
#pragma once

#include <algorithm>
#include <climits>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "attention/sparse_decode.h"
#include "attention/sparse_prefill.h"
#include "kv/kv.h"
#include "kv/session_log.h"
#include "kv/store.h"
#include "kv/tiers.h"
#include "mneme/engine.h"
#include "model/model.h"

namespace mneme::engine {

// What the sessions of one engine share. Outlives them.
struct SessionHome {
  kv::BlockPool* pool = nullptr;
  kv::Tiers* tiers = nullptr;  // null: no cold tier
  kv::Store* store = nullptr;
  kv::SegmentModel model;
  int vocab_size = 0;
  double seconds_each = 0;  // what a prefill took a token lately; 0: there was none
  uint64_t sessions = 0;    // so far
  std::optional<attention::SparseOptions> sparse = {};  // none: attention is exact
  std::unordered_set<std::string> open_names = {};
  std::vector<std::string> warnings = {};
};

class LoadedSession final : public Session {
 public:
  LoadedSession(SessionHome& home, const std::string& scope);
  LoadedSession(SessionHome& home, kv::Sequence sequence);
  ~LoadedSession() override;
  // The session of this name as the store has it, or a new one.
  struct Named {
    const std::string &name, &scope, &model_path;
  };
  static Result<std::unique_ptr<LoadedSession>> open(SessionHome& home, const Named& named);

  Result<void> append(std::span<const TokenId> tokens) override;
  std::span<const TokenId> tokens() const override { return tokens_; }
  size_t pending() const override { return tokens_.size() - evaluated(); }
  std::span<const float> logits() const override {
    return pending() == 0 ? std::span<const float>(logits_) : std::span<const float>();
  }
  void truncate(size_t count) override;
  size_t kept_by_truncate(size_t count) const override;
  std::vector<float> embedding() const override;
  void hear_logits(std::function<void(size_t, std::span<const float>)> row) override {
    hear_ = std::move(row);
  }
  Result<void> repeat_for_bench(size_t period, size_t depth, Repetition how) override;
  const std::string& name() const override { return name_; }
  size_t reused() const override { return reused_; }
  size_t computed() const override { return computed_; }
  Result<void> flush() override;
  Result<void> demote() override;
  Result<std::unique_ptr<Session>> fork() override;
  TierMap map() const override;
  AttentionReport attention() const override;
  Result<void> set_note(std::string_view key, std::string_view value) override;
  std::string note(std::string_view key) const override;

  // --- A step of the engine ---
  // Goes on behind segments that are there already, as far as the pending tokens before `end` are those of
  // them; then how many tokens the next pass may take at most.
  size_t begin_step(size_t end);
  size_t begin_step() { return begin_step(tokens_.size() - std::min<size_t>(tokens_.size(), 1)); }
  // The next `count` pending tokens as a chunk for the model. Where all logits are heard they are exact.
  model::Chunk chunk(size_t count, model::LogitsOf logits) {
    std::fill(pass_states_.begin(), pass_states_.end(), 0.0f);
    return {&*sequence_,  std::span(tokens_).subspan(evaluated(), count),
            logits,       sparse_ && !is_heard() ? &*sparse_ : nullptr,
            pass_states_, static_cast<int>(std::min(pending() - count, size_t{INT_MAX}))};
  }
  // Before a pass that may be sparse: what it scans is in memory. An error as of a pass.
  Result<void> make_ready(size_t rows) {
    const bool decodes = rows <= attention::kSparseTokensMax;
    const bool scans = sparse_ && !is_heard() && (decodes ? sparse_->options().decode : scans_prefill());
    return scans ? sequence_->load_summaries() : Result<void>();
  }
  bool scans_prefill() const {
    return sparse_->options().prefill && evaluated() >= attention::kPrefillDenseTokens &&
           pending() > attention::kPrefillEndTokens;
  }
  bool wants_logits() const { return pass_states_.empty(); }
  bool is_heard() const { return hear_ != nullptr; }
  // After a pass over as many tokens as there are rows; [rows, vocab_size].
  void tell(std::span<const float> rows) const;
  void keep_logits(std::span<const float> row) { logits_.assign(row.begin(), row.end()); }
  // `count` tokens were evaluated: seals them.
  void end_step(size_t count);
  // From now on the states of what is evaluated are summed up, and nothing is found or sealed.
  void sum_states(size_t dim) {
    pass_states_.resize(dim);
    state_sums_.resize(dim);
  }
  size_t evaluated() const {
    return resting_ ? resting_->evaluated : static_cast<size_t>(sequence_->token_count());
  }
  // After a pass that failed: true where a stored segment was to blame; its tokens are pending again.
  bool recover();

 private:
  std::vector<kv::SegmentPtr> find_segments(size_t end) const;
  std::vector<kv::Store::FilePtr> open_ahead(kv::SegmentName parent, size_t begin, size_t end) const;
  size_t rows_to_next_segment() const;
  void seal(int keep_open);
  std::string tail_path() const;
  Result<void> save_tail();
  // The first `segments` of its tokens and the tail behind them; false, and nothing done, where they are not
  // there, or where computing is quicker.
  bool resume(size_t segments, const kv::SegmentFile& tail);
  bool resume_log();
  void wake();
  void log_segments();
  void give_up_log(const Error& error);

  struct Resting {  // in the store, and nowhere else
    size_t evaluated, segments;
  };

  SessionHome* home_;
  uint64_t number_;                       // of this engine's
  std::optional<kv::Sequence> sequence_;  // knows how many tokens were evaluated, but while it rests
  std::optional<Resting> resting_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;  // [vocab_size] after the last evaluated token, or empty
  std::function<void(size_t, std::span<const float>)> hear_;
  std::string name_;
  std::optional<kv::SessionLog> log_;  // of a named one, until it cannot be written
  size_t reused_ = 0, computed_ = 0;
  size_t text_end_ = 0;  // of what was appended last, but for single tokens
  std::optional<attention::SparseContext> sparse_;
  std::vector<float> pass_states_;  // [dim] of an embedding, else empty: summed over the tokens of a pass
  std::vector<double> state_sums_;  // [dim] likewise: over all passes
};

}  // namespace mneme::engine

// Engine and Session over one Model: what is loaded, what a step does, and where contexts live.
#include "mneme/engine.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/thread_pool.h"
#include "engine/model_id.h"
#include "engine/plan.h"
#include "engine/session.h"
#include "engine/text.h"
#include "kernels/select.h"
#include "kv/kv.h"
#include "kv/session_folder.h"
#include "mneme/machine.h"
#include "model/gguf.h"
#include "model/model.h"

namespace mneme {

using core::fail;
using core::pass;
using engine::LoadedSession;

namespace {

LoadedSession& loaded(Session* session) { return static_cast<LoadedSession&>(*session); }

class LoadedEngine final : public Engine {
 public:
  LoadedEngine(model::Gguf file, std::unique_ptr<core::ThreadPool> pool, model::Model model)
      : file_(std::move(file)), pool_(std::move(pool)), model_(std::move(model)) {}
  // Memory, and a cold tier where one is asked for, for keys and values.
  Result<void> open_tiers(const EngineOptions& options, const kernels::Ops* ops);

  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return *text_; }
  std::unique_ptr<Session> new_session(const std::string& scope) override {
    return std::make_unique<LoadedSession>(home_, scope);
  }
  std::unique_ptr<Session> new_embedding() override;
  Result<std::unique_ptr<Session>> open_session(const std::string& name, const std::string& scope) override {
    return LoadedSession::open(home_, {name, scope, info_.path});
  }
  Result<void> remove_session(const std::string& name) override;
  TierReport tiers() const override;
  std::vector<std::string> take_warnings() override;
  Result<size_t> step(std::span<Session* const> sessions, std::span<const size_t> rows_max) override;
  Result<void> logits_of(Session& session, std::span<const TokenId> tokens, bool decode,
                         const std::function<void(std::span<const float>)>& row) override;
  uint64_t kv_bytes_used() const override {
    return home_.tiers != nullptr ? home_.tiers->bytes_used() : home_.pool->bytes_used();
  }
  uint64_t kv_bytes_max() const override { return home_.pool->bytes_max(); }

  void describe(const EngineOptions& options, const char* isa);
  void take_text(std::unique_ptr<Text> text) { text_ = std::move(text); }

 private:
  Result<size_t> pass_over(std::span<Session* const> sessions, std::span<const size_t> rows_max);
  size_t vocab_size() const { return static_cast<size_t>(model_.config().vocab_size); }
  size_t all_rows_max() const;
  // The first count * vocab_size floats of the logits buffer, which grows to the most ever needed.
  std::span<float> logits_rows(size_t count) {
    if (logits_.size() < count * vocab_size()) logits_.resize(count * vocab_size());
    return std::span(logits_).first(count * vocab_size());
  }
  std::span<const float> logits_row(size_t row) const {
    return std::span(logits_).subspan(row * vocab_size(), vocab_size());
  }

  model::Gguf file_;
  std::unique_ptr<core::ThreadPool> pool_;
  model::Model model_;
  std::optional<kv::BlockPool> blocks_;  // without tiers
  std::unique_ptr<kv::Store> store_;
  std::unique_ptr<kv::Tiers> tiers_;
  engine::SessionHome home_;
  std::unique_ptr<Text> text_;
  ModelInfo info_;
  // Scratch of a step, kept so that nothing is allocated a token.
  std::vector<size_t> pending_, rows_;  // [sessions]
  std::vector<size_t> logits_rows_;     // [sessions]
  std::vector<model::Chunk> chunks_;
  std::vector<float> logits_;  // [rows, vocab_size]
};

std::unique_ptr<Session> LoadedEngine::new_embedding() {
  auto session = std::make_unique<LoadedSession>(home_, std::string());
  session->sum_states(static_cast<size_t>(model_.config().dim));
  return session;
}

Result<void> LoadedEngine::remove_session(const std::string& name) {
  if (store_ == nullptr) return fail("session {}: there is no folder to keep it in", name);
  if (home_.open_names.contains(name)) return fail("session {} is open", name);
  return kv::remove_session(store_->sessions_folder(), name, store_->disk());
}

Result<size_t> LoadedEngine::step(std::span<Session* const> sessions, std::span<const size_t> rows_max) {
  MNEME_CHECK(rows_max.empty() || rows_max.size() == sessions.size());
  for (;;) {
    auto evaluated = pass_over(sessions, rows_max);
    if (evaluated) return evaluated;
    // A stored segment that cannot be read: its tokens are computed again.
    bool recovered = false;
    for (Session* session : sessions) recovered |= loaded(session).recover();
    if (!recovered) return evaluated;
    home_.warnings.push_back(evaluated.error().message);
  }
}

// How many rows of logits are held at one time where every token has one.
size_t LoadedEngine::all_rows_max() const {
  constexpr size_t kLogitsBytesMax = size_t{64} << 20;
  return std::clamp<size_t>(kLogitsBytesMax / (vocab_size() * sizeof(float)), 1, info_.prefill_rows);
}

Result<size_t> LoadedEngine::pass_over(std::span<Session* const> sessions, std::span<const size_t> rows_max) {
  pending_.clear();
  size_t heard_left = all_rows_max();
  for (size_t i = 0; i < sessions.size(); ++i) {
    const size_t rows = loaded(sessions[i]).begin_step();
    pending_.push_back(std::min({sessions[i]->pending(), rows, rows_max.empty() ? rows : rows_max[i]}));
    if (!loaded(sessions[i]).is_heard()) continue;
    pending_.back() = std::min(pending_.back(), heard_left);
    heard_left -= pending_.back();
  }
  engine::plan_step(pending_, {info_.prefill_rows, model::Model::kRowsMax}, rows_);

  chunks_.clear();
  logits_rows_.assign(sessions.size(), 0);
  size_t evaluated = 0;
  size_t logits_count = 0;
  for (size_t i = 0; i < sessions.size(); ++i) {
    if (rows_[i] == 0) continue;
    LoadedSession& session = loaded(sessions[i]);
    if (auto ready = session.make_ready(rows_[i]); !ready) return pass(ready);
    const bool last = rows_[i] == session.pending() && session.wants_logits();
    const model::LogitsOf wanted = session.is_heard() ? model::LogitsOf::kAll
                                   : last             ? model::LogitsOf::kLast
                                                      : model::LogitsOf::kNone;
    chunks_.push_back(session.chunk(rows_[i], wanted));
    logits_rows_[i] = session.is_heard() ? rows_[i] : last ? 1 : 0;
    evaluated += rows_[i];
    logits_count += logits_rows_[i];
  }
  if (chunks_.empty()) return size_t{0};
  const double start_s = core::now_s();
  auto done = model_.forward(chunks_, logits_rows(logits_count), *pool_);
  if (!done) return pass(done);
  constexpr size_t kPrefillRows = 64;  // fewer are more like decoding
  if (evaluated >= kPrefillRows)
    home_.seconds_each = (core::now_s() - start_s) / static_cast<double>(evaluated);

  size_t row = 0;
  for (size_t i = 0; i < sessions.size(); ++i) {
    if (rows_[i] == 0) continue;
    LoadedSession& session = loaded(sessions[i]);
    const auto logits = std::span(logits_).subspan(row * vocab_size(), logits_rows_[i] * vocab_size());
    row += logits_rows_[i];
    if (session.is_heard()) session.tell(logits);
    if (!logits.empty()) session.keep_logits(logits.last(vocab_size()));
    session.end_step(rows_[i]);
  }
  return evaluated;
}

Result<void> LoadedEngine::logits_of(Session& session, std::span<const TokenId> tokens, bool decode,
                                     const std::function<void(std::span<const float>)>& row) {
  LoadedSession& own = loaded(&session);
  if (own.pending() > 0) return fail("{} tokens of the session are not evaluated yet", own.pending());
  auto appended = own.append(tokens);
  if (!appended) return appended;
  const size_t rows_max = decode ? 1 : all_rows_max();
  // The token whose row is handed out next. What is before it is evaluated, unless a stored segment was lost.
  size_t next = own.tokens().size() - tokens.size();
  while (next < own.tokens().size()) {
    const size_t lost_max = own.begin_step(next), lost = next - own.evaluated();
    const size_t count = lost > 0 ? std::min({lost, lost_max, info_.prefill_rows})
                                  : std::min(own.pending(), rows_max);
    const size_t wanted = lost > 0 ? 0 : count;
    const model::Chunk chunk = own.chunk(count, lost > 0 ? model::LogitsOf::kNone : model::LogitsOf::kAll);
    auto done = own.make_ready(count);
    if (done) done = model_.forward({&chunk, 1}, logits_rows(wanted), *pool_);
    if (!done && own.recover()) {
      home_.warnings.push_back(done.error().message);
      continue;
    }
    if (!done) {
      own.truncate(next);
      return done;
    }
    for (size_t i = 0; i < wanted; ++i) row(logits_row(i));
    if (wanted > 0) own.keep_logits(logits_row(wanted - 1));
    next += wanted;
    own.end_step(count);
  }
  return {};
}

TierReport LoadedEngine::tiers() const {
  if (tiers_ == nullptr) return {};
  const kv::TierCounters c = tiers_->counters();
  return {true,        c.bytes_hot,  c.bytes_warm, c.bytes_passing,   c.hits_hot,
          c.hits_warm, c.hits_ahead, c.misses,     c.bytes_read,      c.bytes_written,
          c.stalled_s, c.read_s,     c.evicted,    c.segments_sealed, c.segments_found};
}

std::vector<std::string> LoadedEngine::take_warnings() {
  std::vector<std::string> all = std::exchange(home_.warnings, {});
  if (tiers_ == nullptr) return all;
  for (std::string& one : tiers_->take_warnings())
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(std::move(one));
  return all;
}

void LoadedEngine::describe(const EngineOptions& options, const char* isa) {
  const model::Config& config = model_.config();
  info_.prefill_rows = static_cast<size_t>(options.prefill_rows);
  info_.path = options.model_path;
  info_.name = config.name;
  auto architecture = file_.get_string("general.architecture");
  if (architecture && *architecture) info_.architecture = std::string(**architecture);
  info_.isa = isa;
  info_.threads = pool_->thread_count();
  info_.layers = config.layers;
  info_.dim = config.dim;
  info_.ffn_dim = config.ffn_dim;
  info_.heads = config.heads;
  info_.kv_heads = config.kv_heads;
  info_.head_dim = config.head_dim;
  info_.vocab_size = config.vocab_size;
  info_.context_length = config.context_length;
  info_.parameters = model_.parameters();
  info_.file_bytes = file_.bytes_total();
  info_.weight_bytes = model_.weight_bytes();
  info_.decode_bytes = model_.decode_bytes();
  const kv::KvShape shape = model_.kv_shape();
  info_.kv_token_bytes = shape.token_bytes();
  const uint64_t sealed = blocks_ ? blocks_->sealed_bytes() * static_cast<uint64_t>(shape.layers_whole()) : 0;
  info_.kv_sealed_token_bytes = (sealed + kv::kBlockTokens - 1) / kv::kBlockTokens;
}

Result<void> check_options(const EngineOptions& options) {
  constexpr int kThreadsMax = 1024;
  if (options.threads < 0 || options.threads > kThreadsMax) {
    return fail("{} threads: 1 to {} are possible, 0 for one a core", options.threads, kThreadsMax);
  }
  if (options.prefill_rows < 1 || options.prefill_rows > model::Model::kRowsMax) {
    return fail("{} rows a pass: 1 to {} are possible", options.prefill_rows, model::Model::kRowsMax);
  }
  if (!(options.target_error > 0 && options.target_error <= 1))
    return fail("a target error of {}: above 0, at most 1", options.target_error);
  return {};
}

uint64_t kv_budget(const EngineOptions& options) {
  if (options.kv_bytes_max > 0) return options.kv_bytes_max;
  const uint64_t available = memory_available_bytes();
  constexpr uint64_t kUnknown = uint64_t{1} << 30;
  return available > 0 ? available / 2 : kUnknown;
}

engram::Placement placement(EngramPlacement asked) {
  return asked == EngramPlacement::kDisk ? engram::Placement::kDisk : engram::Placement::kMemory;
}

// Errors of prefill reach what is said through keys and values alone, many of which are looked at: at four
// times the error of decode steps the default model's first tokens are 99.5 % the same (docs/benchmarks.md).
constexpr double kPrefillErrorFactor = 4;

bool sparse_prefill(const EngineOptions& options) {
  return options.prefill == PrefillMode::kSparse ||
         (options.prefill == PrefillMode::kAuto && options.attention == AttentionMode::kAdaptive);
}

// Nothing where all attention is exact.
std::optional<attention::SparseOptions> sparse_options(const EngineOptions& options) {
  const bool cold = !options.cold_folder.empty();  // has no 8-bit copies
  attention::SparseOptions sparse;
  sparse.decode = options.attention == AttentionMode::kAdaptive ||
                  (options.attention == AttentionMode::kCertified && !cold);
  if (options.attention == AttentionMode::kCertified) sparse.mode = attention::SparseMode::kCertified;
  sparse.target_error = options.target_error;
  sparse.prefill = sparse_prefill(options);
  sparse.prefill_target_error = std::min(1.0, kPrefillErrorFactor * options.target_error);
  return sparse.decode || sparse.prefill ? std::optional(sparse) : std::nullopt;
}

Result<void> LoadedEngine::open_tiers(const EngineOptions& options, const kernels::Ops* ops) {
  const uint64_t bytes = kv_budget(options);
  home_.vocab_size = model_.config().vocab_size;
  home_.sparse = sparse_options(options);
  const bool sparse = home_.sparse.has_value();
  if (options.cold_folder.empty()) {
    using Forms = kv::BlockPool::Forms;
    auto blocks = kv::BlockPool::create(model_.kv_shape(), bytes,
                                        sparse ? Forms::kBlocksAndSealed : Forms::kBlocks);
    if (!blocks) return pass(blocks);
    home_.pool = &blocks_.emplace(std::move(*blocks));
    return {};
  }
  if (options.attention == AttentionMode::kCertified)
    home_.warnings.push_back(
        "certified attention reads 8-bit copies of everything, which a cold tier does not keep: exact");
  home_.model = engine::segment_model(file_, model_.kv_shape());
  if (sparse && home_.sparse->prefill) home_.model.content_version |= kv::kSparsePrefillContent;
  auto store = kv::Store::open({.folder = options.cold_folder, .bytes_max = options.cold_bytes_max});
  if (!store) return pass(store);
  store_ = std::move(*store);
  kv::TierOptions tiers;
  tiers.bytes_max = bytes;
  tiers.hot_bytes = options.hot_bytes;
  tiers.warm_bytes = options.warm_bytes;
  tiers.store = store_.get();
  tiers.model = home_.model;
  tiers.ops = ops;
  tiers.keep_summaries = sparse;
  tiers.keep_copies = sparse && home_.sparse->decode &&
                      home_.sparse->mode == attention::SparseMode::kAdaptive;
  auto opened = kv::Tiers::open(model_.kv_shape(), tiers);
  if (!opened) return pass(opened);
  tiers_ = std::move(*opened);
  home_.tiers = tiers_.get();
  home_.store = store_.get();
  home_.pool = &tiers_->pool();
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  auto checked = check_options(options);
  if (!checked) return pass(checked);
  auto ops = kernels::select_ops();
  if (!ops) return pass(ops);
  auto file = model::Gguf::open(options.model_path);
  if (!file) return pass(file);
  auto pool = std::make_unique<core::ThreadPool>(options.threads > 0 ? options.threads : usable_cpus());

  // The vocabulary takes as long to read as a good part of the weights: both at once.
  Result<std::unique_ptr<Text>> text = fail("not read");
  std::thread text_reader([&] { text = engine::make_text(*file); });
  auto model = model::Model::load(*file, **ops, *pool, options.on_load, placement(options.engram));
  text_reader.join();
  if (!model) return pass(model);
  if (!text) return pass(text);

  auto engine = std::make_unique<LoadedEngine>(std::move(*file), std::move(pool), std::move(*model));
  if (auto opened = engine->open_tiers(options, *ops); !opened) return pass(opened);
  engine->describe(options, (*ops)->name);
  engine->take_text(std::move(*text));
  return engine;
}

}  // namespace mneme

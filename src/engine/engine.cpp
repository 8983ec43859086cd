// Engine and Session over one Model: what is loaded, what a step does, and where contexts live.
#include "mneme/engine.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/thread_pool.h"
#include "engine/plan.h"
#include "engine/text.h"
#include "kernels/select.h"
#include "kv/kv.h"
#include "mneme/machine.h"
#include "model/gguf.h"
#include "model/model.h"

namespace mneme {

using core::fail;
using core::pass;

namespace {

class LoadedSession final : public Session {
 public:
  LoadedSession(kv::BlockPool& blocks, int vocab_size) : sequence_(blocks), vocab_size_(vocab_size) {}

  Result<void> append(std::span<const TokenId> tokens) override;
  std::span<const TokenId> tokens() const override { return tokens_; }
  size_t pending() const override { return tokens_.size() - evaluated(); }
  std::span<const float> logits() const override {
    return pending() == 0 ? std::span<const float>(logits_) : std::span<const float>();
  }
  void truncate(size_t count) override;
  Result<void> repeat_for_bench(size_t period, size_t depth) override;

  // The next `count` pending tokens as a chunk for the model.
  model::Chunk chunk(size_t count, model::LogitsOf logits) {
    return {&sequence_, std::span(tokens_).subspan(evaluated(), count), logits};
  }
  void keep_logits(std::span<const float> row) { logits_.assign(row.begin(), row.end()); }

 private:
  size_t evaluated() const { return static_cast<size_t>(sequence_.token_count()); }

  kv::Sequence sequence_;  // knows how many tokens were evaluated
  int vocab_size_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;  // [vocab_size] after the last evaluated token, or empty
};

class LoadedEngine final : public Engine {
 public:
  LoadedEngine(model::Gguf file, std::unique_ptr<core::ThreadPool> pool, model::Model model,
               kv::BlockPool blocks)
      : file_(std::move(file)),
        pool_(std::move(pool)),
        model_(std::move(model)),
        blocks_(std::move(blocks)) {}

  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return *text_; }
  std::unique_ptr<Session> new_session() override {
    return std::make_unique<LoadedSession>(blocks_, model_.config().vocab_size);
  }
  Result<size_t> step(std::span<Session* const> sessions) override;
  Result<void> logits_of(Session& session, std::span<const TokenId> tokens, bool decode,
                         const std::function<void(std::span<const float>)>& row) override;
  uint64_t kv_bytes_used() const override { return blocks_.bytes_used(); }
  uint64_t kv_bytes_max() const override { return blocks_.bytes_max(); }

  void describe(const EngineOptions& options, const char* isa);
  void take_text(std::unique_ptr<Text> text) { text_ = std::move(text); }

 private:
  size_t vocab_size() const { return static_cast<size_t>(model_.config().vocab_size); }
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
  kv::BlockPool blocks_;
  std::unique_ptr<Text> text_;
  ModelInfo info_;
  // Scratch of a step, kept so that nothing is allocated a token.
  std::vector<size_t> pending_, rows_;  // [sessions]
  std::vector<model::Chunk> chunks_;
  std::vector<float> logits_;  // [rows, vocab_size]
};

Result<void> LoadedSession::append(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= vocab_size_) {
      return fail("token {} is outside the vocabulary of {}", token, vocab_size_);
    }
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return {};
}

void LoadedSession::truncate(size_t count) {
  if (count >= tokens_.size()) return;
  tokens_.resize(count);
  // Tokens that were only pending leave the evaluated ones, and the logits after them, as they are.
  if (count >= evaluated()) return;
  // A model that forgets what is far back cannot always return there: then everything is evaluated anew.
  const size_t taken_back = evaluated() - count;
  const bool possible = taken_back <= static_cast<size_t>(sequence_.tokens_truncatable());
  sequence_.truncate(possible ? static_cast<int>(count) : 0);
  logits_.clear();
}

Result<void> LoadedSession::repeat_for_bench(size_t period, size_t depth) {
  if (period == 0 || period % kv::kBlockTokens != 0 || period > evaluated() || depth < period) {
    return fail("cannot repeat {} tokens to {}: a multiple of {} is needed, all evaluated", period, depth,
                kv::kBlockTokens);
  }
  auto repeated = sequence_.repeat_for_bench(static_cast<int>(period), static_cast<int>(depth));
  if (!repeated) return pass(repeated);
  logits_.clear();
  tokens_.resize(period);
  tokens_.reserve(depth);
  while (tokens_.size() < depth) tokens_.push_back(tokens_[tokens_.size() - period]);
  return {};
}

Result<size_t> LoadedEngine::step(std::span<Session* const> sessions) {
  pending_.clear();
  for (const Session* session : sessions) pending_.push_back(session->pending());
  engine::plan_step(pending_, {info_.prefill_rows, model::Model::kRowsMax}, rows_);

  chunks_.clear();
  size_t evaluated = 0;
  size_t logits_count = 0;
  for (size_t i = 0; i < sessions.size(); ++i) {
    if (rows_[i] == 0) continue;
    const bool last = rows_[i] == pending_[i];
    chunks_.push_back(static_cast<LoadedSession*>(sessions[i])
                          ->chunk(rows_[i], last ? model::LogitsOf::kLast : model::LogitsOf::kNone));
    evaluated += rows_[i];
    logits_count += last ? 1 : 0;
  }
  if (chunks_.empty()) return size_t{0};
  auto done = model_.forward(chunks_, logits_rows(logits_count), *pool_);
  if (!done) return pass(done);

  size_t row = 0;
  for (size_t i = 0; i < sessions.size(); ++i) {
    if (rows_[i] == 0 || rows_[i] != pending_[i]) continue;
    static_cast<LoadedSession*>(sessions[i])->keep_logits(logits_row(row++));
  }
  return evaluated;
}

Result<void> LoadedEngine::logits_of(Session& session, std::span<const TokenId> tokens, bool decode,
                                     const std::function<void(std::span<const float>)>& row) {
  constexpr size_t kLogitsBytesMax = size_t{64} << 20;
  auto& loaded = static_cast<LoadedSession&>(session);
  if (loaded.pending() > 0) return fail("{} tokens of the session are not evaluated yet", loaded.pending());
  auto appended = loaded.append(tokens);
  if (!appended) return appended;
  const size_t rows_max =
      decode ? 1
             : std::clamp<size_t>(kLogitsBytesMax / (vocab_size() * sizeof(float)), 1, info_.prefill_rows);
  while (loaded.pending() > 0) {
    const size_t count = std::min(loaded.pending(), rows_max);
    const model::Chunk chunk = loaded.chunk(count, model::LogitsOf::kAll);
    auto done = model_.forward({&chunk, 1}, logits_rows(count), *pool_);
    if (!done) {
      loaded.truncate(loaded.tokens().size() - loaded.pending());
      return done;
    }
    for (size_t i = 0; i < count; ++i) row(logits_row(i));
    loaded.keep_logits(logits_row(count - 1));
  }
  return {};
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
  info_.kv_token_bytes = model_.kv_shape().token_bytes();
}

Result<void> check_options(const EngineOptions& options) {
  constexpr int kThreadsMax = 1024;
  if (options.threads < 0 || options.threads > kThreadsMax) {
    return fail("{} threads: 1 to {} are possible, 0 for one a core", options.threads, kThreadsMax);
  }
  if (options.prefill_rows < 1 || options.prefill_rows > model::Model::kRowsMax) {
    return fail("{} rows a pass: 1 to {} are possible", options.prefill_rows, model::Model::kRowsMax);
  }
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

  auto blocks = kv::BlockPool::create(model->kv_shape(), kv_budget(options));
  if (!blocks) return pass(blocks);
  auto engine = std::make_unique<LoadedEngine>(std::move(*file), std::move(pool), std::move(*model),
                                               std::move(*blocks));
  engine->describe(options, (*ops)->name);
  engine->take_text(std::move(*text));
  return engine;
}

}  // namespace mneme

#include "model/model.h"

#include <utility>

#include "model/forward.h"
#include "model/weights.h"

namespace mneme::model {

struct Model::State {
  Config config;
  Weights weights;
  RopeFrequencies rope;
  const kernels::Ops* ops;
  Scratch scratch;
};

// A pass that fails is taken back.
static_assert(Model::kRowsMax <= kv::kRewindTokens);

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model::~Model() = default;

Result<Model> Model::load(const Gguf& file, const kernels::Ops& ops, core::ThreadPool& pool,
                          const std::function<void(double)>& progress, engram::Placement engram_placement) {
  auto config = read_config(file);
  if (!config) return core::pass(config);
  auto weights = load_weights(file, *config, pool, progress, engram_placement);
  if (!weights) return core::pass(weights);
  auto scratch = Scratch::reserve(*config, *weights, kRowsMax, pool.thread_count());
  if (!scratch) return core::pass(scratch);
  RopeFrequencies rope = rope_frequencies(config->rope, weights->rope_divisors);
  return Model(std::make_unique<State>(
      State{std::move(*config), std::move(*weights), std::move(rope), &ops, std::move(*scratch)}));
}

const Config& Model::config() const { return state_->config; }
kv::KvShape Model::kv_shape() const { return model::kv_shape(state_->config); }
uint64_t Model::weight_bytes() const {
  uint64_t bytes = state_->weights.arena.size_used();
  for (const LayerWeights& layer : state_->weights.layers) {
    if (layer.engram.table != nullptr) bytes += layer.engram.table->memory_bytes();
  }
  return bytes;
}
uint64_t Model::decode_bytes() const { return state_->weights.decode_bytes; }
uint64_t Model::parameters() const { return state_->weights.parameters; }

Result<void> Model::forward(std::span<const Chunk> chunks, std::span<float> logits, core::ThreadPool& pool) {
  size_t rows = 0, wanted = 0;
  for (const Chunk& chunk : chunks) {
    MNEME_CHECK(!chunk.tokens.empty());
    for (const TokenId token : chunk.tokens) {
      MNEME_CHECK(token >= 0 && token < state_->config.vocab_size, "token {} of {}", token,
                  state_->config.vocab_size);
    }
    rows += chunk.tokens.size();
    wanted += chunk.logits == LogitsOf::kAll ? chunk.tokens.size() : chunk.logits == LogitsOf::kLast ? 1 : 0;
  }
  MNEME_CHECK(rows >= 1 && rows <= static_cast<size_t>(kRowsMax), "{} rows", rows);
  MNEME_CHECK(logits.size() == wanted * static_cast<size_t>(state_->config.vocab_size),
              "{} logits for {} rows", logits.size(), wanted);

  // All or nothing: what the chunks before the failing one added is taken back.
  const auto take_back = [&](size_t count) {
    for (const Chunk& chunk : chunks.first(count)) {
      chunk.sequence->truncate(chunk.sequence->token_count() - static_cast<int>(chunk.tokens.size()));
    }
  };
  for (size_t i = 0; i < chunks.size(); ++i) {
    auto room = chunks[i].sequence->extend(static_cast<int>(chunks[i].tokens.size()));
    if (room) continue;
    take_back(i);
    return room;
  }
  auto done = run_forward({state_->config, state_->weights, state_->rope, *state_->ops, pool, state_->scratch,
                           chunks, static_cast<int>(rows)},
                          logits);
  if (!done) {
    take_back(chunks.size());
    return done;
  }
  for (const Chunk& chunk : chunks) chunk.sequence->make_sealed_forms(*state_->ops, pool);
  return done;
}

}  // namespace mneme::model

// Tiers over a store and a disk that a test can let fail, and contexts whose keys say who they are.
#pragma once

#include "kernels/select.h"
#include "kv/sequence.h"
#include "kv/store_for_test.h"
#include "kv/tiers.h"
#include "tensor/convert.h"

namespace mneme::kv {

// Slabs of 4,096 bytes.
inline KvShape shape_of(int layers, std::vector<int> windows = {}) {
  return {layers, 1, 16, std::move(windows)};
}

struct Kept {
  FolderForTest folder;
  DiskForTest disk;
  std::unique_ptr<Store> store;
  std::unique_ptr<Tiers> tiers;

  explicit Kept(const KvShape& shape, TierOptions options = {}, uint64_t cold_max = 0) {
    auto opened = Store::open({.folder = folder / "store", .bytes_max = cold_max, .disk = &disk});
    MNEME_CHECK(opened, "{}", opened.error().message);
    store = std::move(*opened);
    options.store = store.get();
    options.model = model_for_test();
    options.ops = kernels::available_ops().back();
    options.io.disk = &disk;
    if (options.bytes_max == 0)
      options.bytes_max = options.hot_bytes = least_bytes(shape), options.warm_bytes = 0;
    auto made = Tiers::open(shape, options);
    MNEME_CHECK(made, "{}", made.error().message);
    tiers = std::move(*made);
  }
  // Nothing of the segments in memory any more.
  void reopen(TierOptions options) {
    tiers.reset();
    options.store = store.get();
    options.model = model_for_test();
    options.ops = kernels::available_ops().back();
    options.io.disk = &disk;
    auto made = Tiers::open(shape_of(2), options);
    MNEME_CHECK(made, "{}", made.error().message);
    tiers = std::move(*made);
  }
  // As the error message says it.
  uint64_t least_bytes(const KvShape& shape) const {
    TierOptions options;
    options.bytes_max = shape.slab_bytes() * static_cast<uint64_t>(shape.layers);
    options.store = store.get();
    options.ops = kernels::available_ops().back();
    auto made = Tiers::open(shape, options);
    MNEME_CHECK(!made);
    return std::stoull(made.error().message.substr(made.error().message.find("from ") + 5));
  }
  uint64_t slabs_used() const { return tiers->pool().bytes_used() / tiers->shape().slab_bytes(); }
};

inline float key_of(int token, int at, int layer) {
  return static_cast<float>(token % 1000 + at % 100 + layer);
}

// The context's tokens up to `count`, in passes of `rows`, sealed behind each.
inline Result<void> grow(Sequence& sequence, std::span<const int32_t> tokens, int count, int rows = 256) {
  const auto dim = static_cast<size_t>(sequence.shape().head_dim);
  while (sequence.token_count() < count) {
    const int first = sequence.token_count(), more = std::min(rows, count - first);
    if (auto extended = sequence.extend(more); !extended) return extended;
    for (int layer = 0; layer < sequence.shape().layers; ++layer) {
      std::vector<float> keys;
      for (int at = first; at < first + more; ++at)
        keys.insert(keys.end(), dim, key_of(tokens[static_cast<size_t>(at)], at, layer));
      sequence.store(layer, 0, first, more, keys.data(), keys.data(), dim);
    }
    sequence.seal(tokens, 0);
  }
  return {};
}

// Reads all of it as attention does. Wrong keys are a bug.
inline Result<void> read_back(const Sequence& sequence, std::span<const int32_t> tokens) {
  constexpr int kRun = 32;
  for (int layer = 0; layer < sequence.shape().layers; ++layer) {
    if (sequence.shape().window(layer) > 0) continue;
    for (int block = 0; block < sequence.block_count(); block += kRun) {
      const int count = std::min(kRun, sequence.block_count() - block);
      if (auto held = sequence.hold(layer, block, count); !held) return held;
      std::vector<BlockView> views(static_cast<size_t>(count));
      sequence.view(layer, 0, block, views);
      for (int at = block * kBlockTokens;
           at < std::min((block + count) * kBlockTokens, sequence.token_count()); ++at) {
        const BlockView& view = views[static_cast<size_t>(at / kBlockTokens - block)];
        const float key = tensor::to_f32(tensor::Bf16{view.keys[at % kBlockTokens * 2]});
        const float expected = key_of(tokens[static_cast<size_t>(at)], at, layer);
        MNEME_CHECK(key == tensor::to_f32(tensor::to_bf16(expected)), "token {}: {} for {}", at, key,
                    expected);
      }
      sequence.release(layer, block, count);
    }
  }
  return {};
}

// What the next token reads of layers with a window.
inline void check_windows(const Sequence& sequence, std::span<const int32_t> tokens) {
  for (int layer = 0; layer < sequence.shape().layers; ++layer) {
    const int window = sequence.shape().window(layer);
    for (int at = std::max(0, sequence.token_count() - window + 1); window > 0 && at < sequence.token_count();
         ++at) {
      BlockView view;
      sequence.view(layer, 0, at / kBlockTokens, {&view, 1});
      const float expected = key_of(tokens[static_cast<size_t>(at)], at, layer);
      MNEME_CHECK(view.keys[at % kBlockTokens * 2] == tensor::to_bf16(expected).bits, "token {}", at);
    }
  }
}

// Grows it with what is lost computed again.
inline void evaluate(Sequence& sequence, std::span<const int32_t> tokens) {
  for (int round = 0; round < 100; ++round) {
    auto done = grow(sequence, tokens, static_cast<int>(tokens.size()));
    if (done) done = read_back(sequence, tokens);
    if (done) return;
    MNEME_CHECK(sequence.damaged_segment() >= 0, "{}", done.error().message);
    sequence.truncate(sequence.damaged_segment() * kSegmentTokens);
  }
  MNEME_CHECK(false, "still damaged");
}

}  // namespace mneme::kv

// A context whose blocks need not be in memory, nor their 8-bit copies: for tests of sparse attention.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <span>

#include "core/error.h"
#include "kv/kv.h"

namespace mneme::attention {

// The blocks of a context, with 8-bit copies of those that `has_copy` names. Where `far`, blocks may be read
// only while they are held.
class FarBlocks final : public kv::BlockSource {
 public:
  FarBlocks(const kv::Sequence& of, bool far, int hold_max) : of_(of), far_(far), hold_max_(hold_max) {}

  void view(int layer, int kv_head, int first_block, std::span<kv::BlockView> out) const override {
    for (int block = first_block; block < first_block + static_cast<int>(out.size()); ++block)
      MNEME_CHECK(!far_ || holds_.contains(block), "block {} is not held", block);
    of_.view(layer, kv_head, first_block, out);
  }
  int sealed_blocks(int layer) const override { return of_.sealed_blocks(layer); }
  bool copies_sealed(int) const override { return false; }
  void sealed(int layer, int kv_head, int first_block, std::span<kv::SealedBlock> out) const override {
    of_.sealed(layer, kv_head, first_block, out);
    for (size_t i = 0; i < out.size(); ++i) {
      if (!has_copy(first_block + static_cast<int>(i))) out[i].fp8 = {};
    }
  }
  bool whole(int) const override { return !far_; }
  Result<void> hold_some(int, std::span<const int> blocks) const override {
    if (holds_left-- == 0) return core::fail("far.kv: the disk is gone");
    for (const int block : blocks) ++holds_[block];
    held += blocks.size();
    held_most = std::max(held_most, static_cast<int>(blocks.size()));
    return {};
  }
  void release_some(int, std::span<const int> blocks) const override {
    for (const int block : blocks) {
      const auto found = holds_.find(block);
      MNEME_CHECK(found != holds_.end(), "block {} was not held", block);
      if (--found->second == 0) holds_.erase(found);
    }
  }
  int hold_some_max() const override { return hold_max_; }

  bool holds_nothing() const { return holds_.empty(); }
  std::function<bool(int block)> has_copy = [](int) { return false; };
  mutable size_t held = 0;
  mutable int held_most = 0, holds_left = -1;

 private:
  const kv::Sequence& of_;
  bool far_;
  int hold_max_;
  mutable std::map<int, int> holds_;
};

}  // namespace mneme::attention

// Sealed forms of a context's blocks, beside the bf16 originals.
#include "kv/sealed_block.h"
#include "kv/sequence.h"

namespace mneme::kv {

void Sequence::make_sealed_forms(const kernels::Ops& ops, core::ThreadPool& threads) {
  const int end = token_count_ / kBlockTokens, fresh = end - formed_blocks_;
  if (tiers_ != nullptr || !pool_->keeps_sealed() || fresh <= 0) return;
  const int heads = shape().kv_heads;
  threads.run(shape().layers * fresh, [&](int task, int) {
    const int layer = task / fresh, block = formed_blocks_ + task % fresh;
    if (!keeps_all(layer)) return;
    const SlabId of = slab(layer, block);
    for (int head = 0; head < heads; ++head) {
      const SealedForm form = pool_->sealed_form(of, head);
      kv::seal(ops, {pool_->keys(of, head), pool_->values(of, head)}, kBlockTokens, shape().head_dim, form);
      pool_->value_spread(of, head) = value_spread(summary_at(form.summary, shape().head_dim),
                                                   shape().head_dim);
    }
  });
  for (int layer = 0; layer < shape().layers; ++layer) {
    for (int block = formed_blocks_; keeps_all(layer) && block < end; ++block)
      pool_->set_sealed(slab(layer, block), true);
  }
  formed_blocks_ = end;
}

void Sequence::drop_sealed_forms(int token_count) {
  const int end = token_count / kBlockTokens;
  for (int layer = 0; pool_->keeps_sealed() && layer < shape().layers; ++layer) {
    const int held = layers_[static_cast<size_t>(layer)].end_block();
    for (int block = end; keeps_all(layer) && block < held; ++block)
      pool_->set_sealed(slab(layer, block), false);
  }
  formed_blocks_ = std::min(formed_blocks_, end);
}

int Sequence::sealed_blocks(int layer) const {
  if (!keeps_all(layer)) return 0;
  if (tiers_ != nullptr)
    return tiers_->keeps_summaries() ? static_cast<int>(summarised_segments_) * kSegmentBlocks : 0;
  return pool_->keeps_sealed() ? formed_blocks_ : 0;
}

bool Sequence::copies_sealed(int) const { return tiers_ == nullptr; }

void Sequence::make_copies(int layer) const {
  if (tiers_ != nullptr && keeps_all(layer)) tiers_->make_copies(segments_, layer);
}

Result<void> Sequence::load_summaries() {
  if (tiers_ == nullptr) return {};
  if (!tiers_->keeps_summaries()) summarised_segments_ = 0;
  if (summarised_segments_ == segments_.size()) return {};
  const auto missing = std::span(segments_).subspan(summarised_segments_);
  int damaged = -1;
  auto loaded = tiers_->load_summaries(missing, damaged);
  damaged_ = damaged < 0 ? -1 : damaged + static_cast<int>(summarised_segments_);
  if (loaded) summarised_segments_ = segments_.size();
  return loaded;
}

void Sequence::sealed(int layer, int kv_head, int first_block, std::span<SealedBlock> out) const {
  const int sealed_count = sealed_blocks(layer);
  for (size_t i = 0; i < out.size(); ++i) {
    const int block = first_block + static_cast<int>(i);
    out[i] = {};
    if (block >= sealed_count) continue;
    if (tiers_ != nullptr) {
      const Segment& segment = *segments_[static_cast<size_t>(block / kSegmentBlocks)];
      const Tiers::BlockSummary of = tiers_->summary(segment, layer, block % kSegmentBlocks, kv_head);
      out[i].summary = summary_at(of.bytes, shape().head_dim);
      out[i].value_spread = of.value_spread;
      const std::byte* copy = tiers_->copy(segment, layer, block % kSegmentBlocks, kv_head);
      if (copy != nullptr) out[i].fp8 = fp8_at(copy, shape().head_dim);
      continue;
    }
    const SlabId of = slab(layer, block);
    const SealedForm form = pool_->sealed_form(of, kv_head);
    out[i] = {summary_at(form.summary, shape().head_dim), fp8_at(form.fp8, shape().head_dim, form.format),
              pool_->value_spread(of, kv_head)};
  }
}

}  // namespace mneme::kv

// Flash attention over 8-bit copies of blocks (kernels/sealed.h), for ISA files. A group of up to kSealedRows
// query rows goes through a block together, so that each code is read once. With centre m[c] and scale a[c]
// of a block's channels:
//   q . k = q . m + sum_c (q[c] a[c]) code[t, c]
// The sums over codes: attend_int8.inl, 4 blocks at a time, and attend_e4m3.inl.
#pragma once

#include "kernels/shared/attend_e4m3.inl"
#include "kernels/shared/attend_int8.inl"

namespace mneme::kernels {
namespace {

// Blocks from `first` on that go together: of one format, int8 up to kBatchBlocks.
inline int batch_of(const AttendSealedTask& task, int first) {
  if (task.copies[first].format() == CopyFormat::kE4M3) return 1;
  int end = first + 1;
  while (end < task.blocks && end < first + kBatchBlocks && task.copies[end].format() == CopyFormat::kInt8)
    ++end;
  return end - first;
}

// Asks for what is read of a block beside its codes.
inline void ask_for_scales(const AttendSealedTask& task, int block) {
  const SealedSummary& summary = task.summaries[block];
  const SealedFp8& copy = task.copies[block];
  const bool is_int8 = copy.format() == CopyFormat::kInt8;
  Simd::prefetch(summary.statistics);
  if (is_int8) {
    for (const int t : {0, 32, 63}) Simd::prefetch(copy.value_scales + t);
  }
  if (!is_int8) Simd::prefetch(copy.value_exponents);
  for (int c = 0; c < task.head_dim; c += 32) {
    Simd::prefetch(summary.key_centres + c);
    if (is_int8) Simd::prefetch(copy.key_scales + c);
  }
  Simd::prefetch(summary.key_centres + task.head_dim - 1);
}

// Asks for all of a copy.
inline void ask_for_copy(const AttendSealedTask& task, int block) {
  const SealedFp8& copy = task.copies[block];
  ask_for_scales(task, block);
  for (int i = 0; i < kBlock * task.head_dim; i += 64) Simd::prefetch(copy.keys + i);
  for (int i = 0; i < kBlock * task.head_dim; i += 64) Simd::prefetch(copy.values + i);
}

// Every row through every block; `int8` takes a batch of rows and blocks.
template <class Int8>
inline void sealed_blocks(const AttendSealedTask& task, Int8 int8) {
  const SealedScratch s(task.scratch, task.head_dim);
  // Later ones are asked for a batch ahead.
  for (int block = 0; block < kBatchBlocks && block < task.blocks; ++block) ask_for_copy(task, block);
  for (int block = 0, count = 0; block < task.blocks; block += count) {
    count = batch_of(task, block);
    for (int next = block + count; next < task.blocks && next < block + 2 * count; ++next)
      ask_for_scales(task, next);
    for (int row = 0; row < task.rows; row += kSealedRows) {
      const int rows = task.rows - row < kSealedRows ? task.rows - row : kSealedRows;
      if (task.copies[block].format() == CopyFormat::kInt8) {
        int8({task, s, block, count, row, rows});
      } else {
        e4m3_group<kSealedRows>(rows, task, s, block, row);
      }
    }
  }
}

// Ops::attend_sealed. Heads that do not fill whole vectors, or overflow the sums, are rare: the oracle serves
// them.
void vector_attend_sealed(const AttendSealedTask& task) {
  if (task.head_dim % 16 != 0 || task.head_dim > kSealedHeadDimMax) return scalar_ops().attend_sealed(task);
  sealed_blocks(task, [](const Int8Batch& batch) { int8_vectors_batch<kSealedRows>(batch); });
}

}  // namespace
}  // namespace mneme::kernels

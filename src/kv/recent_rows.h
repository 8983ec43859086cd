#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "kv/block.h"

namespace mneme::kv {

// What layers remember of the last tokens beside keys and values: rings of f32 rows, and the token ids.
// A token's rows are written in its pass. After a truncation by up to kRewindTokens, the rows of the shape's
// recent_history tokens before the new end are still there, so that a token's result does not depend on how
// the tokens before it were cut into passes or what was taken back.
class RecentRows {
 public:
  explicit RecentRows(const KvShape& shape);

  // [widths[ring]]: the row of a token among the last tokens_ written.
  float* row(int ring, int token) {
    const auto r = static_cast<size_t>(ring);
    return rows_[r].data() + slot(token) * widths_[r];
  }
  const float* row(int ring, int token) const { return const_cast<RecentRows*>(this)->row(ring, token); }
  // What a continuation from token `end` on reads of the tokens before it, as bytes: recent_history ids,
  // then as many rows of each ring; tokens before the first are zero. Nothing where there are no rings.
  size_t history_bytes() const;
  void save_history(int end, std::span<std::byte> out) const;
  void load_history(int end, std::span<const std::byte> in);
  void copy_from(const RecentRows& other);  // of the same widths

  int32_t& id(int token) { return ids_[slot(token)]; }
  int32_t id(int token) const { return ids_[slot(token)]; }

 private:
  size_t slot(int token) const { return static_cast<size_t>(token % tokens_); }

  int history_;  // tokens before a pass that it reads
  int tokens_;   // tokens held: a whole pass, what it reads before itself, and what it overwrites stay apart
  std::vector<size_t> widths_;
  std::vector<std::span<float>> rows_;  // [ring]: [tokens_, width]
  std::vector<int32_t> ids_;            // [tokens_], where there are rings
  core::Arena arena_;
};

}  // namespace mneme::kv

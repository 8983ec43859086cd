#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "kv/block.h"

namespace mneme::kv {

// How far before its first token a pass may read recent rows: token t reads t - 1 .. t - kRecentHistory.
inline constexpr int kRecentHistory = 16;

// What layers remember of the last tokens beside keys and values: rings of f32 rows, and the token ids.
// A token's rows are written in its pass. After a truncation by up to kRewindTokens, the rows of the
// kRecentHistory tokens before the new end are still there, so that a token's result does not depend on how
// the tokens before it were cut into passes or what was taken back.
class RecentRows {
 public:
  // Tokens held: a whole pass, what it reads before itself, and what it overwrites stay apart.
  static constexpr int kTokens = kRewindTokens + kRecentHistory;

  explicit RecentRows(std::span<const int> widths);

  // [widths[ring]]: the row of a token among the last kTokens written.
  float* row(int ring, int token) {
    const auto r = static_cast<size_t>(ring);
    return rows_[r].data() + static_cast<size_t>(token % kTokens) * widths_[r];
  }
  const float* row(int ring, int token) const { return const_cast<RecentRows*>(this)->row(ring, token); }
  // What a continuation from token `end` on reads of the tokens before it, as bytes: kRecentHistory ids, then
  // as many rows of each ring; tokens before the first are zero. Nothing where there are no rings.
  size_t history_bytes() const;
  void save_history(int end, std::span<std::byte> out) const;
  void load_history(int end, std::span<const std::byte> in);
  void copy_from(const RecentRows& other);  // of the same widths

  int32_t& id(int token) { return ids_[static_cast<size_t>(token % kTokens)]; }
  int32_t id(int token) const { return ids_[static_cast<size_t>(token % kTokens)]; }

 private:
  std::vector<size_t> widths_;
  std::vector<std::span<float>> rows_;  // [ring]: [kTokens, width]
  std::vector<int32_t> ids_;            // [kTokens], where there are rings
  core::Arena arena_;
};

}  // namespace mneme::kv

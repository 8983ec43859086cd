#include "kv/recent_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace mneme::kv {

RecentRows::RecentRows(const KvShape& shape)
    : history_(shape.recent_history), tokens_(kRewindTokens + shape.recent_history) {
  if (shape.recent_widths.empty()) return;
  const auto tokens = static_cast<size_t>(tokens_);
  size_t bytes = 0;
  for (const int width : shape.recent_widths) {
    widths_.push_back(static_cast<size_t>(width));
    bytes += tokens * widths_.back() * sizeof(float) + core::Arena::kAlign;
  }
  auto arena = core::Arena::reserve(bytes);
  MNEME_CHECK(arena.has_value(), "{}", arena.error().message);
  arena_ = std::move(*arena);
  for (const size_t width : widths_) rows_.push_back(arena_.take_array<float>(tokens * width));
  ids_.resize(tokens);
}

size_t RecentRows::history_bytes() const {
  size_t floats = 0;
  for (const size_t width : widths_) floats += width;
  return widths_.empty() ? 0 : static_cast<size_t>(history_) * (sizeof(int32_t) + floats * sizeof(float));
}

void RecentRows::save_history(int end, std::span<std::byte> out) const {
  MNEME_CHECK(out.size() == history_bytes(), "{} bytes", out.size());
  if (widths_.empty()) return;
  std::ranges::fill(out, std::byte{0});
  for (int i = 0; i < history_; ++i) {
    const int token = end - history_ + i;
    if (token < 0) continue;
    const int32_t own = id(token);
    std::memcpy(&out[static_cast<size_t>(i) * sizeof(own)], &own, sizeof(own));
    size_t at = static_cast<size_t>(history_) * sizeof(own);
    for (size_t ring = 0; ring < widths_.size(); ++ring) {
      const size_t bytes = widths_[ring] * sizeof(float);
      std::memcpy(&out[at + static_cast<size_t>(i) * bytes], row(static_cast<int>(ring), token), bytes);
      at += static_cast<size_t>(history_) * bytes;
    }
  }
}

void RecentRows::load_history(int end, std::span<const std::byte> in) {
  MNEME_CHECK(in.size() == history_bytes(), "{} bytes", in.size());
  if (widths_.empty()) return;
  for (int i = 0; i < history_; ++i) {
    const int token = end - history_ + i;
    if (token < 0) continue;
    std::memcpy(&id(token), &in[static_cast<size_t>(i) * sizeof(int32_t)], sizeof(int32_t));
    size_t at = static_cast<size_t>(history_) * sizeof(int32_t);
    for (size_t ring = 0; ring < widths_.size(); ++ring) {
      const size_t bytes = widths_[ring] * sizeof(float);
      std::memcpy(row(static_cast<int>(ring), token), &in[at + static_cast<size_t>(i) * bytes], bytes);
      at += static_cast<size_t>(history_) * bytes;
    }
  }
}

void RecentRows::copy_from(const RecentRows& other) {
  MNEME_CHECK(widths_ == other.widths_, "other widths");
  for (size_t ring = 0; ring < widths_.size(); ++ring)
    std::ranges::copy(other.rows_[ring], rows_[ring].begin());
  ids_ = other.ids_;
}

}  // namespace mneme::kv

#include "kv/recent_rows.h"

#include <utility>

#include "core/error.h"

namespace mneme::kv {

RecentRows::RecentRows(std::span<const int> widths) {
  if (widths.empty()) return;
  size_t bytes = 0;
  for (const int width : widths) {
    widths_.push_back(static_cast<size_t>(width));
    bytes += kTokens * widths_.back() * sizeof(float) + core::Arena::kAlign;
  }
  auto arena = core::Arena::reserve(bytes);
  MNEME_CHECK(arena.has_value(), "{}", arena.error().message);
  arena_ = std::move(*arena);
  for (const size_t width : widths_) rows_.push_back(arena_.take_array<float>(kTokens * width));
  ids_.resize(kTokens);
}

}  // namespace mneme::kv

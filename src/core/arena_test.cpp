#include "core/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

namespace mneme::core {
namespace {

constexpr size_t kPage = size_t{4} << 10;

// Pages that are in memory.
size_t resident(std::span<const std::byte> bytes) {
  std::vector<unsigned char> pages((bytes.size() + kPage - 1) / kPage);
  auto* start = const_cast<std::byte*>(bytes.data());
  EXPECT_EQ(::mincore(start, bytes.size(), pages.data()), 0);
  return static_cast<size_t>(
      std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

TEST(Arena, LessThanAHugePageCostsWhatIsTouched) {
  constexpr size_t kSize = (size_t{2} << 20) - kPage, kTouched = 7;
  std::vector<Arena> arenas;  // several side by side: none may become part of a huge page with its neighbour
  for (int i = 0; i < 8; ++i) {
    auto arena = Arena::reserve(kSize);
    ASSERT_TRUE(arena.has_value()) << arena.error().message;
    arenas.push_back(std::move(*arena));
  }
  for (Arena& arena : arenas) {
    const auto piece = arena.take(kSize);
    for (size_t i = 0; i < kTouched; ++i) piece[i * kSize / kTouched] = std::byte{1};
    EXPECT_EQ(resident(piece), kTouched);
  }
}

TEST(Arena, IsAsLargeAsAskedAndZero) {
  for (const size_t bytes : {size_t{0}, size_t{1}, kPage, kPage + 1, size_t{2} << 20, size_t{3} << 20}) {
    auto arena = Arena::reserve(bytes);
    ASSERT_TRUE(arena.has_value()) << arena.error().message;
    ASSERT_GE(arena->size_max(), bytes);
    const auto all = arena->take(arena->size_max());
    EXPECT_TRUE(std::ranges::all_of(all, [](std::byte byte) { return byte == std::byte{0}; })) << bytes;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(all.data()) % Arena::kAlign, 0U);
  }
}

}  // namespace
}  // namespace mneme::core

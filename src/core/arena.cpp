#include "core/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace mneme::core {

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallPage = size_t{4} << 10;
constexpr size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }
}  // namespace

Result<Arena> Arena::reserve(size_t bytes_max) {
  // Less than a huge page would cost a whole one at the first byte: a server has hundreds of short contexts,
  // whose rings (kv/recent_rows.h) are of this size.
  const size_t page = bytes_max < kHugePage ? kSmallPage : kHugePage;
  // mmap gives 4 KiB alignment: reserve one page more and cut to its border at both ends.
  const size_t size = round_up(std::max<size_t>(bytes_max, 1), page);
  void* raw = ::mmap(nullptr, size + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return fail("cannot reserve {} bytes of memory: {}", size, std::strerror(errno));
  const auto start = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = round_up(start, page);
  if (aligned > start) ::munmap(raw, aligned - start);
  const size_t tail = start + page - aligned;
  if (tail > 0) ::munmap(reinterpret_cast<void*>(aligned + size), tail);
  Arena arena;
  arena.data_ = reinterpret_cast<std::byte*>(aligned);
  arena.size_ = size;
  // A wish: 4 KiB pages are slower, not wrong.
  ::madvise(arena.data_, size, page == kHugePage ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return arena;
}

Arena::~Arena() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      used_(std::exchange(other.used_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(used_, other.used_);
  return *this;
}

std::span<std::byte> Arena::take(size_t bytes) {
  const size_t size = round_up(bytes, kAlign);
  MNEME_CHECK(size <= size_ - used_, "arena of {} bytes has {} left, {} asked", size_, size_ - used_, bytes);
  std::byte* piece = data_ + used_;
  used_ += size;
  return {piece, bytes};
}

}  // namespace mneme::core

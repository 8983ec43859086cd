#include "kv/io_piece.h"

#include <algorithm>
#include <cstring>

namespace mneme::kv {

namespace {

bool aligned(uint64_t value) { return value % kDiskAlign == 0; }
uint64_t address(const iovec& v) { return reinterpret_cast<uintptr_t>(v.iov_base); }
constexpr size_t round_down(size_t value) { return value / kDiskAlign * kDiskAlign; }

}  // namespace

bool IoCursor::at_end() {
  while (span < into.size() && byte == into[span].size()) ++span, byte = 0;
  return span == into.size();
}

void IoPiece::cut(int descriptor, bool direct, IoCursor& cursor) {
  descriptor_ = descriptor;
  direct_ = direct;
  offset_ = cursor.offset;
  IoCursor end = gather(cursor, bytes_max_);
  // An unaligned tail of much that is aligned becomes a piece of its own, so that only the tail is copied.
  const size_t prefix = aligned_prefix();
  if (direct && prefix < bytes_ && prefix >= bytes_max_ / 2) end = gather(cursor, prefix);
  end.offset += bytes_;
  cursor = end;
  arm();
}

// Collects where the next bytes go; the cursor behind them, but for its offset.
IoCursor IoPiece::gather(IoCursor from, size_t bytes_max) {
  bytes_ = 0;
  first_ = 0;
  into_.clear();
  while (bytes_ < bytes_max && into_.size() < kPieceSpansMax && !from.at_end()) {
    const auto span = from.into[from.span].subspan(from.byte);
    const size_t take = std::min(span.size(), bytes_max - bytes_);
    into_.push_back({span.data(), take});
    bytes_ += take;
    from.byte += take;
  }
  return from;
}

// How many bytes from the first on can be read directly to where they belong.
size_t IoPiece::aligned_prefix() const {
  size_t prefix = 0;
  if (!aligned(offset_)) return 0;
  for (size_t i = first_; i < into_.size() && aligned(address(into_[i])); ++i) {
    prefix += round_down(into_[i].iov_len);
    if (!aligned(into_[i].iov_len)) break;
  }
  return prefix;
}

void IoPiece::arm() {
  bounced_ = direct_ && aligned_prefix() < bytes_;
  if (!bounced_) return;
  if (bounce_ == nullptr) bounce_ = aligned_bytes(bytes_max_ + 2 * kDiskAlign);
  bounce_into_ = {bounce_.get(), disk_padded(head() + bytes_)};
}

bool IoPiece::advance(size_t got) {
  if (bounced_) {
    if (got <= head()) return false;
    skip(std::min(got - head(), bytes_), bounce_.get() + head());
  } else {
    if (got == 0) return false;
    skip(std::min(got, bytes_), nullptr);
  }
  if (bytes_ > 0) arm();
  return true;
}

// The next bytes are there, or to be copied from `from`.
void IoPiece::skip(size_t bytes, const std::byte* from) {
  offset_ += bytes;
  bytes_ -= bytes;
  while (bytes > 0) {
    iovec& into = into_[first_];
    const size_t take = std::min(bytes, into.iov_len);
    if (from != nullptr) std::memcpy(into.iov_base, from, take), from += take;
    into.iov_base = static_cast<std::byte*>(into.iov_base) + take;
    into.iov_len -= take;
    bytes -= take;
    if (into.iov_len == 0) ++first_;
  }
}

}  // namespace mneme::kv

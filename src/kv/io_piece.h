// The part of an IoRead that the kernel gets in one call.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kv/disk.h"

namespace mneme::kv {

class IoRead;

inline constexpr size_t kPieceSpansMax = 64;

// Where a read has been cut so far.
struct IoCursor {
  std::span<const std::span<std::byte>> into;
  size_t span = 0, byte = 0;  // the next byte goes to into[span][byte]
  uint64_t offset = 0;        // and comes from here

  bool at_end();  // steps over empty spans
};

// Made anew by cut(), read by a backend, and advanced by what came, until nothing is left.
class IoPiece {
 public:
  // Notes of the queue.
  IoRead* read = nullptr;
  int retries = 0;

  explicit IoPiece(size_t bytes_max) : bytes_max_(bytes_max) {}

  // The next bytes_max bytes of a read at most, the cursor moves behind them. `direct`: the descriptor is
  // O_DIRECT.
  void cut(int descriptor, bool direct, IoCursor& cursor);

  // What the backend reads next.
  int descriptor() const { return descriptor_; }
  std::span<const iovec> into() const {
    return bounced_ ? std::span(&bounce_into_, 1) : std::span(into_).subspan(first_);
  }
  uint64_t offset() const { return bounced_ ? offset_ - head() : offset_; }

  uint64_t position() const { return offset_; }  // of the first byte that is still wanted
  uint64_t bytes_left() const { return bytes_; }
  // `got` bytes have come. False: the file ends here.
  bool advance(size_t got);

 private:
  size_t head() const { return static_cast<size_t>(offset_ % kDiskAlign); }
  IoCursor gather(IoCursor from, size_t bytes_max);
  size_t aligned_prefix() const;
  void arm();
  void skip(size_t bytes, const std::byte* from);

  size_t bytes_max_;
  int descriptor_ = -1;
  bool direct_ = false;
  uint64_t offset_ = 0;
  size_t bytes_ = 0;         // still wanted
  std::vector<iovec> into_;  // from first_ on
  size_t first_ = 0;
  // Aligned pages around what is wanted, for a direct descriptor and a place that is not aligned.
  bool bounced_ = false;
  AlignedBytes bounce_;  // [bytes_max + 2 pages]; taken when it is first needed
  iovec bounce_into_ = {};
};

}  // namespace mneme::kv

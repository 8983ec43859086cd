// How the I/O thread of an IoQueue reads: through io_uring, or by preadv.
#pragma once

#include <memory>
#include <vector>

#include "core/error.h"
#include "kv/io_piece.h"
#include "kv/io_queue.h"

namespace mneme::kv {

struct IoCompletion {
  IoPiece* piece;
  ssize_t result;  // bytes, or -errno
};

// All but wake() belong to one thread. Pieces live until their completion was collected.
class IoBackend {
 public:
  // io_uring where the options allow it, the build has it and the kernel grants it.
  static Result<std::unique_ptr<IoBackend>> open(const IoOptions& options);
  virtual ~IoBackend() = default;

  virtual const char* name() const = 0;
  virtual int pieces_max() const = 0;
  virtual void start(IoPiece& piece) = 0;
  // Adds what has finished to `out`; waits until something has, or somebody calls wake().
  virtual void collect(std::vector<IoCompletion>& out) = 0;
  // Ends a collect() that waits, or the next one. Any thread.
  virtual void wake() = 0;
};

}  // namespace mneme::kv

// Rows on their way from a table to the forward pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/error.h"
#include "engram/table.h"

namespace mneme::engram {

// One batch of rows at a time: begin(), compute something else, wait(). A forward workspace has one for each
// Engram layer, so that the layers' rows travel together. begin() and wait() belong to one thread at a time.
// The values do not depend on the table's placement, to the bit.
class Fetch {
 public:
  // The table must outlive the fetch. Memory is reserved here, for batches of up to rows_max rows, and not
  // allocated later.
  static Result<std::unique_ptr<Fetch>> create(const Table& table, size_t rows_max);
  virtual ~Fetch() = default;  // a batch in flight is waited for and dropped

  // Starts to read `rows` (any order, repetitions welcome; copied, so the span may go). No batch may be in
  // flight, and each row must be one of the table's (checked: a bug otherwise).
  virtual void begin(std::span<const uint64_t> rows) = 0;

  // The rows of the last begin(), in its order, as f32: out is [rows, width]. Fails, naming the file, where
  // reading failed: `out` is then undefined, and the fetch ready for another begin().
  virtual Result<void> wait(std::span<float> out) = 0;

  virtual size_t memory_bytes() const = 0;
};

}  // namespace mneme::engram

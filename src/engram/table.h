// The rows of one Engram layer: [rows, width] of Q8_0, F16 or F32 inside a model file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/arena.h"
#include "core/error.h"
#include "core/file.h"
#include "tensor/dtype.h"

namespace mneme::engram {

enum class Placement {
  kMemory,  // loaded when opened
  kDisk,    // read when asked for; resident memory is that of the fetches and does not grow
};

// Where the tensor `blk.i.engram.table` lies.
struct TableSource {
  std::string path;
  uint64_t offset = 0;  // bytes from the start of the file
  tensor::DType type = tensor::DType::kQ8_0;
  uint64_t rows = 0;
  uint32_t width = 0;  // values of a row, a multiple of 32
};

// Immutable once opened; any number of fetches, of any threads, read from one table at once.
class Table {
 public:
  // Fails, naming the file, where it cannot be read, is shorter than the source says, or the source is none
  // of the above types or widths.
  static Result<std::unique_ptr<const Table>> open(const TableSource& source, Placement placement);

  Placement placement() const { return placement_; }
  tensor::DType type() const { return type_; }
  uint64_t rows() const { return rows_; }
  uint32_t width() const { return width_; }
  size_t row_bytes() const { return row_bytes_; }
  size_t memory_bytes() const { return arena_.size_used(); }  // 0 on disk

  // kMemory: the rows as in the file, one after the other.
  std::span<const std::byte> memory() const { return memory_; }
  // kDisk: the file, and where a row lies in it.
  const core::File& file() const { return file_; }
  uint64_t offset_of(uint64_t row) const { return offset_ + row * row_bytes_; }

 private:
  explicit Table(core::File&& file) : file_(std::move(file)) {}

  core::File file_;
  Placement placement_ = Placement::kMemory;
  uint64_t offset_ = 0;
  tensor::DType type_ = tensor::DType::kQ8_0;
  uint64_t rows_ = 0;
  uint32_t width_ = 0;
  size_t row_bytes_ = 0;
  core::Arena arena_;
  std::span<const std::byte> memory_;
};

}  // namespace mneme::engram

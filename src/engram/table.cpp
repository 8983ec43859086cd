#include "engram/table.h"

#include <fcntl.h>

namespace mneme::engram {

namespace {

bool is_supported(tensor::DType type) {
  return type == tensor::DType::kQ8_0 || type == tensor::DType::kF16 || type == tensor::DType::kF32;
}

}  // namespace

Result<std::unique_ptr<const Table>> Table::open(const TableSource& source, Placement placement) {
  auto file = core::File::open_read(source.path);
  if (!file) return core::pass(file);
  if (!is_supported(source.type))
    return core::fail("{}: an Engram table of {}; Q8_0, F16 and F32 are supported", source.path,
                      tensor::dtype_info(source.type).name);
  if (source.width == 0 || source.width % 32 != 0)
    return core::fail("{}: an Engram table with rows of {} values, not a multiple of 32", source.path,
                      source.width);
  if (source.rows == 0) return core::fail("{}: an Engram table without rows", source.path);
  const uint64_t row_bytes = *tensor::row_bytes(source.type, source.width);
  const bool fits = source.offset <= file->size() &&
                    source.rows <= (file->size() - source.offset) / row_bytes;
  if (!fits)
    return core::fail("{}: {} bytes, too short for an Engram table of {} rows of {} bytes from byte {}",
                      source.path, file->size(), source.rows, row_bytes, source.offset);
  std::unique_ptr<Table> table(new Table(std::move(*file)));
  table->placement_ = placement;
  table->offset_ = source.offset;
  table->type_ = source.type;
  table->rows_ = source.rows;
  table->width_ = source.width;
  table->row_bytes_ = row_bytes;
  if (placement == Placement::kDisk) {
    // A row is a hundredth of a page and its neighbours have nothing to do with it: no reading ahead.
    ::posix_fadvise(table->file_.descriptor(), 0, 0, POSIX_FADV_RANDOM);
    return table;
  }
  const size_t bytes = source.rows * row_bytes;
  auto arena = core::Arena::reserve(bytes + core::Arena::kAlign);
  if (!arena) return core::fail("{}: Engram table: {}", source.path, arena.error().message);
  table->arena_ = std::move(*arena);
  const std::span<std::byte> memory = table->arena_.take(bytes);
  if (auto read = table->file_.read_exactly(source.offset, memory); !read) return core::pass(read);
  table->memory_ = memory;
  return table;
}

}  // namespace mneme::engram

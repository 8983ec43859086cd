// The first bytes of a segment file, as they lie on the disk: docs/formats/session.md.
#pragma once

#include <bit>
#include <cstdint>

#include "kv/segment_file.h"

namespace mneme::kv {

static_assert(std::endian::native == std::endian::little, "files are little-endian and written as they lie");

inline constexpr char kSegmentMagic[8] = {'M', 'N', 'E', 'M', 'E', 'K', 'V', '\0'};

// Then tokens i32[token_count], zeros to a multiple of 8, SegmentPart[part_count], zeros to header_bytes.
// Magic and version are where they are in every version.
struct SegmentFileHead {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;  // a multiple of kDiskAlign
  ModelId model;
  SegmentName name;
  SegmentName parent;
  uint64_t first_token;
  uint32_t token_count;
  uint32_t part_count;
  uint64_t xxh3;        // of header_bytes with zeros here
  uint64_t file_bytes;  // of the whole file
  uint64_t computed_us;
};
static_assert(sizeof(SegmentFileHead) == 104 && offsetof(SegmentFileHead, xxh3) == 80);
static_assert(sizeof(SegmentPart) == 24 && sizeof(SegmentName) == 16);

constexpr uint64_t segment_parts_offset(uint64_t token_count) {
  return (sizeof(SegmentFileHead) + token_count * sizeof(int32_t) + 7) / 8 * 8;
}
constexpr uint64_t segment_header_bytes(uint64_t token_count, uint64_t part_count) {
  return disk_padded(segment_parts_offset(token_count) + part_count * sizeof(SegmentPart));
}

}  // namespace mneme::kv

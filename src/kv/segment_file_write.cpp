#include <algorithm>
#include <cstring>

#include "core/hash.h"
#include "core/xxh3.h"
#include "kv/segment_layout.h"

namespace mneme::kv {

namespace {

using core::fail;

uint64_t bytes_of(std::span<const ConstBytes> pieces) {
  uint64_t total = 0;
  for (const ConstBytes& piece : pieces) total += piece.size();
  return total;
}

bool aligned(const ConstBytes& piece) {
  return reinterpret_cast<uintptr_t>(piece.data()) % kDiskAlign == 0 && piece.size() % kDiskAlign == 0;
}

// The header's bytes, padded, with the parts' places and checksums.
AlignedBytes lay_out(const SegmentHeader& header, std::span<const PartBytes> parts, size_t header_bytes) {
  AlignedBytes bytes = aligned_bytes(header_bytes);
  SegmentFileHead head{};
  std::memcpy(head.magic, kSegmentMagic, sizeof(head.magic));
  head.version = kSegmentFileVersion;
  head.header_bytes = static_cast<uint32_t>(header_bytes);
  head.model = header.model;
  head.name = header.name;
  head.parent = header.parent;
  head.first_token = header.first_token;
  head.token_count = static_cast<uint32_t>(header.tokens.size());
  head.part_count = static_cast<uint32_t>(parts.size());
  head.computed_us = header.computed_us;
  if (!header.tokens.empty())
    std::memcpy(bytes.get() + sizeof(head), header.tokens.data(), header.tokens.size() * sizeof(int32_t));
  uint64_t offset = header_bytes;
  for (size_t i = 0; i < parts.size(); ++i) {
    const SegmentPart part{offset, bytes_of(parts[i]), pieces_xxh3(std::span<const ConstBytes>(parts[i]))};
    std::memcpy(bytes.get() + segment_parts_offset(header.tokens.size()) + i * sizeof(part), &part,
                sizeof(part));
    offset += disk_padded(part.bytes);
  }
  head.file_bytes = offset;
  std::memcpy(bytes.get(), &head, sizeof(head));
  head.xxh3 = core::hash64({bytes.get(), header_bytes});
  std::memcpy(bytes.get(), &head, sizeof(head));
  return bytes;
}

// The whole file as aligned pieces: parts as they lie in memory where that is aligned, else copies of them.
struct FileImage {
  AlignedBytes header;
  std::vector<AlignedBytes> copies;
  std::vector<ConstBytes> pieces;

  void add(const PartBytes& part) {
    if (std::all_of(part.begin(), part.end(), aligned)) {
      pieces.insert(pieces.end(), part.begin(), part.end());
      return;
    }
    const uint64_t bytes = bytes_of(part);
    copies.push_back(aligned_bytes(bytes));
    std::byte* to = copies.back().get();
    for (const ConstBytes& piece : part) {
      if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
    pieces.emplace_back(copies.back().get(), disk_padded(bytes));
  }
};

}  // namespace

uint64_t pieces_xxh3(std::span<const ConstBytes> pieces) {
  if (pieces.size() == 1) return core::hash64(pieces[0]);
  core::Xxh3Stream stream;
  for (const ConstBytes& piece : pieces) stream.add(piece);
  return stream.digest();
}

uint64_t pieces_xxh3(std::span<const Bytes> pieces) {
  if (pieces.size() == 1) return core::hash64(pieces[0]);
  core::Xxh3Stream stream;
  for (const Bytes& piece : pieces) stream.add(piece);
  return stream.digest();
}

uint64_t segment_file_bytes(size_t token_count, std::span<const uint64_t> part_bytes) {
  uint64_t total = segment_header_bytes(token_count, part_bytes.size());
  for (const uint64_t bytes : part_bytes) total += disk_padded(bytes);
  return total;
}

uint64_t segment_file_bytes(size_t token_count, std::span<const PartBytes> parts) {
  uint64_t total = segment_header_bytes(token_count, parts.size());
  for (const PartBytes& part : parts) total += disk_padded(bytes_of(part));
  return total;
}

Result<void> write_segment_file(const std::string& path, const SegmentHeader& header,
                                std::span<const PartBytes> parts, Disk& disk) {
  MNEME_CHECK(header.tokens.size() <= size_t{kSegmentTokens}, "{} tokens", header.tokens.size());
  MNEME_CHECK(parts.size() <= kSegmentPartsMax, "{} parts", parts.size());
  const uint64_t header_bytes = segment_header_bytes(header.tokens.size(), parts.size());
  FileImage image;
  image.header = lay_out(header, parts, header_bytes);
  image.pieces.emplace_back(image.header.get(), header_bytes);
  for (const PartBytes& part : parts) image.add(part);
  return replace_file(path, true, disk, [&](DiskFile& file) { return file.write(0, image.pieces); });
}

}  // namespace mneme::kv

#include "kv/segment_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/hash.h"
#include "kv/segment_layout.h"

namespace mneme::kv {

namespace {

using core::fail;
using core::pass;

constexpr size_t kBounceBytes = size_t{1} << 20;  // a disk at depth 1 is near its full speed with 1 MiB
constexpr uint64_t kPartBytesMax = uint64_t{1} << 40;

struct ParsedHeader {
  SegmentHeader header;
  std::vector<SegmentPart> parts;
};

// nullptr, or why the first bytes cannot begin a file of this size. The version has been checked.
const char* wrong_head(const SegmentFileHead& head, uint64_t file_size) {
  if (head.token_count > kSegmentTokens) return "token count";
  if (head.part_count > kSegmentPartsMax) return "part count";
  if (head.header_bytes != segment_header_bytes(head.token_count, head.part_count)) return "header size";
  if (head.header_bytes > file_size) return "cut short";
  if (head.file_bytes != file_size) return file_size < head.file_bytes ? "cut short" : "file size";
  return nullptr;
}

// nullptr, or why the header (all its bytes) is not one.
const char* parse_header(std::span<std::byte> bytes, ParsedHeader& out) {
  SegmentFileHead head{};
  std::memcpy(&head, bytes.data(), sizeof(head));
  std::memset(bytes.data() + offsetof(SegmentFileHead, xxh3), 0, sizeof(head.xxh3));
  if (core::hash64(bytes) != head.xxh3) return "checksum of the header";
  out.header.model = head.model;
  out.header.name = head.name;
  out.header.parent = head.parent;
  out.header.first_token = head.first_token;
  out.header.computed_us = head.computed_us;
  out.header.tokens.resize(head.token_count);
  out.parts.resize(head.part_count);
  if (head.token_count > 0)
    std::memcpy(out.header.tokens.data(), bytes.data() + sizeof(head), head.token_count * sizeof(int32_t));
  if (head.part_count > 0) {
    std::memcpy(out.parts.data(), bytes.data() + segment_parts_offset(head.token_count),
                head.part_count * sizeof(SegmentPart));
  }
  uint64_t offset = head.header_bytes;
  for (const SegmentPart& part : out.parts) {
    if (part.offset != offset || part.bytes > kPartBytesMax) return "place of a part";
    offset += disk_padded(part.bytes);
  }
  return offset == head.file_bytes ? nullptr : "file size";
}

bool aligned(const Bytes& piece) {
  return reinterpret_cast<uintptr_t>(piece.data()) % kDiskAlign == 0 && piece.size() % kDiskAlign == 0;
}

// Through a buffer, for pieces that a direct descriptor does not take.
Result<void> read_bounced(const DiskFile& file, uint64_t offset, std::span<const Bytes> pieces,
                          uint64_t bytes) {
  const size_t buffer_bytes = std::min<size_t>(kBounceBytes, disk_padded(bytes));
  const AlignedBytes buffer = aligned_bytes(buffer_bytes);
  size_t piece = 0, filled = 0;
  for (uint64_t done = 0; done < bytes; done += buffer_bytes) {
    const size_t wanted = std::min<uint64_t>(buffer_bytes, bytes - done);
    const Bytes chunk(buffer.get(), disk_padded(wanted));
    if (auto read = file.read(offset + done, std::span(&chunk, 1)); !read) return read;
    for (size_t at = 0; at < wanted;) {
      if (filled == pieces[piece].size()) {
        ++piece;
        filled = 0;
        continue;
      }
      const size_t count = std::min(wanted - at, pieces[piece].size() - filled);
      std::memcpy(pieces[piece].data() + filled, buffer.get() + at, count);
      at += count;
      filled += count;
    }
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<DiskFile>> OpenFiles::acquire(const std::string& path, Disk& disk) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                    [&](const Entry& e) { return e.path == path; });
    if (found != entries_.rend()) {
      std::rotate(found.base() - 1, found.base(), entries_.end());
      return entries_.back().file;
    }
  }
  auto file = DiskFile::open(path, O_RDONLY, true, disk);
  if (!file) return file;
  const std::lock_guard lock(mutex_);
  if (count_max_ == 0) return file;
  if (entries_.size() >= count_max_) entries_.erase(entries_.begin());
  entries_.push_back({path, *file});
  return file;
}

void OpenFiles::forget(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& e) { return e.path == path; });
}

bool is_of_other_version(const std::string& path, Disk& disk) {
  auto file = DiskFile::open(path, O_RDONLY, false, disk);
  std::array<std::byte, sizeof(kSegmentMagic) + sizeof(uint32_t)> begin{};
  const Bytes piece(begin);
  if (!file || !(*file)->read(0, std::span(&piece, 1))) return false;
  uint32_t version = 0;
  std::memcpy(&version, &begin[sizeof(kSegmentMagic)], sizeof(version));
  return std::memcmp(begin.data(), kSegmentMagic, sizeof(kSegmentMagic)) == 0 &&
         version != kSegmentFileVersion;
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::open(const std::string& path, const Options& options) {
  std::shared_ptr<SegmentFile> file(new SegmentFile);
  file->path_ = path;
  file->options_ = options;
  if (options.disk == nullptr) file->options_.disk = &Disk::system();
  auto opened = file->acquire();
  if (!opened) return pass(opened);
  if (options.open_files == nullptr) file->own_ = *opened;
  auto size = (*opened)->size();
  if (!size) return pass(size);
  file->file_bytes_ = *size;
  if (*size < kDiskAlign) return tl::unexpected(file->reject("cut short"));

  AlignedBytes bytes = aligned_bytes(kDiskAlign);
  Bytes first(bytes.get(), kDiskAlign);
  if (auto read = (*opened)->read(0, std::span(&first, 1)); !read) return pass(read);
  SegmentFileHead head{};
  std::memcpy(&head, bytes.get(), sizeof(head));
  if (std::memcmp(head.magic, kSegmentMagic, sizeof(head.magic)) != 0)
    return tl::unexpected(file->reject("not a segment"));
  if (head.version != kSegmentFileVersion)
    return fail("{}: format version {}, this program reads {}", path, head.version, kSegmentFileVersion);
  if (const char* wrong = wrong_head(head, *size)) return tl::unexpected(file->reject(wrong));

  if (head.header_bytes > kDiskAlign) {
    AlignedBytes longer = aligned_bytes(head.header_bytes);
    std::memcpy(longer.get(), bytes.get(), kDiskAlign);
    const Bytes rest(longer.get() + kDiskAlign, head.header_bytes - kDiskAlign);
    if (auto read = (*opened)->read(kDiskAlign, std::span(&rest, 1)); !read) return pass(read);
    bytes = std::move(longer);
  }
  ParsedHeader parsed;
  if (const char* wrong = parse_header({bytes.get(), head.header_bytes}, parsed))
    return tl::unexpected(file->reject(wrong));
  file->header_ = std::move(parsed.header);
  file->parts_ = std::move(parsed.parts);
  return file;
}

Result<std::shared_ptr<DiskFile>> SegmentFile::acquire() const {
  if (own_ != nullptr) return own_;
  if (options_.open_files != nullptr) return options_.open_files->acquire(path_, *options_.disk);
  return DiskFile::open(path_, O_RDONLY, true, *options_.disk);
}

// Sets the file aside, once, and gives the message.
Error SegmentFile::reject(std::string_view wrong) const {
  const bool first = !bad_.exchange(true);
  const std::string aside = path_ + kSetAside;
  const bool moved = first && options_.set_aside && options_.disk->rename(path_.c_str(), aside.c_str()) == 0;
  if (options_.open_files != nullptr) options_.open_files->forget(path_);
  return {fmt::format("{}: damaged ({}){}; its tokens have to be computed again", path_, wrong,
                      moved ? fmt::format(", set aside as {}", aside) : "")};
}

Error SegmentFile::reject_part(size_t part) const { return reject(fmt::format("checksum of part {}", part)); }

Result<void> SegmentFile::read_pieces(const SegmentPart& part, std::span<const Bytes> pieces) const {
  uint64_t bytes = 0;
  for (const Bytes& piece : pieces) bytes += piece.size();
  if (bytes != part.bytes) return fail("{}: a part of {} bytes, {} expected", path_, part.bytes, bytes);
  if (bytes == 0) return {};
  auto file = acquire();
  if (!file) return pass(file);
  if (!(*file)->direct() || std::all_of(pieces.begin(), pieces.end(), aligned))
    return (*file)->read(part.offset, pieces);
  return read_bounced(**file, part.offset, pieces, bytes);
}

Result<void> SegmentFile::read_part(size_t part, std::span<const Bytes> pieces) const {
  MNEME_CHECK(part < parts_.size(), "part {} of {}", part, parts_.size());
  if (bad_) return fail("{}: an earlier read of it failed", path_);
  if (auto read = read_pieces(parts_[part], pieces); !read) {
    bad_ = true;
    return read;
  }
  return check_part(part, pieces);
}

Result<void> SegmentFile::check_part(size_t part, std::span<const Bytes> pieces) const {
  if (pieces_xxh3(pieces) == parts_[part].xxh3) return {};
  return tl::unexpected(reject_part(part));
}

Result<void> SegmentFile::verify() const {
  uint64_t largest = 0;
  for (const SegmentPart& part : parts_) largest = std::max(largest, part.bytes);
  const AlignedBytes buffer = aligned_bytes(largest);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Bytes bytes(buffer.get(), parts_[i].bytes);
    if (auto read = read_pieces(parts_[i], std::span(&bytes, 1)); !read) return read;
    if (auto good = check_part(i, std::span(&bytes, 1)); !good) return good;
  }
  return {};
}

}  // namespace mneme::kv

// Segment files: any bytes are a segment or an error message of one line, and what was accepted can be read
// to its end. The checksum of the header is put right first (unless the last byte is odd), so that what
// stands behind it is reached.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "core/hash.h"
#include "kv/segment_layout.h"

namespace {

using namespace mneme;

// A file without a folder, rewritten for every input.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("segment", MFD_CLOEXEC)) { MNEME_CHECK(fd_ >= 0); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }
  void rewrite(const std::vector<std::byte>& bytes) {
    MNEME_CHECK(::ftruncate(fd_, 0) == 0);
    MNEME_CHECK(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }

 private:
  int fd_;
};

void put_checksum_right(std::vector<std::byte>& bytes) {
  kv::SegmentFileHead head{};
  if (bytes.size() < sizeof(head)) return;
  std::memcpy(&head, bytes.data(), sizeof(head));
  if (head.header_bytes > bytes.size() || head.header_bytes < sizeof(head)) return;
  head.file_bytes = bytes.size();
  head.xxh3 = 0;
  std::memcpy(bytes.data(), &head, sizeof(head));
  head.xxh3 = core::hash64(std::span(bytes).first(head.header_bytes));
  std::memcpy(bytes.data(), &head, sizeof(head));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static MemoryFile memory;
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  bytes.resize(kv::disk_padded(size));  // so that not every input is of a wrong length
  if (size > 0 && data[size - 1] % 2 == 0) put_checksum_right(bytes);
  memory.rewrite(bytes);
  kv::SegmentFile::Options options;
  options.set_aside = false;
  auto file = kv::SegmentFile::open(memory.path(), options);
  if (!file) {
    MNEME_CHECK(file.error().message.find('\n') == std::string::npos, "{}", file.error().message);
    return 0;
  }
  const kv::SegmentHeader& header = (*file)->header();
  MNEME_CHECK(header.tokens.size() <= size_t{kv::kSegmentTokens});  // none: a tail behind whole segments
  for (const kv::SegmentPart& part : (*file)->parts())
    MNEME_CHECK(part.offset + part.bytes <= bytes.size() && part.offset % kv::kDiskAlign == 0);
  static_cast<void>((*file)->verify());
  return 0;
}

// What the tests of the cold tier share: folders that go away, disks that fail, segments made of seeds.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/rng.h"
#include "kv/store.h"

namespace mneme::kv {

class FolderForTest {
 public:
  // In memory where the machine has such a folder: tests of what is written where need no disk.
  explicit FolderForTest(bool on_disk = false) {
    std::string pattern = on_disk || ::access("/dev/shm", W_OK) != 0 ? "/tmp" : "/dev/shm";
    pattern += "/mneme-kv-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~FolderForTest() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  FolderForTest(const FolderForTest&) = delete;
  FolderForTest& operator=(const FolderForTest&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The system's calls, of which some fail.
class DiskForTest : public Disk {
 public:
  bool buffered = false;           // O_DIRECT is refused, as by some file systems
  std::atomic<int> odd_calls{0};   // > 0: every other transfer says it moved half, or was interrupted
  std::atomic<int> read_error{0};  // errno of the next reads
  std::atomic<int> write_error{0}, sync_error{0}, rename_error{0}, open_error{0};
  std::atomic<int> write_after{0};  // so many writes succeed first
  std::atomic<int> read_pause_us{0};

  int open(const char* path, int flags, mode_t mode) override {
    if (buffered && (flags & O_DIRECT) != 0) return failed(EINVAL);
    if (open_error != 0 && (flags & (O_WRONLY | O_RDWR)) != 0) return failed(open_error);
    return Disk::open(path, flags, mode);
  }
  ssize_t preadv(int fd, const iovec* pieces, int count, off_t offset) override {
    if (read_error != 0) return failed(read_error);
    if (read_pause_us > 0) ::usleep(static_cast<useconds_t>(read_pause_us.load()));
    if (interrupted()) return failed(EINTR);
    return shortened(Disk::preadv(fd, pieces, count, offset));
  }
  ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) override {
    if (write_error != 0 && write_after-- <= 0) return failed(write_error);
    if (interrupted()) return failed(EINTR);
    return shortened(Disk::pwritev(fd, pieces, count, offset));
  }
  int fdatasync(int fd) override { return sync_error != 0 ? failed(sync_error) : Disk::fdatasync(fd); }
  int rename(const char* from, const char* to) override {
    return rename_error != 0 ? failed(rename_error) : Disk::rename(from, to);
  }

 private:
  static int failed(int error) {
    errno = error;
    return -1;
  }
  bool interrupted() { return odd_calls > 0 && ++odd_calls % 4 == 0; }
  ssize_t shortened(ssize_t moved) {
    return odd_calls > 0 && odd_calls % 2 == 0 && moved > 1 ? moved / 2 : moved;
  }
};

// Aligned bytes of a seed.
struct BytesForTest {
  AlignedBytes memory;
  size_t size = 0;
  explicit BytesForTest(size_t bytes, uint64_t seed = 0) : memory(aligned_bytes(bytes)), size(bytes) {
    core::Rng rng(seed);
    for (size_t i = 0; i < bytes; ++i) memory[i] = static_cast<std::byte>(rng.next_u32());
  }
  ConstBytes bytes() const { return {memory.get(), size}; }
  Bytes writable() const { return {memory.get(), size}; }
};

inline SegmentModel model_for_test(uint8_t seed = 1) {
  SegmentModel model;
  model.model.bytes.fill(seed);
  model.shape = {std::byte{2}, std::byte{seed}};
  return model;
}

inline std::vector<int32_t> tokens_for_test(uint64_t seed, size_t count = kSegmentTokens) {
  core::Rng rng(seed);
  std::vector<int32_t> out(count);
  for (int32_t& token : out) token = static_cast<int32_t>(rng.next_below(50000));
  return out;
}

// What a segment of these tokens holds, derived from them: two aligned parts and one that is not.
inline std::vector<BytesForTest> parts_for_test(std::span<const int32_t> tokens, size_t bytes = 8192) {
  const uint64_t seed = tokens.empty() ? 0
                                       : static_cast<uint64_t>(tokens.front()) * 1000 +
                                             static_cast<uint64_t>(tokens.back());
  std::vector<BytesForTest> out;
  out.emplace_back(bytes, seed);
  out.emplace_back(bytes, seed + 1);
  out.emplace_back(777, seed + 2);
  return out;
}
inline std::vector<PartBytes> pieces_of(const std::vector<BytesForTest>& parts) {
  std::vector<PartBytes> out;
  for (const BytesForTest& part : parts) {
    const size_t half = part.size / 2 / kDiskAlign * kDiskAlign;
    out.push_back({part.bytes().first(half), part.bytes().subspan(half)});
  }
  return out;
}

// Whether every part is what parts_for_test gives.
inline Result<bool> is_whole(const SegmentFile& file, size_t bytes = 8192) {
  const auto expected = parts_for_test(file.header().tokens, bytes);
  if (file.parts().size() != expected.size()) return false;
  for (size_t i = 0; i < expected.size(); ++i) {
    const BytesForTest got(expected[i].size);
    const Bytes piece = got.writable();
    if (auto read = file.read_part(i, std::span(&piece, 1)); !read) return core::pass(read);
    if (!std::equal(piece.begin(), piece.end(), expected[i].bytes().begin())) return false;
  }
  return true;
}

inline Result<Store::FilePtr> put_for_test(Store& store, const SegmentName& parent, uint64_t first_token,
                                           std::span<const int32_t> tokens, size_t bytes = 8192) {
  const auto parts = parts_for_test(tokens, bytes);
  const auto pieces = pieces_of(parts);
  return store.put(model_for_test(), {parent, first_token, tokens, pieces});
}

}  // namespace mneme::kv

#include "kv/io_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "core/hash.h"
#include "core/rng.h"

namespace mneme::kv {
namespace {

constexpr uint64_t kSeed = 41;

// A file of random bytes that goes with the test.
struct RandomFile {
  std::string path;
  std::vector<std::byte> bytes;

  RandomFile(const std::string& name, size_t size)
      : path(testing::TempDir() + "io_queue_" + name), bytes(size) {
    core::Rng rng(kSeed);
    for (auto& b : bytes) b = static_cast<std::byte>(rng.next_u32() & 255);
    const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    EXPECT_EQ(::write(fd, bytes.data(), size), static_cast<ssize_t>(size));
    ::fsync(fd);
    ::close(fd);
  }
  ~RandomFile() { ::unlink(path.c_str()); }
  bool holds(uint64_t offset, std::span<const std::byte> part) const {
    return std::equal(part.begin(), part.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }
};

struct Descriptor {
  int fd;
  explicit Descriptor(const std::string& path, int flags = 0) : fd(::open(path.c_str(), O_RDONLY | flags)) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Memory of a read, page-aligned or not, with a guard after every span.
struct Target {
  static constexpr std::byte kGuard{0xA5};
  std::vector<std::byte> memory;
  std::vector<std::span<std::byte>> spans;

  Target(const std::vector<size_t>& sizes, size_t misaligned) {
    size_t total = 8192 + misaligned;
    for (const size_t size : sizes) total += size + 8192;
    memory.assign(total, kGuard);
    auto at = (reinterpret_cast<uintptr_t>(memory.data()) + 4095) / 4096 * 4096 + misaligned;
    for (const size_t size : sizes) {
      spans.emplace_back(reinterpret_cast<std::byte*>(at), size);
      at += (size + 4096) / 4096 * 4096;
    }
  }

  std::vector<std::byte> joined() const {
    std::vector<std::byte> all;
    for (const auto span : spans) all.insert(all.end(), span.begin(), span.end());
    return all;
  }
  bool guards_whole() const {
    return std::ranges::all_of(spans, [](auto span) { return span.data()[span.size()] == kGuard; });
  }
};

std::vector<std::byte> part(const RandomFile& file, uint64_t offset, size_t size) {
  const auto from = file.bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  return {from, from + static_cast<std::ptrdiff_t>(size)};
}

class EachBackend : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    queue_ = std::move(*IoQueue::open(options()));
    if (GetParam() && queue_->backend() != std::string("io_uring")) GTEST_SKIP() << "no io_uring here";
  }
  static IoOptions options() { return {.uring = GetParam(), .pieces_max = 4, .piece_bytes = 64 << 10}; }
  std::unique_ptr<IoQueue> queue_;
};

TEST_P(EachBackend, ReadsEveryShapeFromBothKindsOfDescriptor) {
  const RandomFile file("shapes", (1 << 20) + 1234);
  const struct {
    uint64_t offset;
    std::vector<size_t> sizes;
  } shapes[] = {
      {0, {}},
      {0, {0}},
      {0, {1}},
      {4096, {4096}},
      {4095, {2}},
      {8192, {4096, 100, 0, 4096, 5000}},
      {0, {1 << 20}},
      {0, {file.bytes.size()}},
      {17, {300000, 1, 1, 65536}},
      {4096, {65536, 65536, 65536, 6144, 6144, 6144}},
      {(1 << 20) - 4096, {4096 + 1234}},
      {(1 << 20) + 1233, {1}},
      {8192, std::vector<size_t>(300, 512)},
  };
  for (const int flags : {0, O_DIRECT}) {
    const Descriptor descriptor(file.path, flags);
    if (descriptor.fd < 0) GTEST_SKIP() << "no O_DIRECT in " << testing::TempDir();
    for (const auto& shape : shapes) {
      for (const size_t misaligned : {size_t{0}, size_t{64}, size_t{3}}) {
        Target target(shape.sizes, misaligned);
        size_t size = 0;
        for (const size_t s : shape.sizes) size += s;
        const auto want = part(file, shape.offset, size);
        IoRead read;
        read.descriptor = descriptor.fd;
        read.offset = shape.offset;
        read.into = target.spans;
        read.hash = core::hash64(want);
        queue_->submit(read, IoUrgency::kDemand);
        const auto done = queue_->wait(read);
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_TRUE(file.holds(shape.offset, target.joined()))
            << "offset " << shape.offset << ", size " << size;
        EXPECT_TRUE(target.guards_whole()) << "offset " << shape.offset << ", size " << size;
      }
    }
  }
}

TEST_P(EachBackend, ReportsWhatFails) {
  const RandomFile file("fails", 10000);
  const Descriptor plain(file.path), direct(file.path, O_DIRECT), memory("/proc/self/mem");
  std::vector<std::byte> bytes(8192);
  const auto outcome = [&](int fd, uint64_t offset, std::optional<uint64_t> hash) {
    IoRead read;
    read.descriptor = fd;
    read.offset = offset;
    read.into = {bytes};
    read.hash = hash;
    read.name = "some.kv";
    queue_->submit(read, IoUrgency::kAhead);
    const auto done = queue_->wait(read);
    EXPECT_EQ(read.state(), done ? IoState::kDone : IoState::kFailed);
    EXPECT_EQ(read.hash_differs(), !done && done.error().message.find("checksum") != std::string::npos);
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(outcome(-1, 0, {}), "some.kv: read at byte 0: Bad file descriptor");
  EXPECT_EQ(outcome(memory.fd, 0, {}), "some.kv: read at byte 0: Input/output error");
  EXPECT_EQ(outcome(plain.fd, 0, core::hash64(part(file, 0, 8192)) + 1),
            "some.kv: the bytes from 0 on are not those that were written (checksum)");
  EXPECT_EQ(outcome(plain.fd, 5000, {}), "some.kv: ends at byte 10000, 3192 more expected");
  EXPECT_EQ(outcome(direct.fd, 4096, {}), "some.kv: ends at byte 10000, 2288 more expected");
  EXPECT_EQ(outcome(direct.fd, 12000, {}), "some.kv: ends at byte 12000, 8192 more expected");
  EXPECT_EQ(outcome(direct.fd, 1 << 20, {}), "some.kv: ends at byte 1048576, 8192 more expected");
  EXPECT_EQ(outcome(plain.fd, 0, core::hash64(part(file, 0, 8192))), "") << "and goes on after failures";
  const auto counters = queue_->counters();
  EXPECT_EQ(counters.requests, 8u);
  EXPECT_EQ(counters.failures, 7u);
  EXPECT_EQ(counters.bytes, 8192u);
  EXPECT_GT(counters.busy_s, 0.0);
  EXPECT_GT(counters.stalled_s, 0.0);
}

// Several threads, each with reads of its own, some of which it takes back or only polls.
TEST_P(EachBackend, ThousandsOfSmallReadsFromSeveralThreads) {
  const RandomFile file("small", 1 << 20);
  const Descriptor plain(file.path), direct(file.path, O_DIRECT);
  std::atomic<int> wrong{0}, done_count{0}, cancelled{0};
  const auto work = [&](uint64_t seed) {
    core::Rng rng(seed);
    std::vector<IoRead> reads(1500);
    std::vector<std::vector<std::byte>> bytes(reads.size());
    for (size_t i = 0; i < reads.size(); ++i) {
      bytes[i].resize(1 + rng.next_below(3000));
      reads[i].descriptor = rng.next_below(4) == 0 && direct.fd >= 0 ? direct.fd : plain.fd;
      reads[i].offset = rng.next_below(static_cast<uint32_t>(file.bytes.size() - bytes[i].size()));
      reads[i].into = {bytes[i]};
      if (i % 7 == 0) reads[i].hash = core::hash64(part(file, reads[i].offset, bytes[i].size())) + (i % 2);
      queue_->submit(reads[i], i % 3 == 0 ? IoUrgency::kDemand : IoUrgency::kAhead);
    }
    for (size_t i = 0; i < reads.size(); ++i) {
      if (i % 5 == 0 && queue_->cancel(reads[i])) {
        ++cancelled;
        continue;
      }
      if (i % 11 == 0) {
        while (reads[i].pending()) std::this_thread::yield();
      }
      const bool done = queue_->wait(reads[i]).has_value();
      const bool right = file.holds(reads[i].offset, bytes[i]);
      if (done != (i % 7 != 0 || i % 2 == 0) || !right) ++wrong;
      if (done) ++done_count;
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) threads.emplace_back(work, kSeed + t);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  const auto counters = queue_->counters();
  EXPECT_EQ(counters.requests + static_cast<uint64_t>(cancelled), 6000u);
  EXPECT_EQ(counters.requests - counters.failures, static_cast<uint64_t>(done_count));
}

TEST_P(EachBackend, ClosesWithReadsUnderWayAndCallersThatWait) {
  constexpr size_t kBytes = 150000;
  const RandomFile file("closing", 1 << 20);
  const Descriptor direct(file.path, O_DIRECT), plain(file.path);
  for (int round = 0; round < 12; ++round) {
    auto queue = std::move(*IoQueue::open(options()));
    std::vector<IoRead> reads(40);
    std::vector<std::vector<std::byte>> bytes(reads.size());
    for (size_t i = 0; i < reads.size(); ++i) {
      bytes[i].resize(kBytes);
      reads[i].descriptor = round % 2 == 0 && direct.fd >= 0 ? direct.fd : plain.fd;
      reads[i].offset = i * 20000;
      reads[i].into = {bytes[i]};
      queue->submit(reads[i], i % 2 == 0 ? IoUrgency::kDemand : IoUrgency::kAhead);
    }
    std::vector<std::thread> waiters;
    for (size_t i = 0; i < 4; ++i) waiters.emplace_back([&, i] { (void)queue->wait(reads[39 - 7 * i]); });
    if (round % 3 == 0) (void)queue->wait(reads[2]);
    queue->stop();
    for (auto& waiter : waiters) waiter.join();
    queue.reset();
    for (size_t i = 0; i < reads.size(); ++i) {
      ASSERT_NE(reads[i].state(), IoState::kPending);
      if (reads[i].state() == IoState::kDone) {
        EXPECT_TRUE(file.holds(reads[i].offset, bytes[i]));
      } else {
        EXPECT_NE(reads[i].message().find("the I/O queue is closed"), std::string::npos);
      }
    }
  }
}

TEST_P(EachBackend, AReadAfterTheStopFails) {
  queue_->stop();
  IoRead read;
  queue_->submit(read, IoUrgency::kDemand);
  EXPECT_EQ(read.state(), IoState::kFailed);
  EXPECT_FALSE(queue_->wait(read));
}

INSTANTIATE_TEST_SUITE_P(Io, EachBackend, testing::Bool(),
                         [](const auto& info) { return info.param ? "uring" : "preadv"; });

// ---- faults and order, through a disk of the test's

// Reads wait at the gate while the test holds it.
struct GatedDisk final : Disk {
  std::mutex gate;
  std::vector<uint64_t> begun;  // offsets

  ssize_t preadv(int fd, const iovec* into, int count, off_t offset) override {
    const std::lock_guard lock(gate);
    begun.push_back(static_cast<uint64_t>(offset));
    return Disk::preadv(fd, into, count, offset);
  }
};

// Few bytes at a time, interrupted and refused in between.
struct BadDisk final : Disk {
  size_t calls = 0;

  ssize_t preadv(int fd, const iovec* into, int, off_t offset) override {
    const size_t call = calls++;
    if (call % 5 == 1) return errno = EINTR, -1;
    if (call % 17 == 2) return errno = EAGAIN, -1;
    const iovec some{into->iov_base, std::min(into->iov_len, 1 + call * 37 % 5000)};
    return Disk::preadv(fd, &some, 1, offset);
  }
};

struct BreakingDisk final : Disk {
  int calls_left = 3;

  ssize_t preadv(int fd, const iovec* into, int count, off_t offset) override {
    if (calls_left-- == 0) return errno = EIO, -1;
    return Disk::preadv(fd, into, count, offset);
  }
};

struct RefusingDisk final : Disk {
  ssize_t preadv(int, const iovec*, int, off_t) override { return errno = EAGAIN, -1; }
};

TEST(IoQueue, ShortReadsAndInterruptionsAreContinued) {
  const RandomFile file("short", 500000);
  BadDisk disk;
  const Descriptor plain(file.path);
  auto queue = std::move(*IoQueue::open({.piece_bytes = 100000, .disk = &disk}));
  EXPECT_STREQ(queue->backend(), "preadv");
  Target target({1, 4096, 0, 99999, 300000}, 5);
  IoRead read;
  read.descriptor = plain.fd;
  read.offset = 1001;
  read.into = target.spans;
  read.hash = core::hash64(part(file, 1001, 404096));
  queue->submit(read, IoUrgency::kDemand);
  ASSERT_TRUE(queue->wait(read)) << read.message();
  EXPECT_TRUE(file.holds(1001, target.joined()));
}

TEST(IoQueue, AnErrorInTheMiddleFailsTheWholeRead) {
  const RandomFile file("breaks", 500000);
  BreakingDisk disk;
  const Descriptor plain(file.path);
  auto queue = std::move(*IoQueue::open({.piece_bytes = 4096, .disk = &disk}));
  std::vector<std::byte> bytes(100000), others(100000);
  IoRead broken, other;
  broken.descriptor = other.descriptor = plain.fd;
  broken.into = {bytes};
  other.into = {others};
  broken.name = "a.kv";
  queue->submit(broken, IoUrgency::kDemand);
  queue->submit(other, IoUrgency::kDemand);
  EXPECT_EQ(queue->wait(broken).error().message, "a.kv: read at byte 12288: Input/output error");
  EXPECT_TRUE(queue->wait(other));
  EXPECT_TRUE(file.holds(0, others));
}

TEST(IoQueue, AKernelThatKeepsRefusingIsAnErrorAtLast) {
  const RandomFile file("refused", 1000);
  RefusingDisk disk;
  const Descriptor plain(file.path);
  auto queue = std::move(*IoQueue::open({.disk = &disk}));
  std::vector<std::byte> bytes(1000);
  IoRead read;
  read.descriptor = plain.fd;
  read.into = {bytes};
  queue->submit(read, IoUrgency::kDemand);
  EXPECT_NE(queue->wait(read).error().message.find("Resource temporarily unavailable"), std::string::npos);
}

TEST(IoQueue, DemandsGoFirstAndWhatWasNotBegunCanBeTakenBack) {
  const RandomFile file("order", 100000);
  GatedDisk disk;
  const Descriptor plain(file.path);
  auto queue = std::move(*IoQueue::open({.disk = &disk}));
  std::vector<IoRead> reads(8);
  std::vector<std::byte> bytes(reads.size());
  const auto submit = [&](size_t i, IoUrgency urgency) {
    reads[i].descriptor = plain.fd;
    reads[i].offset = i;
    reads[i].into = {std::span(bytes).subspan(i, 1)};
    queue->submit(reads[i], urgency);
  };
  {
    std::unique_lock held(disk.gate);
    submit(0, IoUrgency::kAhead);
    while (queue->cancel(reads[0])) submit(0, IoUrgency::kAhead), std::this_thread::yield();
    for (const size_t i : {1, 2, 3, 4, 5}) submit(i, IoUrgency::kAhead);
    for (const size_t i : {6, 7}) submit(i, IoUrgency::kDemand);
    EXPECT_FALSE(queue->cancel(reads[0]));  // under way
    EXPECT_TRUE(queue->cancel(reads[2]));
    EXPECT_TRUE(queue->cancel(reads[7]));
    EXPECT_EQ(reads[2].state(), IoState::kIdle);
    std::thread waiter([&] { EXPECT_TRUE(queue->wait(reads[4])); });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));  // likely in wait() by now, then 4 goes early
    held.unlock();
    waiter.join();
  }
  for (const size_t i : {0, 1, 3, 4, 5, 6}) EXPECT_TRUE(queue->wait(reads[i]));
  EXPECT_FALSE(queue->cancel(reads[1]));  // done
  std::vector<uint64_t> rest = disk.begun;
  std::erase(rest, 4u);
  EXPECT_EQ(rest, (std::vector<uint64_t>{0, 6, 1, 3, 5}));
  EXPECT_EQ(disk.begun.size(), 6u);
}

// What seccomp does to containers: the call `number` fails with EPERM.
bool forbid(unsigned number) {
  const sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{std::size(code), const_cast<sock_filter*>(code)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(IoQueueDeathTest, ReadsWithoutARingWhereTheKernelRefusesIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const unsigned number : {unsigned{__NR_io_uring_setup}, unsigned{__NR_io_uring_enter}}) {
    EXPECT_EXIT(
        {
          if (!forbid(number)) std::exit(7);
          auto queue = IoQueue::open();
          std::byte byte{};
          IoRead read;
          const Descriptor zero("/dev/zero");
          read.descriptor = zero.fd;
          read.into = {std::span(&byte, 1)};
          (*queue)->submit(read, IoUrgency::kDemand);
          const bool done = (*queue)->wait(read).has_value();
          std::exit(done && (*queue)->backend() == std::string("preadv") ? 0 : 1);
        },
        [](int status) {
          return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
        },
        "");
  }
}

}  // namespace
}  // namespace mneme::kv

#include "engram/fetch.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "tensor/dequantize.h"

namespace mneme::engram {

namespace {

void check_rows(const Table& table, std::span<const uint64_t> rows, size_t rows_max) {
  MNEME_CHECK(rows.size() <= rows_max, "{} rows, {} at most", rows.size(), rows_max);
  for (const uint64_t row : rows) MNEME_CHECK(row < table.rows(), "row {} of {}", row, table.rows());
}

// Rows to f32, kGathered of them brought together for one call: their cache misses overlap, and 512 tokens
// take 0.2 ms instead of 0.5 (prefetching them one by one: 0.25).
class Gather {
 public:
  explicit Gather(const Table& table) : table_(table), gathered_(kGathered * table.row_bytes()) {}

  // out: [count, width]; bytes_of(i) is where row i of them lies.
  template <class BytesOf>
  void dequantize(size_t count, BytesOf&& bytes_of, std::span<float> out) {
    const size_t width = table_.width(), bytes = table_.row_bytes();
    for (size_t first = 0; first < count; first += kGathered) {
      const size_t some = std::min(kGathered, count - first);
      for (size_t i = 0; i < some; ++i) std::memcpy(gathered_.data() + i * bytes, bytes_of(first + i), bytes);
      tensor::dequantize(table_.type(), std::span(gathered_).first(some * bytes),
                         out.subspan(first * width, some * width));
    }
  }

  size_t memory_bytes() const { return gathered_.size(); }

 private:
  static constexpr size_t kGathered = 64;

  const Table& table_;
  std::vector<std::byte> gathered_;
};

// Rows of a loaded table: nothing travels, wait() gathers.
class MemoryFetch final : public Fetch {
 public:
  MemoryFetch(const Table& table, size_t rows_max) : table_(table), rows_max_(rows_max), gather_(table) {
    rows_.reserve(rows_max);
  }

  void begin(std::span<const uint64_t> rows) override {
    MNEME_CHECK(!in_flight_, "a batch of {} rows is in flight", rows_.size());
    check_rows(table_, rows, rows_max_);
    rows_.assign(rows.begin(), rows.end());
    in_flight_ = true;
  }

  Result<void> wait(std::span<float> out) override {
    MNEME_CHECK(in_flight_ && out.size() == rows_.size() * table_.width(), "{} values, {} rows in flight",
                out.size(), in_flight_ ? rows_.size() : 0);
    const std::byte* start = table_.memory().data();
    gather_.dequantize(
        rows_.size(), [&](size_t i) { return start + rows_[i] * table_.row_bytes(); }, out);
    in_flight_ = false;
    return {};
  }

  size_t memory_bytes() const override { return rows_max_ * sizeof(uint64_t) + gather_.memory_bytes(); }

 private:
  const Table& table_;
  const size_t rows_max_;
  Gather gather_;
  std::vector<uint64_t> rows_;  // of the batch in flight
  bool in_flight_ = false;
};

// The rows of one batch on their way from disk. A row is a hundredth of a page and every row lies somewhere
// else, so the time is the number of reads the disk has at once: first every row that the page cache holds is
// taken without waiting and every other one announced to the kernel, which starts to read its page; then the
// announced ones are read. Measured (6 GiB file, 16 and 4096 rows, cold; virtual disk of about 120,000 reads
// a second): 0.20 ms and 37 ms, as io_uring with O_DIRECT at depth 128 (0.20, 35), which a container may
// forbid and which reads 0.17 and 34 ms even when the page cache holds everything (here 0.005 and 2.2).
// Losers: io_uring without O_DIRECT 0.22 and 38; pread alone 0.39 and 123; 16 threads of pread 0.44 and 40; a
// mapping 0.52 and 125, and it would count as resident memory. Adjacent rows are too rare for preadv. No
// cache of rows stands in front: 4 MiB of them would serve two thirds of the n-grams of English text, but
// those are the ones whose pages stay cached anyway.
class DiskBatch {
 public:
  DiskBatch(const Table& table, size_t rows_max)
      : table_(table), gather_(table), slots_(rows_max), staging_(rows_max * table.row_bytes()) {
    asked_.reserve(rows_max);
    rows_.reserve(rows_max);
    missing_.reserve(rows_max);
  }

  void ask(std::span<const uint64_t> rows) {
    asked_.clear();
    for (const uint64_t row : rows) asked_.push_back({row, static_cast<uint32_t>(asked_.size())});
  }

  // Gives each different row a slot, in the order of the file; fills those that need no disk.
  void start() {
    std::sort(asked_.begin(), asked_.end(), [](const Asked& a, const Asked& b) { return a.row < b.row; });
    rows_.clear();
    missing_.clear();
    for (const Asked& asked : asked_) {
      if (rows_.empty() || rows_.back() != asked.row) {
        rows_.push_back(asked.row);
        const size_t slot = rows_.size() - 1;
        if (!take_cached(slot)) missing_.push_back(static_cast<uint32_t>(slot));
      }
      slots_[asked.position] = static_cast<uint32_t>(rows_.size() - 1);
    }
  }

  // Reads the others.
  Result<void> finish() {
    for (const uint32_t slot : missing_) {
      if (auto read = table_.file().read_exactly(table_.offset_of(rows_[slot]), bytes(slot)); !read)
        return read;
    }
    return {};
  }

  size_t size() const { return asked_.size(); }

  void dequantize(std::span<float> out) {
    gather_.dequantize(
        asked_.size(), [&](size_t i) { return bytes(slots_[i]).data(); }, out);
  }

  size_t memory_bytes() const {
    const size_t row = sizeof(Asked) + sizeof(uint64_t) + 2 * sizeof(uint32_t);
    return slots_.size() * row + staging_.size() + gather_.memory_bytes();
  }

 private:
  struct Asked {
    uint64_t row;
    uint32_t position;  // in the batch
  };

  std::span<std::byte> bytes(size_t slot) {
    return std::span(staging_).subspan(slot * table_.row_bytes(), table_.row_bytes());
  }

  // Where the page cache does not hold all of the row, or the file system cannot say, announces it.
  bool take_cached(size_t slot) {
    const std::span<std::byte> to = bytes(slot);
    const iovec vector{to.data(), to.size()};
    const auto offset = static_cast<off_t>(table_.offset_of(rows_[slot]));
    const int descriptor = table_.file().descriptor();
    if (::preadv2(descriptor, &vector, 1, offset, RWF_NOWAIT) == static_cast<ssize_t>(to.size())) return true;
    ::posix_fadvise(descriptor, offset, static_cast<off_t>(to.size()), POSIX_FADV_WILLNEED);
    return false;
  }

  const Table& table_;
  Gather gather_;
  std::vector<Asked> asked_;        // by row, once started
  std::vector<uint64_t> rows_;      // [slot]: the different rows, ascending
  std::vector<uint32_t> missing_;   // slots that the page cache did not hold
  std::vector<uint32_t> slots_;     // [position]
  std::vector<std::byte> staging_;  // [slot, row_bytes]
};

// Small batches (decode) are announced by the caller, 3 us a row at most: less than waking a thread on a busy
// machine. Large ones (prefill) would fill the disk's queue and hold the caller there: they have a thread.
class DiskFetch final : public Fetch {
 public:
  static constexpr size_t kInlineMax = 64;

  DiskFetch(const Table& table, size_t rows_max)
      : table_(table), rows_max_(rows_max), batch_(table, rows_max) {}

  ~DiskFetch() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Result<void> start_thread() {
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& error) {
      return core::fail("{}: no thread to read with: {}", table_.file().path(), error.what());
    }
    return {};
  }

  void begin(std::span<const uint64_t> rows) override {
    MNEME_CHECK(!in_flight_, "a batch of {} rows is in flight", batch_.size());
    check_rows(table_, rows, rows_max_);
    in_flight_ = true;
    batch_.ask(rows);
    if (rows.size() <= kInlineMax) return batch_.start();
    {
      const std::lock_guard lock(mutex_);
      asked_ = true;
    }
    changed_.notify_all();
  }

  Result<void> wait(std::span<float> out) override {
    MNEME_CHECK(in_flight_ && out.size() == batch_.size() * table_.width(), "{} values, {} rows in flight",
                out.size(), in_flight_ ? batch_.size() : 0);
    in_flight_ = false;
    auto read = batch_.size() <= kInlineMax ? batch_.finish() : join();
    if (read) batch_.dequantize(out);
    return read;
  }

  size_t memory_bytes() const override { return batch_.memory_bytes(); }

 private:
  Result<void> join() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !asked_; });
    return std::move(outcome_);
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return asked_ || stop_; });
      if (stop_) return;
      lock.unlock();
      batch_.start();
      Result<void> outcome = batch_.finish();
      lock.lock();
      outcome_ = std::move(outcome);
      asked_ = false;
      changed_.notify_all();
    }
  }

  const Table& table_;
  const size_t rows_max_;
  bool in_flight_ = false;
  DiskBatch batch_;  // the thread's while asked_, the caller's otherwise
  std::thread thread_;
  std::condition_variable changed_;
  std::mutex mutex_;
  bool asked_ = false;  // this and the rest under mutex_
  bool stop_ = false;
  Result<void> outcome_;
};

}  // namespace

Result<std::unique_ptr<Fetch>> Fetch::create(const Table& table, size_t rows_max) {
  MNEME_CHECK(rows_max < (size_t{1} << 32), "{} rows", rows_max);
  if (table.placement() == Placement::kMemory) return std::make_unique<MemoryFetch>(table, rows_max);
  auto fetch = std::make_unique<DiskFetch>(table, rows_max);
  if (rows_max > DiskFetch::kInlineMax) {
    if (auto started = fetch->start_thread(); !started) return core::pass(started);
  }
  return fetch;
}

}  // namespace mneme::engram

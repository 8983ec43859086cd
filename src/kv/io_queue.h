// Asynchronous reads on one I/O thread: io_uring where the build and the kernel have it, else preadv on the
// thread. What moves extents from disk into slabs while attention works on the slabs before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "kv/disk.h"

namespace mneme::kv {

enum class IoState : uint8_t { kIdle, kPending, kDone, kFailed };

// Reads that somebody waits for go before those that may be wanted later; each kind in order of submission.
enum class IoUrgency : uint8_t { kDemand, kAhead };

// Consecutive bytes of a file, scattered into spans. Belongs to the caller, who keeps it where it is, the
// descriptor open and the spans alive while it is pending; after that it can be filled in anew and submitted
// again. Descriptors may be O_DIRECT: whatever is not aligned to 4,096 bytes then (offset, a span's address
// or length) goes through a buffer of the queue; bytes of a page that were not asked for are never written.
class IoRead {
 public:
  int descriptor = -1;
  uint64_t offset = 0;
  std::vector<std::span<std::byte>> into;
  std::optional<uint64_t> hash;  // XXH3-64 of all bytes, compared before the read counts as done
  std::string name;              // what messages call the file

  IoRead() = default;
  ~IoRead();  // a pending read is a bug
  IoRead(const IoRead&) = delete;
  IoRead& operator=(const IoRead&) = delete;

  // Never blocks. Once it is not kPending any more, the thread that saw this sees the bytes.
  IoState state() const { return state_.load(std::memory_order_acquire); }
  bool pending() const { return state() == IoState::kPending; }
  // Of kFailed: one line that names the file and the byte. The bytes in the spans are then worth nothing.
  const std::string& message() const { return message_; }
  // Of kFailed: the bytes were read, and are not those that were written.
  bool hash_differs() const { return hash_differs_; }

 private:
  friend class IoQueue;
  std::atomic<IoState> state_{IoState::kIdle};
  std::string message_;
  bool hash_differs_ = false;
  bool queued_ = false;  // under the queue's mutex: nothing of it was begun
  // Of the I/O thread alone.
  int pieces_ = 0;    // under way
  bool cut_ = false;  // there will be no more
};

// Since the queue was opened.
struct IoCounters {
  uint64_t bytes = 0;     // that were asked for and arrived
  uint64_t requests = 0;  // finished, failed ones among them
  uint64_t failures = 0;
  double busy_s = 0;     // while at least one read was under way
  double stalled_s = 0;  // that wait() blocked, summed over its callers
};

struct IoOptions {
  bool uring = true;    // false: preadv even where the kernel has io_uring
  int pieces_max = 16;  // under way in the kernel at a time
  // Longer reads are split, so that the disk works on several parts. 0: 256 KiB; 1 MiB with preadv, which has
  // one part under way.
  size_t piece_bytes = 0;
  Disk* disk = nullptr;  // where faults are put; null: the system's. Another one is read with preadv
};

// Thread safe. Destroying it fails what was not begun, waits for what is under way (the kernel writes into
// the callers' memory) and for callers of wait() to leave.
class IoQueue {
 public:
  static Result<std::unique_ptr<IoQueue>> open(const IoOptions& options = {});
  ~IoQueue();

  // The read is pending from here on. One that is pending already is a bug. After stop() it fails at once.
  void submit(IoRead& read, IoUrgency urgency);
  // Until the read is not pending; a read ahead becomes a demand. Whether it is done, or what failed.
  Result<void> wait(IoRead& read);
  // Takes a read back that was not begun: it is idle, true. False: it is under way or finished (wait for it).
  bool cancel(IoRead& read);
  // Fails what was not begun and everything submitted later. For an owner whose other threads may be waiting.
  void stop();

  IoCounters counters() const;
  const char* backend() const;  // "io_uring" or "preadv"

 private:
  struct State;
  explicit IoQueue(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mneme::kv

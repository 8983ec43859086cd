#include "core/thread_pool.h"

#include "core/error.h"

namespace mneme::core {

namespace {

constexpr uint64_t kClosed = 0xFFFFFFFFu;
// About 20 microseconds: longer than the serial work between two parallel sections of a decode step, shorter
// than a time slice.
constexpr int kSpins = 400;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int thread_count) : ticket_(kClosed) {
  MNEME_CHECK(thread_count >= 1, "thread_count {}", thread_count);
  for (int i = 1; i < thread_count; ++i) threads_.emplace_back([this, i] { worker(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  job_.fetch_add(1);
  job_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::run_raw(int count, Call call, void* context) {
  if (count <= 0) return;
  if (threads_.empty() || count == 1) {
    for (int task = 0; task < count; ++task) call(context, task, 0);
    return;
  }
  // The last job is done, so no thread holds a task; a late one may still be reading the old fields. Closing
  // the ticket first makes its exchange fail before it can act on a mixture of old and new.
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store((job << 32) | kClosed, std::memory_order_seq_cst);
  count_.store(count, std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(job << 32, std::memory_order_seq_cst);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();

  while (work_on_one(0)) {
  }
  for (int spin = 0;; ++spin) {
    const uint32_t done = done_.load(std::memory_order_acquire);
    if (done == static_cast<uint32_t>(count)) return;
    if (spin < kSpins)
      relax();
    else
      done_.wait(done, std::memory_order_acquire);
  }
}

// Takes one task of the current job and does it; false when none is left.
bool ThreadPool::work_on_one(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (true) {
    const uint64_t task = ticket & kClosed;
    if (task == kClosed || task >= static_cast<uint64_t>(count_.load(std::memory_order_acquire)))
      return false;
    const Call call = call_.load(std::memory_order_relaxed);
    void* context = context_.load(std::memory_order_relaxed);
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
    const auto count = static_cast<uint32_t>(count_.load(std::memory_order_relaxed));
    call(context, static_cast<int>(task), thread);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) done_.notify_one();
    return true;
  }
}

void ThreadPool::worker(int thread) {
  uint32_t seen = 0;
  while (true) {
    uint32_t job = job_.load(std::memory_order_acquire);
    for (int spin = 0; job == seen && spin < kSpins; ++spin) {
      relax();
      job = job_.load(std::memory_order_acquire);
    }
    if (job == seen) {
      job_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = job;
    if (stop_.load()) return;
    while (work_on_one(thread)) {
    }
  }
}

}  // namespace mneme::core

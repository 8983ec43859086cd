#include "core/thread_pool.h"

#include "core/error.h"

namespace mneme::core {

namespace {

constexpr uint64_t kTaskBits = 20, kTaskMask = (uint64_t{1} << kTaskBits) - 1;

uint64_t range_bits(uint64_t job, uint64_t first, uint64_t end) {
  return (job << (2 * kTaskBits)) | (first << kTaskBits) | end;
}

// About 20 microseconds: longer than the serial work between two parallel sections of a decode step, shorter
// than a time slice.
constexpr int kSpins = 400;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int thread_count) {
  MNEME_CHECK(thread_count >= 1, "thread_count {}", thread_count);
  ranges_ = std::make_unique<Range[]>(static_cast<size_t>(thread_count));
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
  MNEME_CHECK(static_cast<uint64_t>(count) < kTaskMask, "{} tasks", count);
  // The last job is done: every range is empty and no thread holds a task. A late one may still be reading
  // the old fields; a range of the new job opens after they are written, so a task taken from it is always
  // called with them.
  ++job_number_;
  count_.store(static_cast<uint32_t>(count), std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const auto threads = static_cast<uint64_t>(thread_count()), tasks = static_cast<uint64_t>(count);
  for (uint64_t t = 0; t < threads; ++t) {
    ranges_[t].bits.store(range_bits(job_number_, tasks * t / threads, tasks * (t + 1) / threads),
                          std::memory_order_release);
  }
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

// Does one task: the thread's own next one, or the last of another's; false when none is left.
bool ThreadPool::work_on_one(int thread) {
  const auto own = static_cast<size_t>(thread), threads = static_cast<size_t>(thread_count());
  if (take(own, true, thread)) return true;
  for (size_t step = 1; step < threads; ++step) {
    if (take((own + step) % threads, false, thread)) return true;
  }
  return false;
}

bool ThreadPool::take(size_t owner, bool from_front, int thread) {
  std::atomic<uint64_t>& range = ranges_[owner].bits;
  uint64_t bits = range.load(std::memory_order_acquire);
  while (true) {
    const uint64_t job = bits >> (2 * kTaskBits), first = (bits >> kTaskBits) & kTaskMask,
                   end = bits & kTaskMask;
    if (first >= end) return false;
    const Call call = call_.load(std::memory_order_relaxed);
    void* context = context_.load(std::memory_order_relaxed);
    const uint32_t count = count_.load(std::memory_order_relaxed);
    const uint64_t left = from_front ? range_bits(job, first + 1, end) : range_bits(job, first, end - 1);
    if (!range.compare_exchange_weak(bits, left, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    call(context, static_cast<int>(from_front ? first : end - 1), thread);
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

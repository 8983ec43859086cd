// Fork-join over numbered tasks. The calling thread works too, so a pool of 1 has no threads of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace mneme::core {

// Each thread owns a contiguous range of the tasks and takes them in order, so that neighbouring tasks (rows
// of one matrix, blocks of one head) stream through one core; a thread that has finished takes from the far
// end of another's range. A thread that the system takes off its core therefore delays only the task it
// holds, and one that has not yet woken delays nobody. Waiting spins a few microseconds, then sleeps. run()
// may be called from one thread at a time and must not be nested.
class ThreadPool {
 public:
  explicit ThreadPool(int thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int thread_count() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls body(task, thread) once for each task in [0, count), count < 2^20, thread in [0, thread_count());
  // returns when all are done. The body must not throw.
  template <class Body>
  void run(int count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_raw(
        count, [](void* context, int task, int thread) { (*static_cast<Plain*>(context))(task, thread); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, int task, int thread);

  void run_raw(int count, Call call, void* context);
  bool work_on_one(int thread);
  void worker(int thread);

  // The tasks that one thread has left: number of the job (high 24 bits), first (20), end (20). An empty
  // range is closed.
  struct alignas(64) Range {
    std::atomic<uint64_t> bits{0};
  };
  bool take(size_t owner, bool from_front, int thread);

  std::unique_ptr<Range[]> ranges_;  // [thread]
  uint64_t job_number_ = 0;          // of the calling thread alone
  std::atomic<uint32_t> done_{0};
  std::atomic<uint32_t> count_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> job_{0};  // what sleeping workers watch
  std::vector<std::thread> threads_;
};

}  // namespace mneme::core

// Fork-join over numbered tasks. The calling thread works too, so a pool of 1 has no threads of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace mneme::core {

// Tasks are handed out one at a time from a shared counter, so a thread that the system takes off its core
// delays only the task it holds; a thread that has not yet woken delays nobody. Waiting spins a few
// microseconds, then sleeps. run() may be called from one thread at a time and must not be nested.
class ThreadPool {
 public:
  explicit ThreadPool(int thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int thread_count() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls body(task, thread) once for each task in [0, count), thread in [0, thread_count()); returns when
  // all are done. The body must not throw.
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

  // High half: number of the job; low half: next task. kClosed in the low half means that the job is being
  // replaced.
  std::atomic<uint64_t> ticket_;
  std::atomic<uint32_t> done_{0};
  std::atomic<int> count_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> job_{0};  // what sleeping workers watch
  std::vector<std::thread> threads_;
};

}  // namespace mneme::core

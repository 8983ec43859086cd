#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace mneme::core {
namespace {

TEST(ThreadPool, DoesEveryTaskOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const int count : {0, 1, 2, 3, 100, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(count));
      pool.run(count, [&](int task, int thread) {
        ASSERT_LT(thread, threads);
        done[static_cast<size_t>(task)].fetch_add(1);
      });
      for (const auto& d : done) EXPECT_EQ(d.load(), 1);
    }
  }
}

// Many short sections after each other: the hand-over from one job to the next is where a late worker could
// do harm.
TEST(ThreadPool, SectionsFollowEachOtherSafely) {
  ThreadPool pool(4);
  int plain = 0;  // written by one task, read after the section: a race here is a broken join
  for (int section = 0; section < 20000; ++section) {
    std::atomic<int> sum{0};
    const int count = 1 + section % 7;
    pool.run(count, [&](int task, int) {
      sum.fetch_add(task + 1);
      if (task == 0) plain = section;
    });
    ASSERT_EQ(sum.load(), count * (count + 1) / 2);
    ASSERT_EQ(plain, section);
  }
}

TEST(ThreadPool, SleepingWorkersWake) {
  ThreadPool pool(3);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> sum{0};
    pool.run(50, [&](int, int) { sum.fetch_add(1); });
    EXPECT_EQ(sum.load(), 50);
  }
}

}  // namespace
}  // namespace mneme::core

#include "engine/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mneme/machine.h"

namespace mneme::engine {
namespace {

class MemoryAvailable : public testing::Test {
 protected:
  MemoryAvailable()
      : root_(std::filesystem::temp_directory_path() / ("mneme_machine_" + std::to_string(::getpid()))) {
    write("proc/meminfo", "MemTotal:       16000 kB\nMemFree:         2000 kB\nMemAvailable:   8000 kB\n");
  }
  ~MemoryAvailable() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const auto full = root_ / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  uint64_t available() {
    return memory_available_under((root_ / "proc").string(), (root_ / "cgroup").string());
  }

  std::filesystem::path root_;
};

TEST_F(MemoryAvailable, IsTheSystemsWithoutGroups) { EXPECT_EQ(available(), 8'000u * 1024); }

TEST_F(MemoryAvailable, IsWhatTheTightestGroupLeaves) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("cgroup/a/b/memory.max", "max\n");
  write("cgroup/a/memory.max", "4000000\n");
  write("cgroup/a/memory.current", "3000000\n");
  write("cgroup/a/memory.stat", "anon 500\ninactive_file 1000000\nactive_file 500000\n");
  EXPECT_EQ(available(), 4'000'000u - 1'500'000u);
}

TEST_F(MemoryAvailable, KnowsTheOldHierarchy) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n0::/\n");
  write("cgroup/memory/job/memory.limit_in_bytes", "1000000\n");
  write("cgroup/memory/job/memory.usage_in_bytes", "400000\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(available(), 600'000u);
}

TEST_F(MemoryAvailable, AGroupBeyondItsLimitLeavesNothing) {
  write("proc/self/cgroup", "0::/a\n");
  write("cgroup/a/memory.max", "1000\n");
  write("cgroup/a/memory.current", "5000\n");
  EXPECT_EQ(available(), 0u);
}

TEST(MemoryAvailableUnderNothing, IsNotKnown) {
  EXPECT_EQ(memory_available_under("/nonexistent", "/nonexistent"), 0u);
}

TEST(Machine, KnowsItself) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_GT(memory_available_bytes(), 0u);
  EXPECT_GT(rss_bytes(), 0u);
  EXPECT_GE(rss_peak_bytes() + (1 << 20), rss_bytes());
}

}  // namespace
}  // namespace mneme::engine

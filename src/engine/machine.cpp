#include "engine/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "core/arena.h"
#include "core/clock.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "mneme/machine.h"

namespace mneme {

namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// The first number of a file; nothing where there is none ("max").
std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// The number after `key` in a file of lines "key value" (memory.stat) or "key:  value kB" (meminfo).
std::optional<uint64_t> read_field(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.size() <= key.size() || !line.starts_with(key)) continue;
    if (line[key.size()] != ' ' && line[key.size()] != ':') continue;
    std::istringstream rest(line.substr(key.size() + 1));
    uint64_t value = 0;
    if (rest >> value) return value;
  }
  return std::nullopt;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive;  // keys of memory.stat: pages of files, which the kernel takes back before it refuses
  const char* active;
};
constexpr GroupFiles kGroupV2{"memory.max", "memory.current", "inactive_file", "active_file"};
constexpr GroupFiles kGroupV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                              "total_active_file"};

// What the group at `path` below `root`, and each group above it, leaves of its limit.
uint64_t left_in_groups(const std::string& root, std::string path, const GroupFiles& files) {
  uint64_t left = kNoLimit;
  while (true) {
    const std::string folder = root + path + "/";
    const auto limit = read_number(folder + files.limit);
    if (limit) {
      const uint64_t usage = read_number(folder + files.usage).value_or(0);
      const uint64_t cached = read_field(folder + "memory.stat", files.inactive).value_or(0) +
                              read_field(folder + "memory.stat", files.active).value_or(0);
      const uint64_t held = usage > cached ? usage - cached : 0;
      left = std::min(left, *limit > held ? *limit - held : 0);
    }
    if (path.empty() || path == "/") return left;
    path.erase(path.find_last_of('/'));
  }
}

}  // namespace

namespace engine {

uint64_t memory_available_under(const std::string& proc, const std::string& cgroup) {
  uint64_t available = read_field(proc + "/meminfo", "MemAvailable").value_or(0) * 1024;
  if (available == 0) available = kNoLimit;
  // "0::/a/b" is the unified hierarchy; "9:memory:/a/b" (maybe "cpu,memory") an old one, mounted under its
  // name.
  std::ifstream groups(proc + "/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (names.empty()) available = std::min(available, left_in_groups(cgroup, path, kGroupV2));
    if (names.find("memory") != std::string::npos) {
      available = std::min(available, left_in_groups(cgroup + "/memory", path, kGroupV1));
    }
  }
  return available == kNoLimit ? 0 : available;
}

}  // namespace engine

uint64_t memory_available_bytes() { return engine::memory_available_under("/proc", "/sys/fs/cgroup"); }

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

uint64_t rss_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint64_t rss_peak_bytes() {
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Result<double> measure_read_bandwidth(int threads) {
  constexpr size_t kBytes = size_t{512} << 20;  // several times any cache's share
  constexpr size_t kPiece = size_t{4} << 20;
  constexpr int kPasses = 5;
  auto ops = kernels::select_ops();
  if (!ops) return core::pass(ops);
  auto arena = core::Arena::reserve(kBytes);
  if (!arena) return core::pass(arena);
  const std::span<std::byte> bytes = arena->take(kBytes);
  core::ThreadPool pool(std::max(1, threads));
  constexpr int kPieces = static_cast<int>(kBytes / kPiece);
  const auto piece = [&](int task) { return bytes.subspan(static_cast<size_t>(task) * kPiece, kPiece); };
  // Each page must be written once: untouched ones all stand for the same page of zeros.
  pool.run(kPieces, [&](int task, int) { std::memset(piece(task).data(), task + 1, kPiece); });

  std::vector<uint32_t> seen(static_cast<size_t>(kPieces));  // kept: without a use the reads may be left out
  double best_s = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < kPasses; ++pass) {
    const double start_s = core::now_s();
    pool.run(kPieces, [&](int task, int) {
      seen[static_cast<size_t>(task)] = (*ops)->read_work(piece(task).data(), kPiece);
    });
    best_s = std::min(best_s, core::now_s() - start_s);
  }
  return static_cast<double>(kBytes) / best_s;
}

Result<double> measure_matmul_peak(int threads) {
  constexpr int kSteps = 1 << 17;  // a few milliseconds
  constexpr int kPasses = 8;
  auto ops = kernels::select_ops();
  if (!ops) return core::pass(ops);
  core::ThreadPool pool(std::max(1, threads));
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    std::vector<double> work(static_cast<size_t>(pool.thread_count()));
    const double start_s = core::now_s();
    pool.run(pool.thread_count(),
             [&](int task, int) { work[static_cast<size_t>(task)] = (*ops)->peak_work(kSteps); });
    best = std::max(best, std::accumulate(work.begin(), work.end(), 0.0) / (core::now_s() - start_s));
  }
  return best;
}

}  // namespace mneme

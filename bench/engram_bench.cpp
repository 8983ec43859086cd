// Rows of an Engram table from memory, from a warm and from a cold page cache: batches of a prefill (512
// tokens x 8 rows) and of a decode step (8 rows in each of 2 layers), nothing computed meanwhile. `limit` is
// what this machine does in rows a second without us, measured in the same run: memory, dependent on nothing,
// one random cache line a row; warm, one pread of a cached row; cold, O_DIRECT reads of random pages by 32
// threads. Times are medians. The file (MNEME_ENGRAM_BENCH_GIB, 2 unless said) is made in TMPDIR.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/rng.h"
#include "engram/engram.h"

namespace mneme::engram {
namespace {

constexpr size_t kRowsPerToken = 8, kLayers = 2, kWidth = 32, kRowBytes = 34;
constexpr size_t kHotRows = size_t{1} << 16;  // of the warm rows: 256 MiB of pages

enum class From { kMemory, kWarm, kCold };

// Two tables in one file.
class TableFile {
 public:
  explicit TableFile(size_t bytes) {
    const char* folder = std::getenv("TMPDIR");
    path_ = std::string(folder != nullptr ? folder : "/tmp") + "/mneme_engram_bench_" +
            std::to_string(::getpid());
    std::vector<char> piece(size_t{8} << 20);
    core::Rng rng(1);
    for (char& byte : piece) byte = static_cast<char>(rng.next_u32() & 0x3F);  // no NaN among the scales
    std::ofstream file(path_, std::ios::binary);
    for (size_t done = 0; done < bytes; done += piece.size())
      file.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    rows_ = static_cast<uint32_t>(bytes / kLayers / kRowBytes);
  }
  ~TableFile() { std::filesystem::remove(path_); }

  uint32_t rows() const { return rows_; }
  TableSource source(size_t layer) const {
    return {path_, layer * rows_ * kRowBytes, tensor::DType::kQ8_0, rows_, kWidth};
  }
  void drop_page_cache() const {
    const int descriptor = ::open(path_.c_str(), O_RDONLY);
    ::fsync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
  // Rows a second with 32 reads of a page in flight.
  double disk_limit() const {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_DIRECT);
    std::atomic<size_t> reads{0};
    const double start = core::now_s();
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 32; ++t) {
      threads.emplace_back([&, t] {
        core::Rng rng(t);
        const std::unique_ptr<void, void (*)(void*)> page(std::aligned_alloc(4096, 4096), std::free);
        while (core::now_s() - start < 0.5) {
          const off_t offset = static_cast<off_t>(rng.next_below(rows_ / 64)) * 4096;
          if (::pread(descriptor, page.get(), 4096, offset) == 4096) ++reads;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ::close(descriptor);
    return static_cast<double>(reads) / (core::now_s() - start);
  }

 private:
  std::string path_;
  uint32_t rows_ = 0;
};

struct Machine {
  double memory = 0, warm = 0, cold = 0;  // rows a second
};

std::vector<uint64_t> random_rows(core::Rng& rng, uint32_t below, size_t count) {
  std::vector<uint64_t> rows(count);
  for (uint64_t& row : rows) row = rng.next_below(below);
  return rows;
}

// The rows that warm batches draw from, spread over the whole table.
uint64_t hot_row(const Table& table, uint64_t number) { return number * (table.rows() / kHotRows); }

void warm_up(const Table& table) {
  std::byte row[kRowBytes];
  for (uint64_t i = 0; i < kHotRows; ++i)
    (void)table.file().read_exactly(table.offset_of(hot_row(table, i)), row);
}

// The best of three: the machine is shared.
Machine measure(const TableFile& file, const Table& memory, const Table& disk) {
  Machine machine;
  core::Rng rng(2);
  const auto rows = random_rows(rng, file.rows(), size_t{1} << 20);
  const auto hot = random_rows(rng, kHotRows, kHotRows);
  std::byte row[kRowBytes];
  warm_up(disk);
  for (int round = 0; round < 3; ++round) {
    double start = core::now_s();
    unsigned sum = 0;
    for (const uint64_t r : rows) sum += static_cast<unsigned>(memory.memory()[r * kRowBytes]);
    benchmark::DoNotOptimize(sum);
    machine.memory = std::max(machine.memory, static_cast<double>(rows.size()) / (core::now_s() - start));
    start = core::now_s();
    for (const uint64_t r : hot) (void)disk.file().read_exactly(disk.offset_of(hot_row(disk, r)), row);
    machine.warm = std::max(machine.warm, static_cast<double>(kHotRows) / (core::now_s() - start));
    machine.cold = std::max(machine.cold, file.disk_limit());
  }
  return machine;
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Case {
  const TableFile& file;
  const Machine& machine;
  std::vector<const Table*> tables;  // one for each layer of the case
  From from;
  size_t tokens;
};

double limit_of(const Case& c) {
  if (c.from == From::kMemory) return c.machine.memory;
  return c.from == From::kWarm ? c.machine.warm : c.machine.cold;
}

void fetch(benchmark::State& state, const Case& c) {
  const size_t rows_max = c.tokens * kRowsPerToken;
  std::vector<std::unique_ptr<Fetch>> fetches;
  for (const Table* table : c.tables) fetches.push_back(std::move(*Fetch::create(*table, rows_max)));
  std::vector<float> out(rows_max * kWidth);
  std::vector<double> seconds, begin_seconds;
  core::Rng rng(3);
  if (c.from == From::kWarm) {
    for (const Table* table : c.tables) warm_up(*table);
  }
  for (auto _ : state) {
    std::vector<std::vector<uint64_t>> batches;
    for (const Table* table : c.tables) {
      batches.push_back(random_rows(rng, c.from == From::kWarm ? kHotRows : c.file.rows(), rows_max));
      if (c.from != From::kWarm) continue;
      for (uint64_t& row : batches.back()) row = hot_row(*table, row);
    }
    if (c.from == From::kCold) c.file.drop_page_cache();
    const double start = core::now_s();
    for (size_t i = 0; i < fetches.size(); ++i) fetches[i]->begin(batches[i]);
    begin_seconds.push_back(core::now_s() - start);
    for (auto& f : fetches) {
      if (!f->wait(out)) state.SkipWithError("the table could not be read");
    }
    seconds.push_back(core::now_s() - start);
    state.SetIterationTime(seconds.back());
    benchmark::DoNotOptimize(out.data());
  }
  const double rows = static_cast<double>(rows_max * fetches.size()), time = median(seconds);
  state.counters["begin_us"] = median(begin_seconds) * 1e6;
  state.counters["p50_us"] = time * 1e6;
  state.counters["p99_us"] = seconds[seconds.size() * 99 / 100] * 1e6;
  state.counters["rows/s"] = rows / time;
  state.counters["limit"] = limit_of(c);
  state.counters["share"] = rows / time / limit_of(c);
}

// Rows of 512 tokens, vocabulary 32768, orders 2 and 3, 4 heads.
void hash(benchmark::State& state) {
  const auto primes = *distinct_primes(1 << 20, kRowsPerToken);
  const auto multipliers = odd_multipliers(1, 1, 3);
  std::vector<uint32_t> token_map(32768);
  for (uint32_t i = 0; i < token_map.size(); ++i) token_map[i] = i * 3 / 4;
  const HashOptions options{3, 4, primes, multipliers, token_map, 24576};
  core::Rng rng(4);
  std::vector<int32_t> tokens(512);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.next_below(32768));
  std::vector<uint64_t> rows(tokens.size() * kRowsPerToken);
  for (auto _ : state) {
    row_indices(options, {}, tokens, rows);
    benchmark::DoNotOptimize(rows.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(rows.size()) * state.iterations());
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const char* gib = std::getenv("MNEME_ENGRAM_BENCH_GIB");
  const TableFile file(static_cast<size_t>(gib != nullptr ? std::atoi(gib) : 2) << 30);
  std::vector<std::unique_ptr<const Table>> memory, disk;
  for (size_t layer = 0; layer < kLayers; ++layer) {
    auto in_memory = Table::open(file.source(layer), Placement::kMemory);
    auto on_disk = Table::open(file.source(layer), Placement::kDisk);
    if (!in_memory || !on_disk) return std::fputs("no table: is TMPDIR full?\n", stderr), 1;
    memory.push_back(std::move(*in_memory));
    disk.push_back(std::move(*on_disk));
  }
  file.drop_page_cache();
  const Machine machine = measure(file, *memory[0], *disk[0]);
  benchmark::RegisterBenchmark("hash/512", hash);
  for (const auto& [from, name] :
       {std::pair{From::kMemory, "memory"}, std::pair{From::kWarm, "warm"}, std::pair{From::kCold, "cold"}}) {
    const auto& tables = from == From::kMemory ? memory : disk;
    const Case prefill{file, machine, {tables[0].get()}, from, 512};
    const Case decode{file, machine, {tables[0].get(), tables[1].get()}, from, 1};
    for (const auto& [what, c] : {std::pair{"prefill", prefill}, std::pair{"decode", decode}}) {
      const std::string row = std::string("fetch/") + name + "/" + what;
      benchmark::RegisterBenchmark(row.c_str(), [c = c](benchmark::State& s) { fetch(s, c); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond)
          ->Iterations(c.tokens > 1 ? 40 : 400);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace mneme::engram

int main(int argc, char** argv) { return mneme::engram::run(argc, argv); }

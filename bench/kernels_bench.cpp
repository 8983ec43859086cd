// Matrix products, attention and what is computed with sealed blocks, by element type and number of rows, on
// one thread. `share` is of the memory's read speed for rows that stream weights, keys and values or
// summaries, of the product instruction's peak for many rows; both measured beside each row.
#include <benchmark/benchmark.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/clock.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "kv/sealed_block.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

namespace mneme::kernels {
namespace {

using tensor::DType;

// Bytes a second of one thread reading 256 MiB in 2 MiB pages.
double read_speed(const Ops& ops) {
  constexpr size_t kBytes = size_t{256} << 20;
  static core::Arena arena = *core::Arena::reserve(kBytes);
  static const std::span<std::byte> data = [] {
    auto all = arena.take(kBytes);
    std::memset(all.data(), 1, all.size());
    return all;
  }();
  const double start = core::now_s();
  benchmark::DoNotOptimize(ops.read_work(data.data(), kBytes));
  return static_cast<double>(kBytes) / (core::now_s() - start);
}

double peak_speed(const Ops& ops) {
  const double start = core::now_s();
  const double work = ops.peak_work(1 << 18);
  return work / (core::now_s() - start);
}

// y = W x with W of 256 MiB / rows-many columns, so that nothing of it is in a cache when its turn comes
// again.
void matmul(benchmark::State& state, const Ops& ops, DType type, int tokens) {
  const int columns = 2048, rows = tokens == 1 ? 65536 : 4096;
  core::ThreadPool pool(1);
  auto scratch = *MatmulScratch::reserve(512, columns, 1);
  core::Arena arena = *core::Arena::reserve(packed_bytes(type, rows, columns) + 64);
  auto data = arena.take(packed_bytes(type, rows, columns));
  std::memset(data.data(), 1, data.size());
  const PackedMatrix w{type, rows, columns, data.data()};
  const std::vector<float> x(static_cast<size_t>(tokens) * static_cast<size_t>(columns), 0.5f);
  std::vector<float> y(static_cast<size_t>(tokens) * static_cast<size_t>(rows));
  const Product product{&w, y.data(), static_cast<size_t>(rows)};
  double seconds = 0, limit = 0;
  for (auto _ : state) {
    const double start = core::now_s();
    scratch.multiply(ops, pool, {&product, 1}, x.data(), tokens, static_cast<size_t>(columns));
    seconds += core::now_s() - start;
    state.PauseTiming();
    limit += tokens == 1 ? read_speed(ops) : peak_speed(ops);
    state.ResumeTiming();
  }
  const auto rounds = static_cast<double>(state.iterations());
  const double done = tokens == 1 ? static_cast<double>(data.size()) : 2.0 * rows * columns * tokens;
  state.counters[tokens == 1 ? "GB/s" : "GFLOP/s"] = done * rounds / seconds * 1e-9;
  state.counters["limit"] = limit / rounds * 1e-9;
  state.counters["share"] = done * rounds / seconds / (limit / rounds);
}

// A KV head over a context of 256 MiB keys and values: one decode step with its query group, or a tile of
// prefill.
void attend(benchmark::State& state, const Ops& ops, int head_dim, int tile_rows) {
  const bool prefill = tile_rows > 16;
  const size_t block_values = static_cast<size_t>(64 * head_dim),
               blocks = (size_t{256} << 20) / (4 * block_values);
  core::Arena arena = *core::Arena::reserve((size_t{256} << 20) + attend_scratch_bytes(head_dim) + 4096);
  std::vector<const uint16_t*> keys, values;
  core::Rng rng(1);
  for (size_t b = 0; b < blocks; ++b) {
    auto both = arena.take_array<uint16_t>(2 * block_values);
    // not zeros, nor the same everywhere: the matrix unit's clock falls with what its operands hold (by a
    // fifth), and equal logits never move the largest one
    for (auto& v : both) v = tensor::to_bf16(rng.next_unit() - 0.5f).bits;
    keys.push_back(both.data());
    values.push_back(both.data() + block_values);
  }
  const auto rows = static_cast<size_t>(tile_rows), dim = static_cast<size_t>(head_dim);
  std::vector<float> queries(rows * dim);
  for (auto& q : queries) q = 0.5f * rng.next_unit() - 0.25f;
  const std::vector<int> limits(rows, static_cast<int>(blocks * 64));
  std::vector<float> out(rows * dim), max(rows), sum(rows);
  AttendTask task;
  task.queries = queries.data(), task.query_stride = dim, task.rows = tile_rows, task.head_dim = head_dim;
  task.keys = keys.data(), task.values = values.data(), task.blocks = static_cast<int>(blocks),
  task.limits = limits.data();
  task.out = out.data(), task.max = max.data(), task.sum = sum.data();
  task.scratch = arena.take(attend_scratch_bytes(head_dim)).data();
  double seconds = 0, limit = 0;
  for (auto _ : state) {
    std::fill(max.begin(), max.end(), -std::numeric_limits<float>::infinity());
    const double start = core::now_s();
    ops.attend(task);
    seconds += core::now_s() - start;
    state.PauseTiming();
    limit += prefill ? peak_speed(ops) : read_speed(ops);
    state.ResumeTiming();
  }
  const auto rounds = static_cast<double>(state.iterations());
  // bytes read, or two products of 64 tokens by head_dim for each row
  const double done = static_cast<double>(blocks * block_values * (prefill ? 4 * rows : 4));
  const double speed = done * rounds / seconds;
  state.counters[prefill ? "GFLOP/s" : "GB/s"] = speed * 1e-9;
  state.counters["blocks/s"] = static_cast<double>(blocks) * rounds / seconds;
  state.counters["limit"] = limit / rounds * 1e-9;
  state.counters["share"] = speed / (limit / rounds);
}

// Sealed blocks that stand for `bf16_bytes` of keys and values of one KV head.
struct SealedBlocks {
  core::Arena arena;
  std::vector<SealedSummary> summaries;
  std::vector<SealedFp8> copies;
  size_t summary_bytes, copy_bytes;  // of all

  SealedBlocks(const Ops& ops, int head_dim, size_t bf16_bytes)
      : arena(*core::Arena::reserve(bf16_bytes)),
        summary_bytes(kv::summary_bytes(head_dim)),
        copy_bytes(kv::fp8_bytes(head_dim)) {
    const size_t values = static_cast<size_t>(64 * head_dim), blocks = bf16_bytes / (4 * values);
    std::vector<uint16_t> block(2 * values);
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<uint16_t>(0x3C00 + i * 31 % 512);
    for (size_t b = 0; b < blocks; ++b) {
      std::byte *summary = arena.take(summary_bytes).data(), *copy = arena.take(copy_bytes).data();
      kv::seal(ops, {block.data(), block.data() + values}, 64, head_dim, {summary, copy});
      summaries.push_back(kv::summary_at(summary, head_dim));
      copies.push_back(kv::fp8_at(copy, head_dim));
    }
    summary_bytes *= blocks, copy_bytes *= blocks;
  }
  int count() const { return static_cast<int>(summaries.size()); }
};

enum class SealedWork { kAttend, kMasses, kMeans };

// What a decode step of a query group does with the sealed blocks of a context of 256 MiB keys and values.
void sealed_work(benchmark::State& state, const Ops& ops, SealedWork work, int head_dim, int group) {
  const SealedBlocks sealed(ops, head_dim, size_t{256} << 20);
  const auto rows = static_cast<size_t>(group), dim = static_cast<size_t>(head_dim),
             blocks = sealed.summaries.size();
  const std::vector<float> queries(rows * dim, 0.01f);
  std::vector<float> out(rows * dim), max(rows), sum(rows), masses(rows * blocks), sums(rows * blocks),
      variances(rows * blocks);
  const std::vector<float> highest(rows, 0.0f);
  core::Arena arena = *core::Arena::reserve(size_t{1} << 20);
  void* scratch = arena.take(size_t{1} << 19).data();
  double seconds = 0, limit = 0;
  for (auto _ : state) {
    std::fill(max.begin(), max.end(), -std::numeric_limits<float>::infinity());
    const double start = core::now_s();
    if (work == SealedWork::kAttend)
      ops.attend_sealed({queries.data(), dim, group, head_dim, sealed.summaries.data(), sealed.copies.data(),
                         sealed.count(), out.data(), max.data(), sum.data(), scratch});
    if (work == SealedWork::kMasses)
      ops.sketch_masses({queries.data(), dim, group, head_dim, sealed.summaries.data(), sealed.count(),
                         masses.data(), sums.data(), blocks, variances.data(), blocks, scratch});
    if (work == SealedWork::kMeans)
      ops.add_means({sealed.summaries.data(), nullptr, sealed.count(), group, head_dim, masses.data(), blocks,
                     highest.data(), out.data(), max.data(), sum.data()});
    seconds += core::now_s() - start;
    state.PauseTiming();
    limit += read_speed(ops);
    state.ResumeTiming();
  }
  const auto rounds = static_cast<double>(state.iterations());
  // Means read a few lines of each summary: their share says little.
  const size_t bytes = work == SealedWork::kAttend ? sealed.copy_bytes : sealed.summary_bytes;
  const double speed = static_cast<double>(bytes) * rounds / seconds;
  state.counters["blocks/s"] = static_cast<double>(blocks) * rounds / seconds;
  state.counters["GB/s"] = speed * 1e-9;
  state.counters["share"] = speed / (limit / rounds);
}

void add_sealed_rows(const Ops& ops) {
  constexpr std::pair<SealedWork, const char*> kWorks[] = {{SealedWork::kAttend, "attend_sealed/"},
                                                           {SealedWork::kMasses, "sketch_masses/"},
                                                           {SealedWork::kMeans, "add_means/"}};
  for (const auto& [work, title] : kWorks) {
    for (const int dim : {64, 128}) {
      for (const int group : {1, 2, 4, 8}) {
        const std::string name = title + std::string(ops.name) + "/dim" + std::to_string(dim) + "/group" +
                                 std::to_string(group);
        benchmark::RegisterBenchmark(name.c_str(), [&ops, w = work, dim, group](benchmark::State& s) {
          sealed_work(s, ops, w, dim, group);
        })->Unit(benchmark::kMillisecond);
      }
    }
  }
}

void add_rows(const Ops& ops) {
  const std::string isa = ops.name;
  for (const DType type :
       {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K, DType::kBF16, DType::kF16}) {
    for (const int tokens : {1, 8, 16, 512}) {
      const std::string name = "matmul/" + isa + "/" + std::string(tensor::dtype_info(type).name) + "/rows" +
                               std::to_string(tokens);
      benchmark::RegisterBenchmark(name.c_str(), [&ops, type, tokens](benchmark::State& s) {
        matmul(s, ops, type, tokens);
      })->Unit(benchmark::kMillisecond);
    }
  }
  for (const auto& [dim, rows] :
       {std::pair{64, 4}, std::pair{128, 2}, std::pair{128, 8}, std::pair{64, kAttendRowsMax},
        std::pair{128, 64}, std::pair{128, kAttendRowsMax}}) {
    const std::string name = "attend/" + isa + "/dim" + std::to_string(dim) + "/rows" + std::to_string(rows);
    benchmark::RegisterBenchmark(name.c_str(), [&ops, d = dim, r = rows](benchmark::State& s) {
      attend(s, ops, d, r);
    })->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace mneme::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const auto* ops : mneme::kernels::available_ops()) {
    if (std::string(ops->name) == "scalar") continue;
    mneme::kernels::add_rows(*ops);
    mneme::kernels::add_sealed_rows(*ops);
  }
  benchmark::RunSpecifiedBenchmarks();
}

// Attention of every back-end this machine has, against the scalar oracle: odd shapes, rows that see anything
// or nothing, runs that end anywhere, logits far apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/rng.h"
#include "kernels/backends.h"
#include "kernels/select.h"
#include "tensor/convert.h"

namespace mneme::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Sum of two uniform values: bounded, centred, not too regular.
float noise(core::Rng& rng) { return rng.next_unit() + rng.next_unit() - 1.0f; }

std::vector<float> noise(size_t n, uint64_t seed) {
  core::Rng rng(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = noise(rng);
  return x;
}

double nmse(std::span<const float> got, std::span<const float> want) {
  double difference = 0, power = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    power += double{want[i]} * want[i];
  }
  return difference / power;
}

class EachIsaAttends : public testing::TestWithParam<const Ops*> {};

// Keys and values in block layout, filled to the end.
struct Blocks {
  std::vector<std::vector<uint16_t>> keys, values;
  std::vector<const uint16_t*> key_pointers, value_pointers;

  Blocks(int blocks, int head_dim, uint64_t seed) {
    core::Rng rng(seed);
    for (int b = 0; b < blocks; ++b) {
      for (auto* side : {&keys, &values}) {
        auto& block = side->emplace_back(static_cast<size_t>(64 * head_dim));
        for (auto& v : block) v = tensor::to_bf16(noise(rng) * 2).bits;
      }
    }
    for (auto& k : keys) key_pointers.push_back(k.data());
    for (auto& v : values) value_pointers.push_back(v.data());
  }
};

struct Attended {
  std::vector<float> out, max, sum;

  Attended(int rows, int head_dim)
      : out(static_cast<size_t>(rows * head_dim)),
        max(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity()),
        sum(static_cast<size_t>(rows)) {}

  void run(const Ops& ops, AttendTask task) {
    core::Arena arena = *core::Arena::reserve(attend_scratch_bytes(task.head_dim));
    task.out = out.data(), task.max = max.data(), task.sum = sum.data();
    task.scratch = arena.take(attend_scratch_bytes(task.head_dim)).data();
    ops.attend(task);
  }
  float value(size_t row, size_t c, size_t head_dim) const { return out[row * head_dim + c] / sum[row]; }
};

TEST_P(EachIsaAttends, AsTheOracle) {
  const Ops& ops = *GetParam();
  for (const int head_dim : {24, 32, 64, 80, 128, 256}) {
    const Blocks blocks(3, head_dim, 5);
    for (const int rows : {1, 2, 3, 7, 16, 19, 33, 64}) {
      const auto query_stride = static_cast<size_t>(head_dim) + 1;
      auto queries = noise(static_cast<size_t>(rows) * query_stride, 11);
      std::vector<int> limits(static_cast<size_t>(rows));
      // Causal limits that cross block borders; one row sees a single token, one nothing at all.
      for (int r = 0; r < rows; ++r) limits[static_cast<size_t>(r)] = rows == 1 ? 129 : (r * 37) % 193;
      AttendTask task{};
      task.queries = queries.data(), task.query_stride = query_stride, task.rows = rows,
      task.head_dim = head_dim;
      task.keys = blocks.key_pointers.data(), task.values = blocks.value_pointers.data(), task.blocks = 3;
      task.limits = limits.data();
      Attended got(rows, head_dim), want(rows, head_dim);
      got.run(ops, task);
      want.run(scalar_ops(), task);
      std::vector<float> got_all, want_all;
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
        if (limits[r] == 0) {
          EXPECT_EQ(got.sum[r], 0.0f);
          continue;
        }
        for (size_t c = 0; c < static_cast<size_t>(head_dim); ++c) {
          got_all.push_back(got.value(r, c, static_cast<size_t>(head_dim)));
          want_all.push_back(want.value(r, c, static_cast<size_t>(head_dim)));
        }
        EXPECT_NEAR(got.max[r] + std::log(got.sum[r]), want.max[r] + std::log(want.sum[r]), 0.05f);
      }
      // bf16 queries and weights: 2^-9 relative each, averaged over the tokens.
      ASSERT_LT(nmse(got_all, want_all), 2e-4) << ops.name << " head_dim " << head_dim << " rows " << rows;
    }
  }
}

// Rows that begin anywhere: before the run, in it, behind it; that see one token, one block, nothing.
TEST_P(EachIsaAttends, RowsWithStarts) {
  const Ops& ops = *GetParam();
  for (const int head_dim : {24, 32, 64, 96}) {
    const Blocks blocks(4, head_dim, 5);
    for (const int rows : {1, 4, 7, 16, 35, 64}) {
      const auto queries = noise(static_cast<size_t>(rows * head_dim), 11);
      std::vector<int> starts, limits;
      for (int r = 0; r < rows; ++r) {
        starts.push_back(r % 5 == 4 ? -3 : (r * 31) % 250);
        limits.push_back(r % 7 == 6 ? starts.back() : starts.back() + 1 + (r * 53) % 130);
      }
      AttendTask task{};
      task.queries = queries.data(), task.query_stride = static_cast<size_t>(head_dim), task.rows = rows,
      task.head_dim = head_dim;
      task.keys = blocks.key_pointers.data(), task.values = blocks.value_pointers.data(), task.blocks = 4;
      task.limits = limits.data(), task.starts = starts.data();
      Attended got(rows, head_dim), want(rows, head_dim);
      got.run(ops, task);
      want.run(scalar_ops(), task);
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
        if (limits[r] <= std::max(0, starts[r])) {
          EXPECT_EQ(got.sum[r], 0.0f);
          EXPECT_EQ(got.max[r], -std::numeric_limits<float>::infinity());
          continue;
        }
        std::vector<float> got_row, want_row;
        for (size_t c = 0; c < static_cast<size_t>(head_dim); ++c) {
          got_row.push_back(got.value(r, c, static_cast<size_t>(head_dim)));
          want_row.push_back(want.value(r, c, static_cast<size_t>(head_dim)));
        }
        EXPECT_LT(nmse(got_row, want_row), 1e-3) << ops.name << " head_dim " << head_dim << " row " << r;
      }
    }
  }
}

TEST_P(EachIsaAttends, RunsMayFollowEachOther) {
  const Ops& ops = *GetParam();
  const int head_dim = 64;
  const Blocks blocks(4, head_dim, 6);
  const auto queries = noise(5 * 64, 12);
  const int limits[] = {256, 200, 129, 128, 256};
  AttendTask task{};
  task.queries = queries.data(), task.query_stride = 64, task.rows = 5, task.head_dim = head_dim,
  task.limits = limits;
  task.keys = blocks.key_pointers.data(), task.values = blocks.value_pointers.data(), task.blocks = 4;
  Attended whole(5, head_dim), parts(5, head_dim);
  whole.run(ops, task);
  task.blocks = 2;
  parts.run(ops, task);
  int rest[5];
  for (int r = 0; r < 5; ++r) rest[r] = limits[r] - 128;
  task.keys += 2, task.values += 2, task.limits = rest;
  parts.run(ops, task);
  for (size_t r = 0; r < 5; ++r) {
    for (size_t c = 0; c < 64; ++c) EXPECT_NEAR(whole.value(r, c, 64), parts.value(r, c, 64), 1e-5f);
  }
}

// Logits far apart: exp must neither overflow nor lose the winner.
TEST_P(EachIsaAttends, ExtremeLogits) {
  const Ops& ops = *GetParam();
  const int head_dim = 32;
  Blocks blocks(2, head_dim, 8);
  for (int pair = 0; pair < head_dim / 2; ++pair)
    blocks.keys[1][static_cast<size_t>(pair * 128 + 10 * 2)] = tensor::to_bf16(1000.0f).bits;
  std::vector<float> queries(32, 10.0f);
  const int limit = 128;
  AttendTask task{};
  task.queries = queries.data(), task.query_stride = 32, task.rows = 1, task.head_dim = head_dim,
  task.limits = &limit;
  task.keys = blocks.key_pointers.data(), task.values = blocks.value_pointers.data(), task.blocks = 2;
  Attended got(1, head_dim);
  got.run(ops, task);
  for (size_t c = 0; c < 32; ++c) {
    const float want = tensor::to_f32(tensor::Bf16{blocks.values[1][static_cast<size_t>(5 * 64) + c * 2]});
    EXPECT_NEAR(got.value(0, c, 32), want, 1e-3f);
  }
}

// A task over blocks of its own, and what its rows see.
struct Case {
  Blocks blocks;
  std::vector<float> queries;  // [rows, head_dim], exact in bf16, so that large logits are no rounding errors
  std::vector<int> starts, limits;
  AttendTask task;

  Case(int rows, int head_dim, int block_count, float level) : blocks(block_count, head_dim, 5) {
    queries = noise(static_cast<size_t>(rows * head_dim), 11);
    for (auto& q : queries) q = tensor::to_f32(tensor::to_bf16(q * level));
    task.queries = queries.data(), task.query_stride = static_cast<size_t>(head_dim);
    task.rows = rows, task.head_dim = head_dim;
    task.keys = blocks.key_pointers.data(), task.values = blocks.value_pointers.data();
    task.blocks = block_count;
  }
  void see(int start, int limit) { starts.push_back(start), limits.push_back(limit); }
  AttendTask& begin() {
    task.starts = starts.data(), task.limits = limits.data();
    return task;
  }
  bool sees_nothing(size_t row) const { return limits[row] <= std::max(0, starts[row]); }
  void scale_keys(int block, float factor) {
    for (auto& k : blocks.keys[static_cast<size_t>(block)])
      k = tensor::to_bf16(tensor::to_f32(tensor::Bf16{k}) * factor).bits;
  }
};

// Every row near the oracle's; rows that see nothing untouched.
void expect_near(const Ops& ops, Case& c, float sink = -kInfinity) {
  const AttendTask& task = c.begin();
  const auto dim = static_cast<size_t>(task.head_dim);
  Attended got(task.rows, task.head_dim), want(task.rows, task.head_dim);
  for (Attended* state : {&got, &want}) {
    if (sink == -kInfinity) continue;
    std::fill(state->max.begin(), state->max.end(), sink);
    std::fill(state->sum.begin(), state->sum.end(), 1.0f);
  }
  got.run(ops, task);
  want.run(scalar_ops(), task);
  for (size_t r = 0; r < static_cast<size_t>(task.rows); ++r) {
    const std::string where = std::string(ops.name) + " head_dim " + std::to_string(dim) + " rows " +
                              std::to_string(task.rows) + " row " + std::to_string(r);
    if (c.sees_nothing(r)) {
      EXPECT_EQ(got.sum[r], sink == -kInfinity ? 0.0f : 1.0f) << where;
      EXPECT_EQ(got.max[r], sink) << where;
      for (size_t i = 0; i < dim; ++i) EXPECT_EQ(got.out[r * dim + i], 0.0f) << where;
      continue;
    }
    double difference = 0, power = 1e-12;
    for (size_t i = 0; i < dim; ++i) {
      difference += std::pow(double{got.value(r, i, dim)} - want.value(r, i, dim), 2);
      power += std::pow(want.value(r, i, dim), 2);
    }
    ASSERT_LT(difference / power, 1e-3) << where;
    const float got_total = got.max[r] + std::log(got.sum[r]),
                want_total = want.max[r] + std::log(want.sum[r]);
    ASSERT_NEAR(got_total, want_total, 1e-3f + 1e-5f * std::abs(want_total)) << where;
  }
}

// More blocks than are read in one go, tiles that are full and that are not; limits in blocks and at their
// borders, blocks that a group of rows or all of them do not see.
TEST_P(EachIsaAttends, ManyRows) {
  for (const int head_dim : {32, 64, 96, 128, 256}) {
    for (const int rows : {5, 6, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 130, 256}) {
      if (rows > 64 && head_dim != 64) continue;
      Case c(rows, head_dim, 11, 1.0f);
      for (int r = 0; r < rows; ++r) {
        if (r % 16 == 7)
          c.see(100, 100);
        else if (r % 3 == 0)
          c.see(-5, 1 + r);
        else if (r < rows / 2)
          c.see(64 * (r % 4), 64 * (r % 4) + 64);
        else
          c.see(450 + r % 70, 640 + r % 64);
      }
      expect_near(*GetParam(), c);
    }
  }
}

TEST_P(EachIsaAttends, CausalRowsAndSinks) {
  for (const float sink : {-kInfinity, -50.0f, 1.0f, 60.0f}) {
    for (const int rows : {1, 6, 21, 40}) {
      Case c(rows, 64, 10, 1.0f);
      for (int r = 0; r < rows; ++r) c.see(0, r == rows - 1 ? 0 : 600 + r);
      if (rows == 1) c.limits[0] = 577;
      expect_near(*GetParam(), c, sink);
    }
  }
}

// The largest logit moves up in every block, by more than any weight could hold; or is the first, so that all
// that follows weighs nothing; or everything is far below zero.
TEST_P(EachIsaAttends, LogitsThatGrowAndShrink) {
  for (const int rows : {1, 6, 19, 33}) {
    for (const bool up : {true, false}) {
      for (const float level : {1.0f, 20.0f, 400.0f}) {
        Case c(rows, 64, 10, level);
        for (int b = 0; b < 10; ++b) c.scale_keys(b, std::exp2(static_cast<float>(up ? b - 9 : -b)));
        for (int r = 0; r < rows; ++r) c.see(r % 2 * 30, 640 - r);
        expect_near(*GetParam(), c);
      }
    }
  }
  Case low(33, 64, 9, 1.0f);
  for (auto& q : low.queries) q = 64.0f;
  for (int b = 0; b < 9; ++b) {
    for (auto& k : low.blocks.keys[static_cast<size_t>(b)])
      k = tensor::to_bf16(b == 8 ? -0.25f : -0.5f - 0.25f * static_cast<float>(b % 3)).bits;
  }
  for (int r = 0; r < 33; ++r) low.see(0, 576 - 64 * (r % 3) + (r % 3 == 0 ? 0 : r));
  expect_near(*GetParam(), low);
}

// The same bits whatever rows share the pass (up to 4 are another kernel's with amx) and wherever a run ends.
TEST_P(EachIsaAttends, BitsAreARowsOwn) {
  for (const int head_dim : {64, 96}) {
    const int rows = 75, blocks = 20;
    const auto dim = static_cast<size_t>(head_dim);
    Case c(rows, head_dim, blocks, 2.0f);
    for (int b = 0; b < blocks; ++b) c.scale_keys(b, 0.5f + 0.2f * static_cast<float>(b));
    for (int r = 0; r < rows; ++r) c.see(r % 4 == 3 ? 10 * r : 0, 1200 + r % 80);
    AttendTask& whole = c.begin();
    Attended want(rows, head_dim);
    want.run(*GetParam(), whole);
    for (const auto& [first, count] : {std::pair{0, 16}, {16, 6}, {7, 5}, {5, 33}, {40, 35}, {1, 64}}) {
      AttendTask part = whole;
      const auto from = static_cast<size_t>(first), size = static_cast<size_t>(count);
      part.rows = count, part.queries += from * dim, part.limits += from, part.starts += from;
      Attended got(count, head_dim);
      got.run(*GetParam(), part);
      EXPECT_EQ(std::memcmp(got.out.data(), &want.out[from * dim], size * dim * sizeof(float)), 0) << first;
      EXPECT_EQ(std::memcmp(got.sum.data(), &want.sum[from], size * sizeof(float)), 0) << first;
      EXPECT_EQ(std::memcmp(got.max.data(), &want.max[from], size * sizeof(float)), 0) << first;
    }
    for (const int step : {1, 3, 8, 13}) {
      Attended got(rows, head_dim);
      for (int block = 0; block < blocks; block += step) {
        AttendTask part = whole;
        auto starts = c.starts, limits = c.limits;
        for (auto& s : starts) s -= block * 64;
        for (auto& l : limits) l -= block * 64;
        part.starts = starts.data(), part.limits = limits.data();
        part.keys += block, part.values += block, part.blocks = std::min(step, blocks - block);
        got.run(*GetParam(), part);
      }
      EXPECT_EQ(std::memcmp(got.out.data(), want.out.data(), want.out.size() * sizeof(float)), 0) << step;
      EXPECT_EQ(got.sum, want.sum) << step;
      EXPECT_EQ(got.max, want.max) << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EachIsaAttends, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels

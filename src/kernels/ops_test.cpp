// isa_diff: every operation of every back-end this machine has, against the scalar oracle, over odd shapes.
#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "kernels/backends.h"
#include "kernels/matmul.h"
#include "kernels/select.h"
#include "tensor/quantize.h"
#include "tensor/tensor.h"

namespace mneme::kernels {
namespace {

using tensor::DType;

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,   DType::kQ4_0,
                            DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kIQ4_NL, DType::kQ2_K,
                            DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// Sum of two uniform values: bounded, centred, not too regular.
float noise(core::Rng& rng) { return rng.next_unit() + rng.next_unit() - 1.0f; }

std::vector<float> noise(size_t n, uint64_t seed) {
  core::Rng rng(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = noise(rng);
  return x;
}

// A packed random matrix beside its values.
struct Matrix {
  PackedMatrix packed;
  std::vector<float> values;  // [rows, columns] as the file format defines them
  core::Arena arena;

  Matrix(DType type, int rows, int columns, uint64_t seed) {
    const auto n = static_cast<size_t>(rows) * static_cast<size_t>(columns);
    const std::vector<float> source = noise(n, seed);
    const std::vector<std::byte> raw = tensor::quantize(type, source);
    values.resize(n);
    tensor::dequantize(type, raw, values);
    arena = *core::Arena::reserve(packed_bytes(type, rows, columns) + 64);
    auto data = arena.take(packed_bytes(type, rows, columns));
    packed = {type, rows, columns, data.data()};
    const size_t row_size = *tensor::row_bytes(type, static_cast<uint64_t>(columns));
    for (int tile = 0; tile < packed.tiles(); ++tile) {
      const int first = tile * kTileRows;
      pack_tile(type, columns, std::min(kTileRows, rows - first),
                raw.data() + static_cast<size_t>(first) * row_size,
                data.data() + static_cast<size_t>(tile) * packed.tile_bytes());
    }
  }
};

double nmse(std::span<const float> got, std::span<const float> want) {
  double difference = 0, power = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    power += double{want[i]} * want[i];
  }
  return difference / power;
}

TEST(Packed, KeepsEveryValueAndEveryByte) {
  for (const DType type : kTypes) {
    const int columns = 512, rows = 21;
    const Matrix m(type, rows, columns, 7);
    const auto& info = tensor::dtype_info(type);
    EXPECT_EQ(m.packed.tile_bytes(), *tensor::row_bytes(type, columns) * 16) << info.name;
    const int unit = unit_columns(type);
    std::vector<float> out(static_cast<size_t>(kTileRows * unit));
    for (int tile = 0; tile < m.packed.tiles(); ++tile) {
      for (int u = 0; u < columns / unit; ++u) {
        unpack_unit(type,
                    m.packed.data + static_cast<size_t>(tile) * m.packed.tile_bytes() +
                        static_cast<size_t>(u) * unit_bytes(type),
                    out.data());
        for (int row = 0; row < kTileRows; ++row) {
          for (int c = 0; c < unit; ++c) {
            const int n = tile * kTileRows + row;
            const float want = n < rows ? m.values[static_cast<size_t>(n * columns + u * unit + c)] : 0.0f;
            ASSERT_FLOAT_EQ(out[static_cast<size_t>(row * unit + c)], want)
                << info.name << " row " << n << " unit " << u << " column " << c;
          }
        }
      }
    }
  }
}

class EachIsa : public testing::TestWithParam<const Ops*> {};

TEST_P(EachIsa, MatmulAgreesWithPlainSums) {
  const Ops& ops = *GetParam();
  core::ThreadPool pool(2);
  // columns: one superblock, an odd number of them, and more than the matrix unit's panel
  for (const int columns : {256, 768, 2304}) {
    auto scratch = *MatmulScratch::reserve(70, columns, 2);
    for (const DType type : kTypes) {
      for (const int rows : {1, 16, 37, 150}) {
        if (columns > 768 && rows > 37) continue;
        const Matrix m(type, rows, columns, static_cast<uint64_t>(columns + rows));
        for (const int tokens : {1, 2, 3, 5, 8, 9, 16, 17, 29, 33, 70}) {
          const size_t x_stride = static_cast<size_t>(columns) + 3, y_stride = static_cast<size_t>(rows) + 5;
          const auto x = noise(static_cast<size_t>(tokens) * x_stride, 99);
          std::vector<float> y(static_cast<size_t>(tokens) * y_stride, -7.0f);
          const Product product{&m.packed, y.data(), y_stride};
          scratch.multiply(ops, pool, {&product, 1}, x.data(), tokens, x_stride);
          std::vector<float> got, want;
          for (size_t t = 0; t < static_cast<size_t>(tokens); ++t) {
            for (size_t n = 0; n < static_cast<size_t>(rows); ++n) {
              double sum = 0;
              for (size_t k = 0; k < static_cast<size_t>(columns); ++k)
                sum += double{m.values[n * static_cast<size_t>(columns) + k]} * x[t * x_stride + k];
              want.push_back(static_cast<float>(sum));
              got.push_back(y[t * y_stride + n]);
            }
            for (size_t n = static_cast<size_t>(rows); n < y_stride; ++n)
              ASSERT_EQ(y[t * y_stride + n], -7.0f) << "wrote past the row";
          }
          // 8-bit activations: (1/127)^2 / 12 of the largest of 32 values against their power, about 5e-5;
          // bf16: 1e-5.
          const double limit = std::string(ops.name) == "scalar" ? 1e-12 : 1.5e-4;
          ASSERT_LT(nmse(got, want), limit) << ops.name << " " << tensor::dtype_info(type).name << " rows "
                                            << rows << " columns " << columns << " tokens " << tokens;
        }
      }
    }
  }
}

TEST_P(EachIsa, PrepareSurvivesZerosAndLargeValues) {
  const Ops& ops = *GetParam();
  core::ThreadPool pool(1);
  auto scratch = *MatmulScratch::reserve(32, 256, 1);
  const Matrix m(DType::kQ8_0, 16, 256, 3);
  for (const float level : {0.0f, 1e-30f, 1e30f}) {
    for (const int tokens : {1, 32}) {
      std::vector<float> x(static_cast<size_t>(tokens) * 256, 0.0f), y(static_cast<size_t>(tokens) * 16);
      x[5] = level;
      const Product product{&m.packed, y.data(), 16};
      scratch.multiply(ops, pool, {&product, 1}, x.data(), tokens, 256);
      for (size_t n = 0; n < 16; ++n) {
        const float want = level * m.values[n * 256 + 5];
        EXPECT_NEAR(y[n], want, std::abs(want) * 0.01f) << ops.name << " level " << level;
      }
    }
  }
}

// Every number of rows that the matrix unit takes in 8 bits, and more; tiles that are not whole.
TEST_P(EachIsa, EightBitProductsDoNotSeeTheirNeighbours) {
  const Ops& ops = *GetParam();
  if (std::string(ops.name) == "scalar") return;  // f32 activations
  core::ThreadPool pool(2);
  constexpr size_t kTokens = 33;
  for (const DType type : kTypes) {
    if (type == DType::kF32 || type == DType::kF16 || type == DType::kBF16) continue;
    for (const int columns : {unit_columns(type), 3 * unit_columns(type), 1280}) {
      const auto width = static_cast<size_t>(columns);
      const int rows = 37;
      auto scratch = *MatmulScratch::reserve(kTokens, columns, 2);
      const Matrix m(type, rows, columns, width);
      auto x = noise(kTokens * width, 5);
      for (size_t i = 0; i < x.size(); i += 97) x[i] *= 1e4f;                // groups of very unlike scales
      for (size_t i = 0; i < width; ++i) x[width + i] = 0;                   // a row of zeros
      for (size_t i = 0; i < width; ++i) x[2 * width + i] = i % 2 ? 1 : -1;  // codes of +-127 alone
      std::vector<float> alone(kTokens * 37);
      for (size_t t = 0; t < kTokens; ++t) {
        const Product product{&m.packed, &alone[t * 37], 37};
        scratch.multiply(ops, pool, {&product, 1}, &x[t * width], 1, width);
      }
      for (int tokens = 2; tokens <= 33; ++tokens) {
        if (ops.forms(type, tokens) != kFormQ8) continue;
        const auto count = static_cast<size_t>(tokens) * 37;
        std::vector<float> y(count);
        const Product product{&m.packed, y.data(), 37};
        scratch.multiply(ops, pool, {&product, 1}, x.data(), tokens, width);
        ASSERT_TRUE(std::equal(y.begin(), y.end(), alone.begin()))
            << ops.name << " " << tensor::dtype_info(type).name << " columns " << columns << " tokens "
            << tokens;
      }
    }
  }
}

// All codes at their ends: the largest integer sums there are, and scales up to f16's.
TEST_P(EachIsa, ProductsSurviveTheLargestCodes) {
  const Ops& ops = *GetParam();
  core::ThreadPool pool(1);
  const int columns = 96;
  auto scratch = *MatmulScratch::reserve(32, columns, 1);
  for (const float level : {1e-4f, 1.0f, 8e6f}) {
    std::vector<float> source(16 * 96);
    for (size_t i = 0; i < source.size(); ++i) source[i] = i / 96 % 2 ? -level : level;
    const std::vector<std::byte> raw = tensor::quantize(DType::kQ8_0, source);
    tensor::dequantize(DType::kQ8_0, raw, source);
    core::Arena arena = *core::Arena::reserve(packed_bytes(DType::kQ8_0, 16, columns) + 64);
    const auto data = arena.take(packed_bytes(DType::kQ8_0, 16, columns));
    pack_tile(DType::kQ8_0, columns, 16, raw.data(), data.data());
    const PackedMatrix w{DType::kQ8_0, 16, columns, data.data()};
    for (const int tokens : {1, 2, 5, 16, 31}) {
      std::vector<float> x(static_cast<size_t>(tokens) * 96), y(static_cast<size_t>(tokens) * 16);
      for (size_t i = 0; i < x.size(); ++i) x[i] = i / 96 % 3 ? 3.0f : -3.0f;
      const Product product{&w, y.data(), 16};
      scratch.multiply(ops, pool, {&product, 1}, x.data(), tokens, 96);
      for (size_t i = 0; i < y.size(); ++i) {
        const float want = 96 * source[i % 16 * 96] * x[i / 16 * 96];
        EXPECT_NEAR(y[i], want, std::abs(want) * 1e-2f) << ops.name << " " << tokens << " level " << level;
      }
    }
  }
}

TEST_P(EachIsa, RowOperationsAgree) {
  const Ops& ops = *GetParam();
  for (const int n : {1, 7, 16, 31, 64, 100, 1027}) {
    const auto size = static_cast<size_t>(n);
    const auto x = noise(size, 1), gain = noise(size, 2);
    std::vector<float> got(size), want(size);
    ops.rms_norm(got.data(), x.data(), gain.data(), n, 1e-5f);
    scalar_ops().rms_norm(want.data(), x.data(), gain.data(), n, 1e-5f);
    for (size_t i = 0; i < size; ++i) EXPECT_NEAR(got[i], want[i], 1e-5f * (1 + std::abs(want[i])));

    auto wide = x;
    for (auto& v : wide) v *= 200;  // far into both tails of the sigmoid
    ops.silu_mul(got.data(), wide.data(), gain.data(), n);
    scalar_ops().silu_mul(want.data(), wide.data(), gain.data(), n);
    for (size_t i = 0; i < size; ++i)
      EXPECT_NEAR(got[i], want[i], 2e-6f * (1 + std::abs(want[i]))) << wide[i];

    got = x, want = x;
    ops.add(got.data(), gain.data(), n);
    scalar_ops().add(want.data(), gain.data(), n);
    EXPECT_EQ(got, want);
  }
}

TEST_P(EachIsa, StreamOperationsAgree) {
  const Ops& ops = *GetParam();
  for (const int n : {1, 7, 16, 31, 64, 100, 1027}) {
    const auto size = static_cast<size_t>(n);
    const auto x = noise(size, 1), y = noise(size, 2);
    std::vector<float> got = x, want = x;
    ops.blend(got.data(), 0.3f, y.data(), -1.7f, n);
    scalar_ops().blend(want.data(), 0.3f, y.data(), -1.7f, n);
    for (size_t i = 0; i < size; ++i) EXPECT_NEAR(got[i], want[i], 1e-6f);
    for (int streams = 1; streams <= kStreamsMax; ++streams) {
      const auto count = static_cast<size_t>(streams);
      const auto wide = noise(count * size, 3), keep = noise(count * count, 4), give = noise(count, 5);
      ops.combine(got.data(), give.data(), wide.data(), streams, n);
      scalar_ops().combine(want.data(), give.data(), wide.data(), streams, n);
      for (size_t i = 0; i < size; ++i) EXPECT_NEAR(got[i], want[i], 2e-6f);
      auto got_all = wide, want_all = wide;
      ops.mix_streams({got_all.data(), y.data(), keep.data(), give.data(), streams, n});
      scalar_ops().mix_streams({want_all.data(), y.data(), keep.data(), give.data(), streams, n});
      for (size_t i = 0; i < got_all.size(); ++i) EXPECT_NEAR(got_all[i], want_all[i], 4e-6f) << streams;
    }
  }
}

TEST_P(EachIsa, DotsAgreeAndDoNotSeeTheirNeighbours) {
  const Ops& ops = *GetParam();
  for (const int n : {1, 15, 64, 100, 2048}) {
    for (const int count : {1, 3, 8, 13, 24}) {
      const auto matrix = noise(static_cast<size_t>(count * n), 1);
      const size_t x_stride = static_cast<size_t>(n) + 3, out_stride = static_cast<size_t>(count) + 2;
      const auto x = noise(9 * x_stride, 2);
      std::vector<float> got(9 * out_stride, -7.0f), want = got, alone = got;
      ops.dots({got.data(), out_stride, matrix.data(), count, x.data(), x_stride, 9, n});
      scalar_ops().dots({want.data(), out_stride, matrix.data(), count, x.data(), x_stride, 9, n});
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5f * std::sqrt(n)) << n;
      for (size_t r = 0; r < 9; ++r) {
        for (int m = 0; m < count; ++m)
          ops.dots({&alone[r * out_stride + static_cast<size_t>(m)], 1, &matrix[static_cast<size_t>(m * n)],
                    1, &x[r * x_stride], x_stride, 1, n});
      }
      EXPECT_EQ(alone, got);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EachIsa, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels

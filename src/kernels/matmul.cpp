#include "kernels/matmul.h"

#include <algorithm>

#include "core/error.h"

namespace mneme::kernels {

// amx/: two tiles x 512 columns of bf16 weights, one block of sums, and the sums of 16 tiles x 512 rows.
size_t matmul_scratch_bytes() {
  return size_t{2} * 512 * 16 * sizeof(uint16_t) + (256 + size_t{16} * 16 * 512) * sizeof(float);
}

namespace {

// A task streams about this many bytes of weights: 4 us, which is what a section's last task can cost the
// others, against 50 ns to hand it out.
constexpr size_t kTaskBytes = 64 << 10;
// With many rows the weights are not the cost: a task is large enough that activations, read once a task, are
// not it either.
constexpr int kTaskTilesManyRows = 16;
constexpr int kManyRows = 17;

int task_tiles(const PackedMatrix& w, int rows) {
  if (rows >= kManyRows) return kTaskTilesManyRows;
  return std::max(1, static_cast<int>(kTaskBytes / w.tile_bytes()));
}

// Rows prepared by one task.
constexpr int kPrepareRows = 16;

}  // namespace

Result<MatmulScratch> MatmulScratch::reserve(int rows_max, int columns_max, int threads) {
  MNEME_CHECK(rows_max >= 1 && rows_max <= 512 && columns_max % 32 == 0, "rows_max {} columns_max {}",
              rows_max, columns_max);
  MatmulScratch scratch;
  const auto rows = static_cast<size_t>((rows_max + kBf16PanelRows - 1) / kBf16PanelRows * kBf16PanelRows);
  const auto columns = static_cast<size_t>(columns_max), values = rows * columns;
  const size_t bytes = values + rows * bf16_pitch_of(columns_max) * sizeof(uint16_t) +
                       values / 32 * 4 * sizeof(float) +
                       static_cast<size_t>(threads) * matmul_scratch_bytes() +
                       (static_cast<size_t>(threads) + 8) * core::Arena::kAlign;
  auto arena = core::Arena::reserve(bytes);
  if (!arena) return core::pass(arena);
  scratch.arena_ = std::move(*arena);
  scratch.rows_max_ = rows_max;
  scratch.columns_max_ = columns_max;
  scratch.forms_.bf16 = scratch.arena_.take_array<uint16_t>(rows * bf16_pitch_of(columns_max)).data();
  scratch.forms_.q8 = scratch.arena_.take_array<int8_t>(values).data();
  scratch.forms_.q8_scale = scratch.arena_.take_array<float>(values / 32).data();
  scratch.forms_.q8_sum32 = scratch.arena_.take_array<float>(values / 32).data();
  scratch.forms_.q8_sum16 = scratch.arena_.take_array<float>(values / 16).data();
  for (int i = 0; i < threads; ++i) scratch.threads_.push_back(scratch.arena_.take(matmul_scratch_bytes()));
  return scratch;
}

void MatmulScratch::multiply(const Ops& ops, core::ThreadPool& pool, std::span<const Product> products,
                             const float* x, int rows, size_t x_stride) {
  Activations input = forms_;
  input.rows = rows;
  input.columns = products.front().weights->columns;
  input.bf16_pitch = bf16_pitch_of(input.columns);
  input.f32 = x;
  input.f32_stride = x_stride;
  MNEME_CHECK(rows >= 1 && rows <= rows_max_ && input.columns <= columns_max_, "rows {} columns {}", rows,
              input.columns);

  uint32_t forms = 0;
  for (const Product& product : products) forms |= ops.forms(product.weights->type, rows);
  pool.run((rows + kPrepareRows - 1) / kPrepareRows, [&](int task, int) {
    const int first = task * kPrepareRows;
    ops.prepare(input, forms, first, std::min(kPrepareRows, rows - first));
  });

  int tasks = 0;
  for (const Product& product : products) {
    const int step = task_tiles(*product.weights, rows);
    tasks += (product.weights->tiles() + step - 1) / step;
  }
  pool.run(tasks, [&](int task, int thread) {
    for (const Product& product : products) {
      const PackedMatrix& w = *product.weights;
      const int step = task_tiles(w, rows), own = (w.tiles() + step - 1) / step;
      if (task < own) {
        ops.matmul(w, task * step, std::min(step, w.tiles() - task * step), input, product.y,
                   product.y_stride, threads_[static_cast<size_t>(thread)].data());
        return;
      }
      task -= own;
    }
  });
}

}  // namespace mneme::kernels

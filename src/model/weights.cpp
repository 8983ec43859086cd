#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

#include "core/file.h"
#include "model/weight_plan.h"
#include "tensor/dequantize.h"

namespace mneme::model {

namespace {

using kernels::kTileRows;
using kernels::PackedMatrix;

// Read at a time by a thread: stays in its second-level cache until it is packed.
constexpr size_t kReadBytes = 512 << 10;

// Tiles [first, first + count) of one matrix.
struct PackTask {
  const MatrixJob* job;
  std::byte* data;
  int first, count;
};

std::vector<PackTask> cut_into_tasks(const std::vector<MatrixJob>& jobs) {
  std::vector<PackTask> tasks;
  for (const MatrixJob& job : jobs) {
    const int step = std::max(1, static_cast<int>(kReadBytes / job.matrix->tile_bytes()));
    for (int first = 0; first < job.matrix->tiles(); first += step) {
      tasks.push_back({&job, const_cast<std::byte*>(job.matrix->data), first,
                       std::min(step, job.matrix->tiles() - first)});
    }
  }
  return tasks;
}

Result<void> pack_task(const PackTask& task, const core::File& file, std::vector<std::byte>& buffer) {
  const PackedMatrix& matrix = *task.job->matrix;
  const size_t row_size = matrix.tile_bytes() / kTileRows;
  const int row_first = task.first * kTileRows,
            row_end = std::min(matrix.rows, (task.first + task.count) * kTileRows);
  const size_t size = static_cast<size_t>(row_end - row_first) * row_size;
  if (buffer.size() < size) buffer.resize(size);
  const std::span<std::byte> raw(buffer.data(), size);
  if (auto ok = file.read_exactly(task.job->tensor->file_offset + static_cast<size_t>(row_first) * row_size,
                                  raw);
      !ok)
    return ok;
  for (int tile = task.first; tile < task.first + task.count; ++tile) {
    const int row = tile * kTileRows;
    kernels::pack_tile(matrix.type, matrix.columns, std::min(kTileRows, matrix.rows - row),
                       raw.data() + static_cast<size_t>(row - row_first) * row_size,
                       task.data + static_cast<size_t>(tile) * matrix.tile_bytes());
  }
  return {};
}

Result<std::vector<core::File>> open_parts(const Gguf& gguf) {
  std::vector<core::File> files;
  for (const core::Mapping& mapping : gguf.files()) {
    auto file = core::File::open_read(mapping.path());
    if (!file) return core::pass(file);
    if (file->size() != mapping.bytes().size())
      return core::fail("{}: changed while it was being opened", mapping.path());
    files.push_back(std::move(*file));
  }
  return files;
}

Result<void> pack_all(const Gguf& gguf, const std::vector<MatrixJob>& jobs, core::ThreadPool& pool,
                      const std::function<void(double)>& progress) {
  auto files = open_parts(gguf);
  if (!files) return core::pass(files);
  const std::vector<PackTask> tasks = cut_into_tasks(jobs);
  std::vector<std::vector<std::byte>> buffers(static_cast<size_t>(pool.thread_count()));
  std::atomic<int> done{0};
  std::mutex mutex;
  Result<void> outcome;
  pool.run(static_cast<int>(tasks.size()), [&](int index, int thread) {
    const PackTask& task = tasks[static_cast<size_t>(index)];
    auto ok = pack_task(task, (*files)[static_cast<size_t>(task.job->tensor->file)],
                        buffers[static_cast<size_t>(thread)]);
    if (!ok) {
      const std::lock_guard lock(mutex);
      if (outcome) outcome = std::move(ok);
    }
    const int finished = done.fetch_add(1) + 1;
    if (thread == 0 && progress) progress(static_cast<double>(finished) / static_cast<double>(tasks.size()));
  });
  return outcome;
}

std::span<const float> load_vector(const TensorInfo& tensor, core::Arena& arena) {
  auto values = arena.take_array<float>(tensor.columns() * tensor.rows());
  tensor::dequantize(tensor.type, tensor.bytes, values);
  return values;
}

}  // namespace

Result<void> EmbeddingTable::read_row(int index, std::span<std::byte> raw, std::span<float> row) const {
  auto read = file->read_exactly(offset + static_cast<uint64_t>(index) * row_bytes, raw);
  if (!read) return read;
  tensor::dequantize(type, raw, row);
  return {};
}

Result<Weights> load_weights(const Gguf& file, const Config& config, core::ThreadPool& pool,
                             const std::function<void(double)>& progress,
                             engram::Placement engram_placement) {
  Weights weights;
  weights.layers.resize(static_cast<size_t>(config.layers));
  WeightPlan plan(file, config);
  for (int i = 0; i < config.layers; ++i) {
    if (auto ok = plan.layer(i, weights.layers[static_cast<size_t>(i)]); !ok) return core::pass(ok);
  }
  if (auto ok = plan.rest(weights); !ok) return core::pass(ok);
  if (file.find_tensor("rope_freqs.weight") != nullptr) {
    const uint64_t dims[] = {static_cast<uint64_t>(config.rope.dims / 2)};
    auto divisors = file.require_tensor("rope_freqs.weight", dims);
    if (!divisors) return core::pass(divisors);
    weights.rope_divisors.resize(dims[0]);
    tensor::dequantize((*divisors)->type, (*divisors)->bytes, weights.rope_divisors);
  }

  auto arena = core::Arena::reserve(plan.bytes());
  if (!arena) return core::pass(arena);
  weights.arena = std::move(*arena);
  for (const VectorJob& job : plan.vectors) {
    *job.vector = load_vector(*job.tensor, weights.arena);
    if (job.tensor->rows() > 1) weights.decode_bytes += job.vector->size_bytes();
  }
  for (const MatrixJob& job : plan.matrices) {
    const size_t size = kernels::packed_bytes(job.matrix->type, job.matrix->rows, job.matrix->columns);
    job.matrix->data = weights.arena.take(size).data();
    if (job.decodes) weights.decode_bytes += size;
  }
  for (const TensorInfo& tensor : file.tensors()) weights.parameters += tensor.rows() * tensor.columns();
  if (auto ok = pack_all(file, plan.matrices, pool, progress); !ok) return core::pass(ok);
  if (config.architecture == Architecture::kMneme) {
    derive_mneme(config, plan, weights);
    if (auto ok = open_tables(file, config, engram_placement, weights); !ok) return core::pass(ok);
  }
  return weights;
}

}  // namespace mneme::model

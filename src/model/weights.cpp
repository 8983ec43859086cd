#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

#include "core/file.h"
#include "tensor/dequantize.h"

namespace mneme::model {

namespace {

using kernels::kTileRows;
using kernels::PackedMatrix;

// Read at a time by a thread: stays in its second-level cache until it is packed.
constexpr size_t kReadBytes = 512 << 10;

struct MatrixJob {
  const TensorInfo* tensor;
  PackedMatrix* matrix;
};

struct VectorJob {
  const TensorInfo* tensor;
  std::span<const float>* vector;
};

// What is to be loaded, found and checked before anything is read.
class Plan {
 public:
  Plan(const Gguf& file, const Config& config) : file_(file), config_(config) {}

  Result<void> layer(int index, LayerWeights& layer);
  Result<void> rest(Weights& weights);
  Result<void> vector(const std::string& name, int size, bool required, std::span<const float>& out);
  Result<void> matrix(const std::string& name, int rows, int columns, PackedMatrix& out);

  size_t bytes() const;

  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;

 private:
  const Gguf& file_;
  const Config& config_;
};

Result<void> Plan::matrix(const std::string& name, int rows, int columns, PackedMatrix& out) {
  const uint64_t dims[] = {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)};
  auto tensor = file_.require_tensor(name, dims);
  if (!tensor) return core::pass(tensor);
  if (columns % 32 != 0)
    return core::fail("{}: tensor {} has {} columns: only multiples of 32 are supported", file_.path(), name,
                      columns);
  out = {(*tensor)->type, rows, columns, nullptr};
  matrices.push_back({*tensor, &out});
  return {};
}

Result<void> Plan::vector(const std::string& name, int size, bool required, std::span<const float>& out) {
  if (!required && file_.find_tensor(name) == nullptr) return {};
  const uint64_t dims[] = {static_cast<uint64_t>(size)};
  auto tensor = file_.require_tensor(name, dims);
  if (!tensor) return core::pass(tensor);
  vectors.push_back({*tensor, &out});
  return {};
}

Result<void> Plan::layer(int index, LayerWeights& layer) {
  const std::string prefix = fmt::format("blk.{}.", index);
  const Config& c = config_;
  const int query_dim = c.heads * c.head_dim, kv_dim = c.kv_heads * c.head_dim;
  struct {
    const char* name;
    int rows, columns;
    PackedMatrix* out;
  } const matrices_wanted[] = {{"attn_q.weight", query_dim, c.dim, &layer.query},
                               {"attn_k.weight", kv_dim, c.dim, &layer.key},
                               {"attn_v.weight", kv_dim, c.dim, &layer.value},
                               {"attn_output.weight", c.dim, query_dim, &layer.output},
                               {"ffn_gate.weight", c.ffn_dim, c.dim, &layer.gate},
                               {"ffn_up.weight", c.ffn_dim, c.dim, &layer.up},
                               {"ffn_down.weight", c.dim, c.ffn_dim, &layer.down}};
  for (const auto& want : matrices_wanted) {
    if (auto ok = matrix(prefix + want.name, want.rows, want.columns, *want.out); !ok) return ok;
  }
  const bool biases = c.architecture == Architecture::kQwen2;
  struct {
    const char* name;
    int size;
    bool required;
    std::span<const float>* out;
  } const vectors_wanted[] = {{"attn_norm.weight", c.dim, true, &layer.attention_norm},
                              {"ffn_norm.weight", c.dim, true, &layer.ffn_norm},
                              {"attn_q.bias", query_dim, biases, &layer.query_bias},
                              {"attn_k.bias", kv_dim, biases, &layer.key_bias},
                              {"attn_v.bias", kv_dim, biases, &layer.value_bias},
                              {"attn_output.bias", c.dim, false, &layer.output_bias}};
  for (const auto& want : vectors_wanted) {
    if (auto ok = vector(prefix + want.name, want.size, want.required, *want.out); !ok) return ok;
  }
  if (!c.qk_norm) return {};
  if (auto ok = vector(prefix + "attn_q_norm.weight", c.head_dim, true, layer.query_norm); !ok) return ok;
  return vector(prefix + "attn_k_norm.weight", c.head_dim, true, layer.key_norm);
}

Result<void> Plan::rest(Weights& weights) {
  const uint64_t dims[] = {static_cast<uint64_t>(config_.dim), static_cast<uint64_t>(config_.vocab_size)};
  auto embedding = file_.require_tensor("token_embd.weight", dims);
  if (!embedding) return core::pass(embedding);
  weights.embedding.type = (*embedding)->type;
  weights.embedding.offset = (*embedding)->file_offset;
  weights.embedding.row_bytes = (*embedding)->bytes.size() / static_cast<size_t>(config_.vocab_size);
  auto part = core::File::open_read(file_.files()[static_cast<size_t>((*embedding)->file)].path());
  if (!part) return core::pass(part);
  weights.embedding.file = std::move(*part);
  const bool untied = file_.find_tensor("output.weight") != nullptr;
  if (auto ok = matrix(untied ? "output.weight" : "token_embd.weight", config_.vocab_size, config_.dim,
                       weights.head);
      !ok)
    return ok;
  return vector("output_norm.weight", config_.dim, true, weights.output_norm);
}

size_t Plan::bytes() const {
  size_t total = core::Arena::kAlign;
  for (const auto& job : matrices) {
    total += kernels::packed_bytes(job.matrix->type, job.matrix->rows, job.matrix->columns) +
             core::Arena::kAlign;
  }
  for (const auto& job : vectors) total += job.tensor->columns() * sizeof(float) + core::Arena::kAlign;
  return total;
}

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
  auto values = arena.take_array<float>(tensor.columns());
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
                             const std::function<void(double)>& progress) {
  Weights weights;
  weights.layers.resize(static_cast<size_t>(config.layers));
  Plan plan(file, config);
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
  for (const VectorJob& job : plan.vectors) *job.vector = load_vector(*job.tensor, weights.arena);
  for (const MatrixJob& job : plan.matrices) {
    const size_t size = kernels::packed_bytes(job.matrix->type, job.matrix->rows, job.matrix->columns);
    job.matrix->data = weights.arena.take(size).data();
    weights.decode_bytes += size;
  }
  for (const TensorInfo& tensor : file.tensors()) weights.parameters += tensor.rows() * tensor.columns();
  if (auto ok = pack_all(file, plan.matrices, pool, progress); !ok) return core::pass(ok);
  return weights;
}

}  // namespace mneme::model

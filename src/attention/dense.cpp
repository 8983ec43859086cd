#include "attention/dense.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "attention/softmax_state.h"
#include "core/arena.h"
#include "core/error.h"

namespace mneme::attention {

namespace {

using kernels::kAttendRowsMax;
using kv::kBlockTokens;

// Decode splits a long context into runs of this many blocks (2,048 tokens), a task each, and merges their
// softmax states. The border is a property of the context alone: the same bits for any number of threads.
// What is not in memory is held a run at a time. There too states are carried on from block to block in the
// order they have in memory, and an AttendTask may end after any block without a change in its bits.
constexpr int kRunBlocks = 32;
// Up to this many query tokens of a sequence count as decode.
constexpr int kDecodeTokens = 4;
// Prefill is cut into tiles of up to kAttendRowsMax rows, so that blocks are read from memory few times, and
// into smaller ones of about this many rows where threads would find no work: of half as many at least, as
// kernels may round otherwise for a few (ops.h), unless the whole job is smaller. So bits are a property of
// the job.
constexpr int kTileRows = 64;
constexpr int kTilesPerThread = 4;

// Rows of one task: query tokens [token, token + tokens) of a job, all query heads of one KV head, row =
// token * group + head.
struct Tile {
  const DenseJob* job;
  int kv_head;
  int token, tokens;
  int block, blocks;     // the run of blocks this task reads
  bool starts;           // its softmax: nothing was read before
  bool first_run;        // the sinks count here
  std::ptrdiff_t state;  // offset of its softmax state when there is more to come, else -1
};

// The tiles of one (job, KV head, query tile) whose states are to be merged.
struct Merge {
  Tile first;  // of its runs; their states follow each other
  int runs;
};

// The first position that token i of the job sees.
int first_visible(const DenseJob& job, int i) {
  return job.window == 0 ? 0 : std::max(0, job.first + i + 1 - job.window);
}

}  // namespace

struct DenseAttention::State {
  kv::KvShape shape;
  int heads, group;
  float default_scale;

  // One thread's working set.
  struct Thread {
    core::Arena arena;
    std::span<float> queries, out;  // [kAttendRowsMax, head_dim]
    std::span<float> max, sum;      // [kAttendRowsMax]
    std::span<int> limits, starts;  // [kAttendRowsMax]
    void* scratch;
    std::vector<kv::BlockView> views;
    std::vector<const uint16_t*> keys, values;
  };
  std::vector<Thread> threads;
  std::vector<const DenseJob*> far;  // those that are not whole in memory
  std::vector<Tile> tiles;
  std::vector<Tile> held;  // what of the tiles the blocks that are held serve
  std::vector<Merge> merges;
  std::vector<float> states;  // of a tile: out [rows, head_dim], max [rows], sum [rows]
  size_t floats_planned = 0;  // of states

  size_t rows_of(const Tile& tile) const { return static_cast<size_t>(tile.tokens * group); }
  size_t state_floats(const Tile& tile) const {
    return softmax_state_floats(static_cast<int>(rows_of(tile)), shape.head_dim);
  }
  void begin_plan();
  int tiles_of(const DenseJob& job) const;
  void plan(const DenseJob& job, bool in_memory);
  void attend_all(const kernels::Ops& ops, core::ThreadPool& pool, int layer, std::span<const Tile> todo);
  void merge_all(core::ThreadPool& pool);
  Result<void> stream(const kernels::Ops& ops, core::ThreadPool& pool, int layer, const DenseJob& job);
  void clip(int first_block, int end_block);
  void attend(const kernels::Ops& ops, int layer, const Tile& tile, Thread& thread);
  void place_rows(const Tile& tile, Thread& thread) const;
  void start_softmax(const Tile& tile, const kernels::AttendTask& task) const;
  void write_out(const Tile& tile, const float* out, const float* sum) const;
  void merge(const Merge& merge);
};

DenseAttention::DenseAttention(const kv::KvShape& shape, int heads, int threads)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.shape = shape;
  s.heads = heads;
  s.group = heads / shape.kv_heads;
  MNEME_CHECK(s.group >= 1 && s.group <= kAttendRowsMax, "{} query heads to a KV head", s.group);
  s.default_scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  const auto values = static_cast<size_t>(kAttendRowsMax) * static_cast<size_t>(shape.head_dim);
  for (int i = 0; i < threads; ++i) {
    State::Thread& t = s.threads.emplace_back();
    auto arena = core::Arena::reserve(2 * values * sizeof(float) +
                                      kernels::attend_scratch_bytes(shape.head_dim) + 4096);
    MNEME_CHECK(arena.has_value(), "{}", arena.error().message);
    t.arena = std::move(*arena);
    t.queries = t.arena.take_array<float>(values);
    t.out = t.arena.take_array<float>(values);
    t.max = t.arena.take_array<float>(kAttendRowsMax);
    t.sum = t.arena.take_array<float>(kAttendRowsMax);
    t.limits = t.arena.take_array<int>(kAttendRowsMax);
    t.starts = t.arena.take_array<int>(kAttendRowsMax);
    t.scratch = t.arena.take(kernels::attend_scratch_bytes(shape.head_dim)).data();
  }
}

DenseAttention::~DenseAttention() = default;
DenseAttention::DenseAttention(DenseAttention&&) noexcept = default;

Result<void> DenseAttention::run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                 std::span<const DenseJob> jobs) {
  State& s = *state_;
  s.begin_plan();
  s.far.clear();
  for (const DenseJob& job : jobs) {
    if (job.sequence->whole(layer))
      s.plan(job, true);
    else
      s.far.push_back(&job);
  }
  s.attend_all(ops, pool, layer, s.tiles);
  s.merge_all(pool);
  // After those in memory: what is held for one job may push out what another has there.
  for (const DenseJob* job : s.far) {
    if (auto streamed = s.stream(ops, pool, layer, *job); !streamed) return streamed;
  }
  return {};
}

// A run of blocks after the other for all tiles of the job, whose states wait in between.
Result<void> DenseAttention::State::stream(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                           const DenseJob& job) {
  begin_plan();
  plan(job, false);
  const int end = kv::blocks_of(job.first + job.count);
  for (int block = first_visible(job, 0) / kBlockTokens; block < end; block += kRunBlocks) {
    const int count = std::min(kRunBlocks, end - block);
    if (auto hold = job.sequence->hold(layer, block, count); !hold) return hold;
    clip(block, block + count);
    attend_all(ops, pool, layer, held);
    job.sequence->release(layer, block, count);
  }
  merge_all(pool);
  return {};
}

void DenseAttention::State::attend_all(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                       std::span<const Tile> todo) {
  if (states.size() < floats_planned) states.resize(floats_planned);
  pool.run(static_cast<int>(todo.size()), [&](int task, int thread) {
    attend(ops, layer, todo[static_cast<size_t>(task)], threads[static_cast<size_t>(thread)]);
  });
}

void DenseAttention::State::merge_all(core::ThreadPool& pool) {
  pool.run(static_cast<int>(merges.size()), [&](int task, int) { merge(merges[static_cast<size_t>(task)]); });
}

void DenseAttention::State::begin_plan() {
  tiles.clear();
  merges.clear();
  floats_planned = 0;
}

// How many tiles of nearly equal size a job is cut into for each KV head.
int DenseAttention::State::tiles_of(const DenseJob& job) const {
  const int tokens_max = kAttendRowsMax / group, least = (job.count + tokens_max - 1) / tokens_max;
  if (job.count <= kDecodeTokens) return least;
  const int wanted = (kTilesPerThread * static_cast<int>(threads.size()) + shape.kv_heads - 1) /
                     shape.kv_heads;
  return std::max(least, std::min(wanted, job.count * group / kTileRows));
}

// Cuts a job into tiles. In memory, only those of contexts that are split keep a state.
void DenseAttention::State::plan(const DenseJob& job, bool in_memory) {
  const int count = tiles_of(job);
  for (int head = 0; head < shape.kv_heads; ++head) {
    // The last tiles of a causal prefill see most: they go first, so that no thread ends with a long one.
    for (int i = count - 1; i >= 0; --i) {
      const int token = job.count * i / count, token_end = job.count * (i + 1) / count;
      Tile tile{&job, head, token, token_end - token, 0, 0, true, true, -1};
      tile.block = first_visible(job, token) / kBlockTokens;
      const int end = kv::blocks_of(job.first + token + tile.tokens), blocks = end - tile.block;
      const int runs = job.count <= kDecodeTokens ? (blocks + kRunBlocks - 1) / kRunBlocks : 1;
      const int run_blocks = runs == 1 ? blocks : kRunBlocks;
      const bool keeps_state = runs > 1 || !in_memory;
      if (keeps_state) {
        tile.state = static_cast<std::ptrdiff_t>(floats_planned);
        merges.push_back({tile, runs});
      }
      for (; tile.block < end; tile.block += run_blocks) {
        tile.blocks = std::min(run_blocks, end - tile.block);
        tiles.push_back(tile);
        tile.first_run = false;
        if (keeps_state) {
          floats_planned += state_floats(tile);
          tile.state = static_cast<std::ptrdiff_t>(floats_planned);
        }
      }
    }
  }
}

// What of the planned tiles lies in the blocks [first, end).
void DenseAttention::State::clip(int first, int end) {
  held.clear();
  for (Tile tile : tiles) {
    const int tile_end = std::min(tile.block + tile.blocks, end);
    tile.starts = tile.block >= first;
    tile.block = std::max(tile.block, first);
    tile.blocks = tile_end - tile.block;
    if (tile.blocks > 0) held.push_back(tile);
  }
}

// Queries, scaled, and what of the run each row sees.
void DenseAttention::State::place_rows(const Tile& tile, Thread& thread) const {
  const auto dim = static_cast<size_t>(shape.head_dim);
  const DenseJob& job = *tile.job;
  const float scale = job.scale == 0.0f ? default_scale : job.scale;
  const int run_start = tile.block * kBlockTokens;
  for (size_t r = 0; r < rows_of(tile); ++r) {
    const auto token = static_cast<size_t>(tile.token) + r / static_cast<size_t>(group);
    const auto head = static_cast<size_t>(tile.kv_head * group) + r % static_cast<size_t>(group);
    const float* q = job.queries + (token * static_cast<size_t>(heads) + head) * dim;
    for (size_t c = 0; c < dim; ++c) thread.queries[r * dim + c] = q[c] * scale;
    thread.limits[r] = std::max(0, job.first + static_cast<int>(token) + 1 - run_start);
    thread.starts[r] = first_visible(job, static_cast<int>(token)) - run_start;
  }
}

// A sink is a token seen before all others, of value zero.
void DenseAttention::State::start_softmax(const Tile& tile, const kernels::AttendTask& task) const {
  const auto rows = static_cast<size_t>(task.rows);
  clear_state({task.out, task.max, task.sum, task.rows, task.head_dim});
  if (tile.job->sinks == nullptr || !tile.first_run) return;
  for (size_t r = 0; r < rows; ++r) {
    task.max[r] = tile.job->sinks[tile.kv_head * group + static_cast<int>(r) % group];
    task.sum[r] = 1.0f;
  }
}

void DenseAttention::State::attend(const kernels::Ops& ops, int layer, const Tile& tile, Thread& thread) {
  const auto dim = static_cast<size_t>(shape.head_dim), rows = rows_of(tile);
  const DenseJob& job = *tile.job;
  place_rows(tile, thread);
  const auto blocks = static_cast<size_t>(tile.blocks);
  thread.views.resize(blocks);
  thread.keys.resize(blocks);
  thread.values.resize(blocks);
  job.sequence->view(layer, tile.kv_head, tile.block, thread.views);
  for (size_t b = 0; b < blocks; ++b)
    thread.keys[b] = thread.views[b].keys, thread.values[b] = thread.views[b].values;

  kernels::AttendTask task;
  task.queries = thread.queries.data();
  task.query_stride = dim;
  task.rows = static_cast<int>(rows);
  task.head_dim = shape.head_dim;
  task.keys = thread.keys.data();
  task.values = thread.values.data();
  task.blocks = tile.blocks;
  task.limits = thread.limits.data();
  task.starts = job.window == 0 ? nullptr : thread.starts.data();
  task.out = thread.out.data();
  task.max = thread.max.data();
  task.sum = thread.sum.data();
  if (tile.state >= 0) {
    float* state = states.data() + tile.state;
    task.out = state;
    task.max = state + rows * dim;
    task.sum = task.max + rows;
  }
  task.scratch = thread.scratch;
  if (tile.starts) start_softmax(tile, task);
  ops.attend(task);
  if (tile.state < 0) write_out(tile, task.out, task.sum);
}

void DenseAttention::State::write_out(const Tile& tile, const float* out, const float* sum) const {
  const auto dim = static_cast<size_t>(shape.head_dim);
  for (size_t r = 0; r < rows_of(tile); ++r) {
    const auto token = static_cast<size_t>(tile.token) + r / static_cast<size_t>(group);
    const auto head = static_cast<size_t>(tile.kv_head * group) + r % static_cast<size_t>(group);
    float* to = tile.job->out + (token * static_cast<size_t>(heads) + head) * dim;
    const float factor = 1.0f / sum[r];
    for (size_t c = 0; c < dim; ++c) to[c] = out[r * dim + c] * factor;
  }
}

// Adds the runs' states into the first, in order.
void DenseAttention::State::merge(const Merge& merge) {
  const int rows = static_cast<int>(rows_of(merge.first));
  float* memory = states.data() + merge.first.state;
  const SoftmaxState state = softmax_state_at(memory, rows, shape.head_dim);
  for (int run = 1; run < merge.runs; ++run)
    merge_state(state, softmax_state_at(memory + static_cast<size_t>(run) * state_floats(merge.first), rows,
                                        shape.head_dim));
  write_out(merge.first, state.out, state.sum);
}

}  // namespace mneme::attention

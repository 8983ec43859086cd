#include "kv/io_queue.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "core/clock.h"
#include "core/xxh3.h"
#include "kv/io_backend.h"
#include "kv/io_piece.h"

namespace mneme::kv {

namespace {

// Measured beside dd (O_DIRECT, virtual disk, busy machine): 16 pieces of 256 KiB read as fast as dd does 1
// MiB at a time or up to twice as fast; one piece at a time needs 1 MiB to come near it.
constexpr size_t kPieceBytes = size_t{256} << 10, kPieceBytesAlone = size_t{1} << 20;
// A second of a kernel that has no memory to begin the read with.
constexpr int kRetriesMax = 1000;
constexpr auto kRetryPause = std::chrono::milliseconds(1);

std::string name_of(const IoRead& read) {
  return read.name.empty() ? fmt::format("descriptor {}", read.descriptor) : read.name;
}

uint64_t hash_of(std::span<const std::span<std::byte>> pieces) {
  core::Xxh3Stream stream;
  for (const auto piece : pieces) stream.add(piece);
  return stream.digest();
}

bool is_direct(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && (flags & O_DIRECT) != 0;
}

}  // namespace

IoRead::~IoRead() { MNEME_CHECK(!pending(), "{} goes while it is read", name_of(*this)); }

struct IoQueue::State {
  std::unique_ptr<IoBackend> backend;
  std::thread thread;

  // Of the I/O thread.
  std::vector<std::unique_ptr<IoPiece>> pieces;
  std::vector<IoPiece*> free;  // those not under way
  IoRead* cutting = nullptr;   // begun, with bytes that are in no piece yet
  IoCursor cursor;             // in it
  bool cutting_direct = false;

  mutable std::mutex mutex;  // of all below, and of every read's queued_
  std::condition_variable changed;
  std::deque<IoRead*> demands, aheads;
  bool stopped = false;
  bool asleep = false;  // the I/O thread has found nothing to begin: wake it
  int waiters = 0;
  IoCounters counters;

  void work();
  bool begin_pieces();
  IoRead* next();
  void end_piece(const IoCompletion& completion);
  void give_up(IoRead& read, std::string message);
  void finish(IoRead& read);
  void settle(IoRead& read, IoState to);
  bool unqueue(IoRead& read);
};

// ---- the I/O thread

void IoQueue::State::work() {
  std::vector<IoCompletion> arrived;
  while (begin_pieces()) {
    const bool busy = free.size() < pieces.size();
    const double start = core::now_s();
    arrived.clear();
    backend->collect(arrived);
    for (const IoCompletion& completion : arrived) end_piece(completion);
    if (!busy) continue;
    const std::lock_guard lock(mutex);
    counters.busy_s += core::now_s() - start;
  }
}

// Hands the backend as much as it takes. False: stopped, and nothing is under way.
bool IoQueue::State::begin_pieces() {
  while (!free.empty()) {
    if (cutting == nullptr) {
      cutting = next();
      if (cutting == nullptr) break;
      cursor = {.into = cutting->into, .span = 0, .byte = 0, .offset = cutting->offset};
      cutting_direct = is_direct(cutting->descriptor);
    }
    IoRead& read = *cutting;
    if (!cursor.at_end()) {
      IoPiece& piece = *free.back();
      free.pop_back();
      piece.cut(read.descriptor, cutting_direct, cursor);
      piece.read = &read;
      piece.retries = 0;
      ++read.pieces_;
      backend->start(piece);
    }
    if (!cursor.at_end()) continue;
    cutting = nullptr;
    read.cut_ = true;
    if (read.pieces_ == 0) finish(read);  // it asked for no bytes
  }
  if (free.size() < pieces.size()) return true;
  const std::lock_guard lock(mutex);
  return !stopped;
}

IoRead* IoQueue::State::next() {
  const std::lock_guard lock(mutex);
  auto& from = demands.empty() ? aheads : demands;
  asleep = from.empty();
  if (asleep) return nullptr;
  IoRead* read = from.front();
  from.pop_front();
  read->queued_ = false;
  return read;
}

void IoQueue::State::end_piece(const IoCompletion& completion) {
  IoPiece& piece = *completion.piece;
  IoRead& read = *piece.read;
  const auto error = static_cast<int>(completion.result < 0 ? -completion.result : 0);
  if (error == EINTR) return backend->start(piece);
  if (error == EAGAIN && ++piece.retries <= kRetriesMax) {
    std::this_thread::sleep_for(kRetryPause);
    return backend->start(piece);
  }
  if (error != 0) {
    give_up(read, fmt::format("{}: read at byte {}: {}", name_of(read), piece.position(),
                              std::error_code(error, std::generic_category()).message()));
  } else if (!piece.advance(static_cast<size_t>(completion.result))) {
    give_up(read, fmt::format("{}: ends at byte {}, {} more expected", name_of(read), piece.position(),
                              piece.bytes_left()));
  } else if (piece.bytes_left() > 0 && read.message_.empty()) {
    return backend->start(piece);
  }
  free.push_back(&piece);
  if (--read.pieces_ == 0 && read.cut_) finish(read);
}

// What is under way comes in, the rest is not begun.
void IoQueue::State::give_up(IoRead& read, std::string message) {
  if (read.message_.empty()) read.message_ = std::move(message);
  read.cut_ = true;
  if (cutting == &read) cutting = nullptr;
}

void IoQueue::State::finish(IoRead& read) {
  if (read.message_.empty() && read.hash.has_value() && hash_of(read.into) != *read.hash) {
    read.hash_differs_ = true;
    read.message_ = fmt::format("{}: the bytes from {} on are not those that were written (checksum)",
                                name_of(read), read.offset);
  }
  const std::lock_guard lock(mutex);
  settle(read, read.message_.empty() ? IoState::kDone : IoState::kFailed);
}

// ---- under the mutex

// The last touch of a read: its owner may destroy it from here on.
void IoQueue::State::settle(IoRead& read, IoState to) {
  if (to != IoState::kIdle) ++counters.requests;
  if (to == IoState::kFailed) ++counters.failures;
  if (to == IoState::kDone) {
    for (const auto span : read.into) counters.bytes += span.size();
  }
  read.state_.store(to, std::memory_order_release);
  if (waiters > 0) changed.notify_all();
}

bool IoQueue::State::unqueue(IoRead& read) {
  if (!read.queued_) return false;
  read.queued_ = false;
  return std::erase(demands, &read) + std::erase(aheads, &read) > 0;
}

// ---- callers

IoQueue::IoQueue(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<IoQueue>> IoQueue::open(const IoOptions& options) {
  MNEME_CHECK(options.pieces_max > 0, "{} pieces", options.pieces_max);
  auto state = std::make_unique<State>();
  auto backend = IoBackend::open(options);
  if (!backend) return core::pass(backend);
  state->backend = std::move(*backend);
  const int pieces_max = state->backend->pieces_max();
  const size_t bytes_max = options.piece_bytes > 0 ? options.piece_bytes
                           : pieces_max > 1        ? kPieceBytes
                                                   : kPieceBytesAlone;
  for (int i = 0; i < pieces_max; ++i) {
    state->pieces.push_back(std::make_unique<IoPiece>(bytes_max));
    state->free.push_back(state->pieces.back().get());
  }
  try {
    state->thread = std::thread([s = state.get()] { s->work(); });
  } catch (const std::system_error& error) {
    return core::fail("I/O queue: no thread: {}", error.what());
  }
  return std::unique_ptr<IoQueue>(new IoQueue(std::move(state)));
}

IoQueue::~IoQueue() {
  stop();
  state_->thread.join();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->waiters == 0; });
}

void IoQueue::submit(IoRead& read, IoUrgency urgency) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  MNEME_CHECK(!read.pending(), "{}: submitted twice", name_of(read));
  read.message_.clear();
  read.hash_differs_ = false;
  read.pieces_ = 0;
  read.cut_ = false;
  read.state_.store(IoState::kPending, std::memory_order_relaxed);
  if (s.stopped) {
    read.message_ = fmt::format("{}: not read, the I/O queue is closed", name_of(read));
    return s.settle(read, IoState::kFailed);
  }
  read.queued_ = true;
  (urgency == IoUrgency::kDemand ? s.demands : s.aheads).push_back(&read);
  if (s.asleep) s.asleep = false, s.backend->wake();
}

Result<void> IoQueue::wait(IoRead& read) {
  State& s = *state_;
  if (read.pending()) {
    std::unique_lock lock(s.mutex);
    if (read.queued_ && std::erase(s.aheads, &read) > 0) s.demands.push_back(&read);
    const double start = core::now_s();
    ++s.waiters;
    s.changed.wait(lock, [&] { return !read.pending(); });
    if (--s.waiters == 0) s.changed.notify_all();
    s.counters.stalled_s += core::now_s() - start;
  }
  if (read.state() == IoState::kDone) return {};
  if (read.state() == IoState::kFailed) return core::fail("{}", read.message());
  return core::fail("{}: the read was taken back", name_of(read));
}

bool IoQueue::cancel(IoRead& read) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->unqueue(read)) return false;
  state_->settle(read, IoState::kIdle);
  return true;
}

void IoQueue::stop() {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  s.stopped = true;
  for (auto* queue : {&s.demands, &s.aheads}) {
    for (IoRead* read : *queue) {
      read->queued_ = false;
      read->message_ = fmt::format("{}: not read, the I/O queue is closed", name_of(*read));
      s.settle(*read, IoState::kFailed);
    }
    queue->clear();
  }
  s.backend->wake();
}

IoCounters IoQueue::counters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counters;
}

const char* IoQueue::backend() const { return state_->backend->name(); }

}  // namespace mneme::kv

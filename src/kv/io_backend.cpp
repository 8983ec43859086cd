#include "kv/io_backend.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <thread>
#ifdef MNEME_IO_URING
#include <liburing.h>
#endif

namespace mneme::kv {

namespace {

// A counter in the kernel that a thread can wait for together with reads.
class WakeEvent {
 public:
  WakeEvent() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~WakeEvent() {
    if (fd_ >= 0) ::close(fd_);
  }
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  int descriptor() const { return fd_; }
  void set() {
    const uint64_t one = 1;
    while (::write(fd_, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }
  void clear() {
    uint64_t count = 0;
    while (::read(fd_, &count, sizeof count) < 0 && errno == EINTR) {
    }
  }

 private:
  int fd_;
};

// One piece after another, at the time it is collected: a demand overtakes what is ahead between two reads.
class PreadvBackend final : public IoBackend {
 public:
  explicit PreadvBackend(const IoOptions& options)
      : disk_(options.disk == nullptr ? Disk::system() : *options.disk) {}

  bool usable() const { return event_.descriptor() >= 0; }
  const char* name() const override { return "preadv"; }
  int pieces_max() const override { return 1; }
  void start(IoPiece& piece) override { started_.push_back(&piece); }

  void collect(std::vector<IoCompletion>& out) override {
    if (started_.empty()) {
      pollfd wait{event_.descriptor(), POLLIN, 0};
      if (::poll(&wait, 1, -1) > 0) event_.clear();
      return;
    }
    IoPiece& piece = *started_.front();
    started_.pop_front();
    const auto into = piece.into();
    const ssize_t got = disk_.preadv(piece.descriptor(), into.data(), static_cast<int>(into.size()),
                                     static_cast<off_t>(piece.offset()));
    out.push_back({&piece, got < 0 ? -errno : got});
  }

  void wake() override { event_.set(); }

 private:
  Disk& disk_;
  WakeEvent event_;
  std::deque<IoPiece*> started_;
};

#ifdef MNEME_IO_URING
class UringBackend final : public IoBackend {
 public:
  // Null: this kernel, or what confines this process, does not let it have a ring that works.
  static std::unique_ptr<UringBackend> open_or_null(int pieces_max) {
    std::unique_ptr<UringBackend> backend(new UringBackend(pieces_max));
    if (backend->event_.descriptor() < 0) return nullptr;
    if (::io_uring_queue_init(static_cast<unsigned>(pieces_max) + 2, &backend->ring_, 0) != 0) return nullptr;
    backend->open_ = true;
    // A filter may allow the ring and forbid its use.
    ::io_uring_prep_nop(::io_uring_get_sqe(&backend->ring_));
    io_uring_cqe* entry = nullptr;
    if (::io_uring_submit_and_wait(&backend->ring_, 1) != 1) return nullptr;
    if (::io_uring_peek_cqe(&backend->ring_, &entry) != 0 || entry->res != 0) return nullptr;
    ::io_uring_cqe_seen(&backend->ring_, entry);
    backend->watch_event();
    return backend;
  }
  ~UringBackend() override {
    if (open_) ::io_uring_queue_exit(&ring_);
  }

  const char* name() const override { return "io_uring"; }
  int pieces_max() const override { return pieces_max_; }

  void start(IoPiece& piece) override {
    io_uring_sqe* entry = free_entry();
    const auto into = piece.into();
    ::io_uring_prep_readv(entry, piece.descriptor(), into.data(), static_cast<unsigned>(into.size()),
                          piece.offset());
    ::io_uring_sqe_set_data(entry, &piece);
  }

  void collect(std::vector<IoCompletion>& out) override {
    const int submitted = ::io_uring_submit_and_wait(&ring_, 1);
    // What the kernel has no memory for now is submitted with the next call.
    if (submitted < 0 && submitted != -EINTR) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    io_uring_cqe* entry = nullptr;
    while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
      auto* piece = static_cast<IoPiece*>(::io_uring_cqe_get_data(entry));
      const int result = entry->res;
      ::io_uring_cqe_seen(&ring_, entry);
      if (piece != nullptr) {
        out.push_back({piece, result});
      } else {
        event_.clear();
        watch_event();
      }
    }
  }

  void wake() override { event_.set(); }

 private:
  explicit UringBackend(int pieces_max) : pieces_max_(pieces_max) {}

  io_uring_sqe* free_entry() {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    MNEME_CHECK(entry != nullptr, "more than {} pieces", pieces_max_);
    return entry;
  }

  // Once; data null.
  void watch_event() {
    io_uring_sqe* entry = free_entry();
    ::io_uring_prep_poll_add(entry, event_.descriptor(), POLLIN);
    ::io_uring_sqe_set_data(entry, nullptr);
  }

  const int pieces_max_;
  bool open_ = false;
  io_uring ring_ = {};
  WakeEvent event_;
};
#endif

}  // namespace

Result<std::unique_ptr<IoBackend>> IoBackend::open(const IoOptions& options) {
#ifdef MNEME_IO_URING
  if (options.uring && (options.disk == nullptr || options.disk == &Disk::system())) {
    if (auto ring = UringBackend::open_or_null(options.pieces_max)) return ring;
  }
#endif
  auto plain = std::make_unique<PreadvBackend>(options);
  if (!plain->usable()) return core::fail("I/O queue: no event descriptor: {}", std::strerror(errno));
  return plain;
}

}  // namespace mneme::kv

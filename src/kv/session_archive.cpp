#include "kv/session_archive.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/file.h"
#include "core/xxh3.h"
#include "kv/session_folder.h"

namespace mneme::kv {

namespace {

using core::fail;
using core::pass;

constexpr char kArchiveMagic[8] = {'M', 'N', 'E', 'M', 'E', 'A', 'R', 'C'};
constexpr uint32_t kArchiveVersion = 1;
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr uint64_t kLogBytesMax = uint64_t{1} << 33;

struct ArchiveHead {
  char magic[8];
  uint32_t version;
  uint32_t zero;
};
static_assert(sizeof(ArchiveHead) == 16);

enum class EntryKind : uint32_t { kLog = 1, kSegment, kTail, kEnd };  // never renumbered

// Then `bytes` of payload and the XXH3 of both, with the entry's place in the archive as seed.
struct EntryHead {
  EntryKind kind;
  uint32_t zero;
  SegmentName name;  // of kSegment
  uint64_t bytes;    // of kEnd: 8, the number of entries before it
};
static_assert(sizeof(EntryHead) == 32);

template <class T>
ConstBytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// Reads `bytes` from `offset` of a file in chunks and gives them to `take`.
template <class Take>
Result<void> each_chunk(const DiskFile& file, uint64_t offset, uint64_t bytes, const Take& take) {
  std::vector<std::byte> buffer(std::min<uint64_t>(bytes, kChunkBytes));
  for (uint64_t done = 0; done < bytes; done += buffer.size()) {
    const Bytes chunk = std::span(buffer).first(std::min<uint64_t>(buffer.size(), bytes - done));
    if (auto read = file.read(offset + done, std::span(&chunk, 1)); !read) return read;
    if (auto taken = take(ConstBytes(chunk)); !taken) return taken;
  }
  return {};
}

// Entries one after another.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(DiskFile& file) : file_(file) {}

  Result<void> begin() {
    ArchiveHead head{};
    std::memcpy(head.magic, kArchiveMagic, sizeof(head.magic));
    head.version = kArchiveVersion;
    return write(bytes_of(head), nullptr);
  }
  Result<void> add(EntryKind kind, ConstBytes payload) {
    return entry(kind, {}, payload.size(), [&](core::Xxh3Stream& hash) { return write(payload, &hash); });
  }
  // The whole of a file as payload.
  Result<void> add_file(EntryKind kind, const SegmentName& name, const std::string& path, Disk& disk) {
    auto from = DiskFile::open(path, O_RDONLY, false, disk);
    if (!from) return pass(from);
    auto size = (*from)->size();
    if (!size) return pass(size);
    return entry(kind, name, *size, [&](core::Xxh3Stream& hash) {
      return each_chunk(**from, 0, *size, [&](ConstBytes chunk) { return write(chunk, &hash); });
    });
  }
  Result<void> end() { return add(EntryKind::kEnd, bytes_of(entries_)); }
  uint64_t bytes() const { return at_; }

 private:
  template <class Payload>
  Result<void> entry(EntryKind kind, const SegmentName& name, uint64_t bytes, const Payload& payload) {
    core::Xxh3Stream hash(at_);
    if (auto written = write(bytes_of(EntryHead{kind, 0, name, bytes}), &hash); !written) return written;
    if (auto written = payload(hash); !written) return written;
    if (kind != EntryKind::kEnd) ++entries_;
    return write(bytes_of(hash.digest()), nullptr);
  }
  Result<void> write(ConstBytes bytes, core::Xxh3Stream* hash) {
    if (hash != nullptr) hash->add(bytes);
    if (auto written = file_.write(at_, std::span(&bytes, 1)); !written) return written;
    at_ += bytes.size();
    return {};
  }

  DiskFile& file_;
  uint64_t at_ = 0;
  uint64_t entries_ = 0;
};

// The other direction. What an entry holds is not believed before finish() has seen its checksum.
class ArchiveReader {
 public:
  static Result<ArchiveReader> open(const std::string& path, Disk& disk) {
    ArchiveReader reader;
    auto file = DiskFile::open(path, O_RDONLY, false, disk);
    if (!file) return pass(file);
    reader.file_ = std::move(*file);
    auto size = reader.file_->size();
    if (!size) return pass(size);
    reader.size_ = *size;
    ArchiveHead head{};
    if (*size < sizeof(head)) return fail("{}: not an exported session", path);
    if (auto read = reader.read(std::as_writable_bytes(std::span(&head, 1)), nullptr); !read)
      return pass(read);
    if (std::memcmp(head.magic, kArchiveMagic, sizeof(head.magic)) != 0 || head.zero != 0)
      return fail("{}: not an exported session", path);
    if (head.version != kArchiveVersion)
      return fail("{}: format version {}, this program reads {}", path, head.version, kArchiveVersion);
    return reader;
  }
  Result<EntryHead> next() {
    EntryHead head{};
    if (size_ - at_ < sizeof(head) + sizeof(uint64_t)) return cut_short();
    hash_ = core::Xxh3Stream(at_);
    if (auto got = read(std::as_writable_bytes(std::span(&head, 1)), &hash_); !got) return pass(got);
    if (head.zero != 0 || head.kind < EntryKind::kLog || head.kind > EntryKind::kEnd) return damaged();
    if (head.bytes > size_ - at_ - sizeof(uint64_t)) return cut_short();
    ++entries_;
    return head;
  }
  // The payload of the entry, in chunks.
  template <class Take>
  Result<void> payload(const EntryHead& head, const Take& take) {
    auto done = each_chunk(*file_, at_, head.bytes, [&](ConstBytes chunk) {
      hash_.add(chunk);
      return take(chunk);
    });
    at_ += head.bytes;
    return done;
  }
  Result<void> finish() {
    uint64_t xxh3 = 0;
    if (auto got = read(std::as_writable_bytes(std::span(&xxh3, 1)), nullptr); !got) return got;
    if (xxh3 != hash_.digest()) return damaged();
    return {};
  }
  Result<std::vector<std::byte>> whole(const EntryHead& head, uint64_t bytes_max) {
    if (head.bytes > bytes_max) return damaged();
    std::vector<std::byte> out;
    auto got = payload(head, [&](ConstBytes chunk) -> Result<void> {
      out.insert(out.end(), chunk.begin(), chunk.end());
      return {};
    });
    if (!got) return pass(got);
    if (auto good = finish(); !good) return pass(good);
    return out;
  }
  bool at_end() const { return at_ == size_; }
  uint64_t entries() const { return entries_; }
  uint64_t bytes() const { return size_; }
  tl::unexpected<Error> damaged() const { return fail("{}: damaged before byte {}", file_->path(), at_); }
  tl::unexpected<Error> cut_short() const { return fail("{}: cut short at byte {}", file_->path(), size_); }

 private:
  Result<void> read(Bytes out, core::Xxh3Stream* hash) {
    if (auto got = file_->read(at_, std::span(&out, 1)); !got) return got;
    if (hash != nullptr) hash->add(out);
    at_ += out.size();
    return {};
  }

  std::shared_ptr<DiskFile> file_;
  uint64_t size_ = 0;
  uint64_t at_ = 0;
  uint64_t entries_ = 0;
  core::Xxh3Stream hash_;
};

// A file in the store while it is being made (not among the segments, where unfinished files are garbage),
// removed unless it was moved.
class Unfinished {
 public:
  explicit Unfinished(Store& store)
      : store_(store), path_(store.folder() + "/import" + std::string(kUnfinished)) {}
  ~Unfinished() { store_.disk().unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

  Result<void> fill(ArchiveReader& reader, const EntryHead& head) {
    auto file = DiskFile::open(path_, O_WRONLY | O_CREAT | O_TRUNC, false, store_.disk());
    if (!file) return pass(file);
    uint64_t at = 0;
    auto copied = reader.payload(head, [&](ConstBytes chunk) {
      auto written = (*file)->write(at, std::span(&chunk, 1));
      at += chunk.size();
      return written;
    });
    if (!copied) return copied;
    if (auto good = reader.finish(); !good) return good;
    return (*file)->sync();
  }

 private:
  Store& store_;
  std::string path_;
};

// An archive on its way into a store.
class Import {
 public:
  Import(Store& store, ArchiveReader& reader, std::string_view session)
      : store_(store), reader_(reader), session_(session) {}

  Result<ArchiveReport> run() {
    for (bool ended = false; !ended;) {
      auto head = reader_.next();
      if (!head) return pass(head);
      ended = head->kind == EntryKind::kEnd;
      // The log comes first, and once.
      if ((head->kind == EntryKind::kLog) != log_.empty()) return reader_.damaged();
      if (auto taken = take(*head); !taken) return pass(taken);
    }
    if (!reader_.at_end()) return reader_.damaged();
    if (auto written = write_session(); !written) return pass(written);
    report_.bytes = reader_.bytes();
    return report_;
  }

  // Nothing is left of an import that failed.
  void undo() {
    held_.clear();
    for (const SegmentName& name : adopted_) store_.discard(name);
    static_cast<void>(remove_tail(store_.sessions_folder(), session_, store_.disk()));
  }

 private:
  Result<void> take(const EntryHead& head) {
    switch (head.kind) {
      case EntryKind::kLog: return take_log(head);
      case EntryKind::kSegment: return take_segment(head);
      case EntryKind::kTail: return take_tail(head);
      case EntryKind::kEnd: return take_end(head);
    }
    return reader_.damaged();
  }

  Result<void> take_log(const EntryHead& head) {
    auto log = reader_.whole(head, kLogBytesMax);
    if (!log) return pass(log);
    auto state = replay_session(*log, "the log in the archive");
    if (!state) return pass(state);
    if (state->torn_bytes > 0) return reader_.damaged();
    for (size_t i = 0; i < state->segments.size(); ++i) {
      const auto tokens = std::span(state->tokens).subspan(i * kSegmentTokens, kSegmentTokens);
      if (!is_segment_name(state->segments[i], state->model, state->parent(i), tokens))
        return reader_.damaged();
    }
    log_ = std::move(*log);
    state_ = std::move(*state);
    return {};
  }

  Result<void> take_segment(const EntryHead& head) {
    while (next_ < state_.segments.size() && state_.segments[next_] != head.name) ++next_;  // was missing
    if (next_ == state_.segments.size()) return reader_.damaged();
    SegmentHeader header;
    header.model = state_.model.model;
    header.name = head.name;
    header.parent = state_.parent(next_);
    header.first_token = next_ * kSegmentTokens;
    const auto begin = state_.tokens.begin() + static_cast<ptrdiff_t>(header.first_token);
    header.tokens.assign(begin, begin + kSegmentTokens);
    ++next_;
    ++report_.segments;
    if (auto stored = store_.find(state_.model, header.parent, header.tokens); stored && *stored != nullptr) {
      ++report_.segments_shared;
      held_.push_back(*stored);
      if (auto passed = reader_.payload(head, [](ConstBytes) -> Result<void> { return {}; }); !passed)
        return passed;
      return reader_.finish();
    }
    Unfinished file(store_);
    if (auto filled = file.fill(reader_, head); !filled) return filled;
    if (is_of_other_version(file.path(), store_.disk())) {
      --report_.segments, ++report_.segments_missing;
      return {};
    }
    auto adopted = store_.adopt(file.path(), header);
    if (!adopted) return pass(adopted);
    held_.push_back(std::move(*adopted));  // not to be removed to make room for the next
    adopted_.push_back(head.name);
    return {};
  }

  // Checked as a whole file, then kept beside the session that is not there yet.
  Result<void> take_tail(const EntryHead& head) {
    Unfinished file(store_);
    if (auto filled = file.fill(reader_, head); !filled) return filled;
    if (is_of_other_version(file.path(), store_.disk())) return {};
    SegmentFile::Options options;
    options.set_aside = false;
    options.disk = &store_.disk();
    auto tail = SegmentFile::open(file.path(), options);
    if (!tail) return pass(tail);
    if (auto good = (*tail)->verify(); !good) return good;
    const std::string to = session_tail_path(store_.sessions_folder(), session_);
    if (store_.disk().rename(file.path().c_str(), to.c_str()) != 0)
      return fail("{}: {}", to, std::strerror(errno));
    return {};
  }

  Result<void> take_end(const EntryHead& head) {
    auto count = reader_.whole(head, sizeof(uint64_t));
    if (!count) return pass(count);
    uint64_t entries = 0;
    if (count->size() != sizeof(entries)) return reader_.damaged();
    std::memcpy(&entries, count->data(), sizeof(entries));
    if (entries + 1 != reader_.entries()) return reader_.damaged();
    return {};
  }

  Result<void> write_session() {
    const ConstBytes log(log_);
    return replace_file(session_log_path(store_.sessions_folder(), session_), false, store_.disk(),
                        [&](DiskFile& file) { return file.write(0, std::span(&log, 1)); });
  }

  Store& store_;
  ArchiveReader& reader_;
  std::string session_;
  std::vector<std::byte> log_;
  SessionState state_;
  size_t next_ = 0;  // of the state's segments
  std::vector<Store::FilePtr> held_;
  std::vector<SegmentName> adopted_;
  ArchiveReport report_;
};

bool whole(Store& store, const SegmentName& name) {
  SegmentFile::Options options;
  options.set_aside = false;
  options.disk = &store.disk();
  auto file = SegmentFile::open(store.segment_path(name), options);
  return file && (*file)->header().name == name && (*file)->verify();
}

}  // namespace

Result<ArchiveReport> export_session(Store& store, std::string_view session, const std::string& path) {
  auto state = read_session(store.sessions_folder(), session);
  if (!state) return pass(state);
  auto log = core::read_text_file(session_log_path(store.sessions_folder(), session), kLogBytesMax);
  if (!log) return pass(log);
  const ConstBytes log_bytes = std::as_bytes(std::span(*log)).first(state->log_bytes);
  const std::string tail = session_tail_path(store.sessions_folder(), session);
  ArchiveReport report;
  auto written = replace_file(path, false, store.disk(), [&](DiskFile& file) -> Result<void> {
    ArchiveWriter archive(file);
    if (auto begun = archive.begin(); !begun) return begun;
    if (auto added = archive.add(EntryKind::kLog, log_bytes); !added) return added;
    for (const SegmentName& name : state->segments) {
      if (!whole(store, name)) {
        ++report.segments_missing;
        continue;
      }
      auto added = archive.add_file(EntryKind::kSegment, name, store.segment_path(name), store.disk());
      if (!added) return added;
      ++report.segments;
    }
    auto tail_file = load_tail(store.sessions_folder(), session, *state, store.disk());
    if (tail_file && *tail_file != nullptr && (*tail_file)->verify()) {
      if (auto added = archive.add_file(EntryKind::kTail, {}, tail, store.disk()); !added) return added;
    }
    auto ended = archive.end();
    report.bytes = archive.bytes();
    return ended;
  });
  if (!written) return pass(written);
  return report;
}

Result<ArchiveReport> import_session(Store& store, const std::string& path, std::string_view session) {
  if (store.read_only()) return fail("{}: opened for reading only", store.folder());
  if (auto good = check_session_name(session); !good) return pass(good);
  if (session_exists(store.sessions_folder(), session))
    return fail("there is a session called {} already", session);
  auto reader = ArchiveReader::open(path, store.disk());
  if (!reader) return pass(reader);
  Import import(store, *reader, session);
  auto report = import.run();
  if (!report) import.undo();
  return report;
}

}  // namespace mneme::kv

#include "kv/session_log.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "core/clock.h"
#include "core/file.h"
#include "core/hash.h"
#include "kv/session_records.h"

namespace mneme::kv {

using core::fail;
using core::pass;

Result<SessionLog> SessionLog::create(const std::string& path, const Created& created, Disk& disk) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return fail("{}: there is a session of this name already", path);
  std::vector<std::byte> bytes = session_log_head();
  const auto payload = encode_created(created.model, created.model_path, std::time(nullptr));
  add_frame(bytes, RecordType::kCreated, payload, bytes.size());
  const ConstBytes piece(bytes);
  auto written = replace_file(path, false, disk,
                              [&](DiskFile& file) { return file.write(0, std::span(&piece, 1)); });
  if (!written) return pass(written);
  return open(path, disk);
}

Result<SessionLog> SessionLog::open(const std::string& path, Disk& disk) {
  SessionLog log(path, disk);
  auto file = DiskFile::open(path, O_RDWR, false, disk);
  if (!file) return pass(file);
  log.file_ = std::move(*file);
  auto size = log.file_->size();
  if (!size) return pass(size);
  std::vector<std::byte> bytes(*size);
  const Bytes piece(bytes);
  if (auto read = log.file_->read(0, std::span(&piece, 1)); !read) return pass(read);
  auto state = replay_session(bytes, path);
  if (!state) return pass(state);
  log.state_ = std::move(*state);
  log.synced_ = log.state_.log_bytes;
  log.torn_ = log.state_.torn_bytes > 0;
  if (log.torn_) {
    log.warning_ = fmt::format(
        "{}: its last {} bytes are not whole (a crash while writing?); the session goes on from token {}",
        path, log.state_.torn_bytes, log.state_.tokens.size());
  }
  return log;
}

Result<void> SessionLog::cut_torn_end() {
  if (!torn_) return {};
  if (auto cut = file_->cut(state_.log_bytes); !cut) return cut;
  torn_ = false;
  state_.torn_bytes = 0;
  return {};
}

Result<void> SessionLog::append(RecordType type, std::span<const std::byte> payload) {
  if (sync_failed_) return fail("{}: not written to since a sync failed", path_);
  if (auto cut = cut_torn_end(); !cut) return cut;
  std::vector<std::byte> frame;
  add_frame(frame, type, payload, state_.log_bytes);
  const ConstBytes piece(frame);
  if (auto written = file_->write(state_.log_bytes, std::span(&piece, 1)); !written) {
    torn_ = true;  // some of it may be there
    static_cast<void>(cut_torn_end());
    return written;
  }
  MNEME_CHECK(apply_record(state_, type, payload), "{}: a record of type {}", path_, static_cast<int>(type));
  if (synced_ == state_.log_bytes) unsynced_since_s_ = core::now_s();
  state_.log_bytes += frame.size();
  bytes_written_ += frame.size();
  if (core::now_s() - unsynced_since_s_ >= kLogSyncSeconds) return sync();
  return {};
}

Result<void> SessionLog::append_tokens(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    const size_t count = std::min<size_t>(tokens.size(), kTokensOfRecordMax);
    const auto payload = encode_tokens(state_.tokens.size(), tokens.first(count));
    if (auto done = append(RecordType::kTokens, payload); !done) return done;
    tokens = tokens.subspan(count);
  }
  return {};
}

Result<void> SessionLog::append_segment(const SegmentName& name) {
  const uint64_t end = (state_.segments.size() + 1) * kSegmentTokens;
  MNEME_CHECK(end <= state_.tokens.size(), "segment up to token {}, {} in the log", end,
              state_.tokens.size());
  return append(RecordType::kSegment, encode_segment(state_.segments.size(), name));
}

Result<void> SessionLog::truncate(uint64_t token_count) {
  MNEME_CHECK(token_count <= state_.tokens.size(), "{} of {}", token_count, state_.tokens.size());
  if (token_count == state_.tokens.size()) return {};
  return append(RecordType::kTruncated, encode_number(token_count));
}

Result<void> SessionLog::mark_used(int64_t unix_s) {
  return append(RecordType::kUsed, encode_number(static_cast<uint64_t>(unix_s)));
}

Result<void> SessionLog::note(std::string_view key, std::string_view value) {
  const std::string text = fmt::format("{}={}", key, value);
  const auto payload = std::as_bytes(std::span(text));
  if (key.empty() || key.find('=') != std::string_view::npos || text.find('\0') != std::string::npos ||
      text.size() > kNoteBytesMax)
    return fail("a note's key is not empty and has no '=', and both have no zero byte and {} bytes at most",
                kNoteBytesMax);
  return append(RecordType::kNote, payload);
}

Result<void> SessionLog::sync() {
  if (sync_failed_) return fail("{}: an earlier sync failed", path_);
  if (synced_ == state_.log_bytes) return {};
  if (auto synced = file_->sync(); !synced) {
    // The kernel may have dropped the pages that it could not write: what is on the disk is not known any
    // more.
    sync_failed_ = true;
    return synced;
  }
  synced_ = state_.log_bytes;
  return {};
}

}  // namespace mneme::kv

#include "kv/session_records.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <type_traits>

#include "core/hash.h"

namespace mneme::kv {

namespace {

using core::fail;

static_assert(std::endian::native == std::endian::little, "logs are little-endian and written as they lie");

constexpr char kLogMagic[8] = {'M', 'N', 'E', 'M', 'E', 'L', 'O', 'G'};
constexpr size_t kHeadBytes = 16;
constexpr size_t kFrameHeadBytes = 8;
constexpr size_t kFrameBytes = kFrameHeadBytes + sizeof(uint64_t);  // beside the payload

void put_bytes(std::vector<std::byte>& out, ConstBytes bytes) {
  if (bytes.empty()) return;
  const size_t at = out.size();
  out.resize(at + bytes.size());
  std::memcpy(out.data() + at, bytes.data(), bytes.size());
}

template <class T>
void put(std::vector<std::byte>& out, const T& value) {
  static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, ModelId> || std::is_same_v<T, SegmentName>);
  put_bytes(out, std::as_bytes(std::span(&value, 1)));
}

// Takes values from the front; what is not there leaves it !ok().
class Reader {
 public:
  explicit Reader(ConstBytes bytes) : left_(bytes) {}
  template <class T>
  T take() {
    T value{};
    const ConstBytes bytes = take_bytes(sizeof(T));
    if (ok_) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  ConstBytes take_bytes(size_t count) {
    ok_ = ok_ && count <= left_.size();
    if (!ok_) return {};
    const ConstBytes taken = left_.first(count);
    left_ = left_.subspan(count);
    return taken;
  }
  ConstBytes rest() const { return left_; }
  bool ok() const { return ok_; }
  bool ok_and_done() const { return ok_ && left_.empty(); }

 private:
  ConstBytes left_;
  bool ok_ = true;
};

std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

bool apply_created(SessionState& state, Reader reader) {
  if (state.log_bytes > kHeadBytes) return false;  // the first record and no other
  SegmentModel model;
  model.content_version = reader.take<uint32_t>();
  model.model = reader.take<ModelId>();
  const auto created = reader.take<int64_t>();
  const ConstBytes shape = reader.take_bytes(reader.take<uint32_t>());
  const ConstBytes path = reader.take_bytes(reader.take<uint32_t>());
  if (!reader.ok_and_done()) return false;
  model.shape.assign(shape.begin(), shape.end());
  state.model = std::move(model);
  state.model_path = text_of(path);
  state.created_unix_s = state.used_unix_s = created;
  return true;
}

bool apply_tokens(SessionState& state, Reader reader) {
  const auto first = reader.take<uint64_t>();
  const ConstBytes ids = reader.rest();
  if (!reader.ok() || first != state.tokens.size() || ids.size() % sizeof(int32_t) != 0) return false;
  if (ids.empty()) return true;
  state.tokens.resize(first + ids.size() / sizeof(int32_t));
  std::memcpy(state.tokens.data() + first, ids.data(), ids.size());
  return true;
}

bool apply_segment(SessionState& state, Reader reader) {
  const auto index = reader.take<uint64_t>();
  const auto name = reader.take<SegmentName>();
  if (!reader.ok_and_done() || index != state.segments.size()) return false;
  if (state.tokens.size() / kSegmentTokens <= index) return false;
  state.segments.push_back(name);
  return true;
}

bool apply_truncated(SessionState& state, Reader reader) {
  const auto count = reader.take<uint64_t>();
  if (!reader.ok_and_done() || count > state.tokens.size()) return false;
  state.tokens.resize(count);
  state.segments.resize(std::min<size_t>(state.segments.size(), count / kSegmentTokens));
  return true;
}

bool apply_note(SessionState& state, Reader reader) {
  const std::string text = text_of(reader.rest());
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) return false;
  state.notes[text.substr(0, equals)] = text.substr(equals + 1);
  return true;
}

struct Frame {
  RecordType type;
  ConstBytes payload;
};

// The frame at `offset`, if it is whole.
std::optional<Frame> frame_at(ConstBytes log, uint64_t offset) {
  Reader reader(log.subspan(offset));
  const auto bytes = reader.take<uint32_t>();
  const auto type = reader.take<uint32_t>();
  if (!reader.ok() || bytes > kRecordBytesMax) return std::nullopt;
  const ConstBytes payload = reader.take_bytes(bytes);
  const auto xxh3 = reader.take<uint64_t>();
  if (!reader.ok() || core::hash64(log.subspan(offset, kFrameHeadBytes + bytes), offset) != xxh3)
    return std::nullopt;
  return Frame{static_cast<RecordType>(type), payload};
}

}  // namespace

std::vector<std::byte> session_log_head() {
  std::vector<std::byte> out;
  put_bytes(out, std::as_bytes(std::span(kLogMagic)));
  put(out, kSessionLogVersion);
  put(out, uint32_t{0});
  return out;
}

void add_frame(std::vector<std::byte>& out, RecordType type, ConstBytes payload, uint64_t offset) {
  MNEME_CHECK(payload.size() <= kRecordBytesMax, "{} bytes", payload.size());
  const size_t begin = out.size();
  put(out, static_cast<uint32_t>(payload.size()));
  put(out, static_cast<uint32_t>(type));
  put_bytes(out, payload);
  put(out, core::hash64(std::span(out).subspan(begin), offset));
}

std::vector<std::byte> encode_created(const SegmentModel& model, std::string_view model_path,
                                      int64_t unix_s) {
  std::vector<std::byte> out;
  put(out, model.content_version);
  put(out, model.model);
  put(out, unix_s);
  put(out, static_cast<uint32_t>(model.shape.size()));
  put_bytes(out, model.shape);
  put(out, static_cast<uint32_t>(model_path.size()));
  put_bytes(out, std::as_bytes(std::span(model_path)));
  return out;
}

std::vector<std::byte> encode_tokens(uint64_t first, std::span<const int32_t> tokens) {
  std::vector<std::byte> out;
  out.reserve(sizeof(first) + tokens.size_bytes());
  put(out, first);
  put_bytes(out, std::as_bytes(tokens));
  return out;
}

std::vector<std::byte> encode_segment(uint64_t index, const SegmentName& name) {
  std::vector<std::byte> out;
  put(out, index);
  put(out, name);
  return out;
}

std::vector<std::byte> encode_number(uint64_t value) {
  std::vector<std::byte> out;
  put(out, value);
  return out;
}

bool apply_record(SessionState& state, RecordType type, ConstBytes payload) {
  Reader reader(payload);
  switch (type) {
    case RecordType::kCreated: return apply_created(state, reader);
    case RecordType::kTokens: return apply_tokens(state, reader);
    case RecordType::kSegment: return apply_segment(state, reader);
    case RecordType::kTruncated: return apply_truncated(state, reader);
    case RecordType::kUsed: {
      const auto unix_s = reader.take<int64_t>();
      if (reader.ok_and_done()) state.used_unix_s = unix_s;
      return reader.ok_and_done();
    }
    case RecordType::kNote: return apply_note(state, reader);
  }
  return false;  // of a later version, which would have said so in its head
}

Result<SessionState> replay_session(ConstBytes log, std::string_view path) {
  const auto head = session_log_head();
  if (log.size() < kHeadBytes || std::memcmp(log.data(), kLogMagic, sizeof(kLogMagic)) != 0)
    return fail("{}: not a session's log, or its beginning is damaged", path);
  uint32_t version = 0;
  std::memcpy(&version, log.data() + sizeof(kLogMagic), sizeof(version));
  if (version != kSessionLogVersion)
    return fail("{}: format version {}, this program reads {}", path, version, kSessionLogVersion);
  if (std::memcmp(log.data(), head.data(), kHeadBytes) != 0)
    return fail("{}: the beginning is damaged", path);
  SessionState state;
  state.log_bytes = kHeadBytes;
  while (state.log_bytes < log.size()) {
    const auto frame = frame_at(log, state.log_bytes);
    if (!frame) break;
    if (state.log_bytes == kHeadBytes && frame->type != RecordType::kCreated) break;
    if (!apply_record(state, frame->type, frame->payload)) break;
    state.log_bytes += kFrameBytes + frame->payload.size();
  }
  if (state.log_bytes == kHeadBytes) return fail("{}: the first record is damaged", path);
  state.torn_bytes = log.size() - state.log_bytes;
  return state;
}

}  // namespace mneme::kv

// Session logs: any bytes are a session or an error message of one line; the state is that of its valid
// prefix. Checksums of frames are put right first (unless the last byte is odd), so that the records are
// reached.
#include <cstring>
#include <string>
#include <vector>

#include "core/hash.h"
#include "kv/session_records.h"

namespace {

using namespace mneme;

constexpr size_t kHeadBytes = 16;

void put_checksums_right(std::vector<std::byte>& log) {
  size_t at = kHeadBytes;
  while (log.size() >= at + 16) {
    uint32_t bytes = 0;
    std::memcpy(&bytes, log.data() + at, sizeof(bytes));
    if (bytes > log.size() - at - 16) return;
    const uint64_t xxh3 = core::hash64(std::span(log).subspan(at, 8 + bytes), at);
    std::memcpy(log.data() + at + 8 + bytes, &xxh3, sizeof(xxh3));
    at += 16 + bytes;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::byte> log(size);
  if (size > 0) std::memcpy(log.data(), data, size);
  if (size > 0 && data[size - 1] % 2 == 0) put_checksums_right(log);
  auto state = kv::replay_session(log, "a.log");
  if (!state) {
    MNEME_CHECK(state.error().message.find('\n') == std::string::npos, "{}", state.error().message);
    return 0;
  }
  MNEME_CHECK(state->log_bytes + state->torn_bytes == size);
  MNEME_CHECK(state->segments.size() * kv::kSegmentTokens <= state->tokens.size());
  // The prefix says the same, and nothing of it is torn.
  auto prefix = kv::replay_session(std::span(log).first(state->log_bytes), "a.log");
  MNEME_CHECK(prefix && prefix->torn_bytes == 0 && prefix->tokens == state->tokens);
  MNEME_CHECK(prefix->segments == state->segments && prefix->notes == state->notes);
  return 0;
}

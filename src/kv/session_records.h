// The records of a session's log as bytes: docs/formats/session.md. What one writes and replays, once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kv/session_log.h"

namespace mneme::kv {

inline constexpr size_t kTokensOfRecordMax = size_t{1} << 20;
inline constexpr size_t kNoteBytesMax = size_t{1} << 16;
inline constexpr size_t kRecordBytesMax = 16 + 4 * kTokensOfRecordMax;  // of a payload

std::vector<std::byte> session_log_head();

// Appends {u32 bytes, u32 type, payload, u64 xxh3 of the 8 + bytes before it with `offset` as seed}. `offset`
// is the frame's place in the log: a frame that lies elsewhere is not valid.
void add_frame(std::vector<std::byte>& out, RecordType type, std::span<const std::byte> payload,
               uint64_t offset);

std::vector<std::byte> encode_created(const SegmentModel& model, std::string_view model_path, int64_t unix_s);
std::vector<std::byte> encode_tokens(uint64_t first, std::span<const int32_t> tokens);
std::vector<std::byte> encode_segment(uint64_t index, const SegmentName& name);
std::vector<std::byte> encode_number(uint64_t value);

// What the record makes of the state; false, and no change, where it does not fit (tokens that do not follow,
// a segment of tokens that are not there).
bool apply_record(SessionState& state, RecordType type, std::span<const std::byte> payload);

}  // namespace mneme::kv

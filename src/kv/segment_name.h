// What segments and models are called: 128 bits, 32 hex digits.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mneme::kv {

// Kinds of names are distinct types that cannot be mixed up.
template <class Kind>
struct Id128 {
  std::array<uint8_t, 16> bytes{};

  bool is_zero() const { return *this == Id128{}; }
  std::string hex() const;                                  // 32 lower-case digits
  static std::optional<Id128> parse(std::string_view hex);  // exactly 32 digits of either case
  friend auto operator<=>(const Id128&, const Id128&) = default;
};

struct ModelKind;
struct SegmentKind;
// Of a model file; the engine computes it.
using ModelId = Id128<ModelKind>;
// Of 256 tokens in their context. Zero: nothing before (the parent of a context's first segment; in a scope
// its root).
using SegmentName = Id128<SegmentKind>;

// For unordered containers: names are hashes already.
struct Id128Hash {
  template <class Kind>
  size_t operator()(const Id128<Kind>& id) const {
    size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof(value));
    return value;
  }
};

// The version of everything that decides a segment's bytes beside model, shape and tokens: bump it where the
// forward pass or the layout of parts changes, and old segments are no longer found.
inline constexpr uint32_t kSegmentContentVersion = 1;
// Beside it in the content version of segments that sparse prefill made: dense prefill never finds them.
inline constexpr uint32_t kSparsePrefillContent = uint32_t{1} << 16;

// What decides a segment beside its tokens and its parent.
struct SegmentModel {
  ModelId model;
  std::vector<std::byte> shape;  // the KvShape and whatever else changes the bytes, in any fixed encoding
  uint32_t content_version = kSegmentContentVersion;
};

// XXH3-128 of (content version u32, model 16, shape length u32, shape, parent 16, token count u32, tokens
// i32...), little endian. Equal names do not prove equal tokens: who finds a segment compares parent and
// tokens too.
SegmentName segment_name(const SegmentModel& model, const SegmentName& parent,
                         std::span<const int32_t> tokens);

// Whether it is the name of these tokens, read densely or sparsely: a session's segments may be of either, as
// its log says what model it began with.
bool is_segment_name(const SegmentName& name, const SegmentModel& model, const SegmentName& parent,
                     std::span<const int32_t> tokens);

// What the contexts of a scope begin behind, so that other scopes do not find their segments: XXH3-128 of
// "mneme scope", a zero byte and the scope; zero for the empty one.
SegmentName scope_root(std::string_view scope);

}  // namespace mneme::kv

#include "kv/segment_name.h"

#include <bit>

#include "core/xxh3.h"

namespace mneme::kv {

namespace {

static_assert(std::endian::native == std::endian::little, "names are of little-endian numbers");

template <class T>
void add(std::vector<std::byte>& out, const T* values, size_t count) {
  const auto bytes = std::as_bytes(std::span(values, count));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

template <class Kind>
std::string Id128<Kind>::hex() const {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

template <class Kind>
std::optional<Id128<Kind>> Id128<Kind>::parse(std::string_view hex) {
  Id128 id;
  if (hex.size() != 2 * id.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<uint8_t>(16 * high + low);
  }
  return id;
}

template struct Id128<ModelKind>;
template struct Id128<SegmentKind>;

SegmentName segment_name(const SegmentModel& model, const SegmentName& parent,
                         std::span<const int32_t> tokens) {
  std::vector<std::byte> all;
  all.reserve(64 + model.shape.size() + tokens.size_bytes());
  const auto shape_bytes = static_cast<uint32_t>(model.shape.size());
  const auto token_count = static_cast<uint32_t>(tokens.size());
  add(all, &model.content_version, 1);
  add(all, model.model.bytes.data(), model.model.bytes.size());
  add(all, &shape_bytes, 1);
  add(all, model.shape.data(), model.shape.size());
  add(all, parent.bytes.data(), parent.bytes.size());
  add(all, &token_count, 1);
  add(all, tokens.data(), tokens.size());
  return {core::hash128(all)};
}

bool is_segment_name(const SegmentName& name, const SegmentModel& model, const SegmentName& parent,
                     std::span<const int32_t> tokens) {
  SegmentModel other = model;
  other.content_version ^= kSparsePrefillContent;
  return name == segment_name(model, parent, tokens) || name == segment_name(other, parent, tokens);
}

SegmentName scope_root(std::string_view scope) {
  if (scope.empty()) return {};
  std::string all("mneme scope");
  all += '\0';
  all += scope;
  return {core::hash128(std::as_bytes(std::span(all)))};
}

}  // namespace mneme::kv

#include "serve/session_names.h"

#include <algorithm>

#include "core/error.h"

namespace mneme::serve {

namespace {

constexpr size_t kBytesMax = 100;  // of a name that the engine keeps

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
// What stands at `at` would be read as an escape.
bool is_escape(std::string_view text, size_t at) {
  return text[at] == '_' && at + 2 < text.size() && hex_value(text[at + 1]) >= 0 &&
         hex_value(text[at + 2]) >= 0;
}

std::string escape(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    // A name begins with no dash. An underscore stays where nobody can take it for an escape.
    const bool plain = (is_plain(text[i]) && !(i == 0 && text[i] == '-')) ||
                       (text[i] == '_' && !is_escape(text, i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (plain)
      escaped += text[i];
    else
      escaped += {'_', kHex[byte >> 4], kHex[byte & 15]};
  }
  return escaped;
}

// As one segment: else /v1/sessions/{id} would never find it.
bool fits_in_a_path(std::string_view session) {
  const auto is_wrong = [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '/'; };
  return session != "." && session != ".." && std::ranges::none_of(session, is_wrong);
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_escape(text, i)) {
      plain += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

Result<std::string> kept_name(std::string_view owner, std::string_view session) {
  if (session.empty()) return core::fail("a session's name is empty");
  if (!fits_in_a_path(session))
    return core::fail("a session's name has no slash and no control character, and is neither . nor ..");
  std::string name = owner.empty() ? escape(session) : escape(owner) + "." + escape(session);
  if (name.size() > kBytesMax) {
    return core::fail("the session's name is too long: {} bytes of at most {}, owner and escapes included",
                      name.size(), kBytesMax);
  }
  return name;
}

std::optional<NameParts> parts_of_kept_name(std::string_view name) {
  const size_t dot = name.find('.');
  NameParts parts;
  if (dot != std::string_view::npos) parts.owner = unescape(name.substr(0, dot));
  parts.session = unescape(dot == std::string_view::npos ? name : name.substr(dot + 1));
  const auto again = kept_name(parts.owner, parts.session);
  if (!again || *again != name) return std::nullopt;
  return parts;
}

}  // namespace mneme::serve

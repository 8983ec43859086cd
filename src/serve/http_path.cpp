#include "serve/http_path.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/utf8.h"

namespace mneme::serve {
namespace {

using core::fail;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that an escape at `at` ("%41") stands for.
std::optional<char> escaped(std::string_view text, size_t at) {
  if (at + 2 >= text.size()) return std::nullopt;
  const int high = hex_digit(text[at + 1]), low = hex_digit(text[at + 2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

Result<std::string> decode_path(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      const auto byte = escaped(path, i);
      if (!byte) return fail("the path has a '%' that is no escape");
      c = *byte;
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return fail("the path has a control character");
    out += c;
  }
  if (core::utf8_valid_prefix(out) != out.size()) return fail("the path is no UTF-8");
  return out;
}

// Without empty segments, "." and "..".
Result<std::string> resolve(std::string_view path) {
  std::vector<std::string_view> kept;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      kept.push_back(segment);
      continue;
    }
    if (kept.empty()) return fail("the path leads above the root");
    kept.pop_back();
  }
  std::string out;
  for (const std::string_view segment : kept) out.append("/").append(segment);
  return out.empty() ? "/" : out;
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (target == "*") return Target{"*", ""};
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (target.empty() || target.front() == '?') return fail("the target has no path");
    break;
  }
  if (!target.starts_with('/')) return fail("the target is no path");
  target = target.substr(0, target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  auto decoded = decode_path(target.substr(0, question));
  if (!decoded) return core::pass(decoded);
  auto path = resolve(*decoded);
  if (!path) return core::pass(path);
  return Target{std::move(*path), std::string(target.substr(std::min(question + 1, target.size())))};
}

std::string decode_query_text(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' ? escaped(text, i) : std::nullopt;
    if (byte) i += 2;
    out += byte ? *byte : text[i] == '+' ? ' ' : text[i];
  }
  return out;
}

std::string query_value_of(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (decode_query_text(pair.substr(0, equals)) != name) continue;
    return decode_query_text(pair.substr(std::min(equals + 1, pair.size())));
  }
  return {};
}

}  // namespace mneme::serve

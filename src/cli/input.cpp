#include "cli/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "cli/terminal.h"

namespace mneme::cli {

namespace {

std::string display_name(const std::string& path) { return path == "-" ? "standard input" : path; }

Result<std::string> read_all(int descriptor, const std::string& path) {
  std::string text;
  std::vector<char> buffer(size_t{1} << 18);
  while (true) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(Error{display_name(path) + ": " + std::strerror(errno)});
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return read_all(STDIN_FILENO, path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return tl::unexpected(Error{path + ": " + std::strerror(errno)});
  auto text = read_all(descriptor, path);
  ::close(descriptor);
  return text;
}

Result<void> write_text(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = file == nullptr || std::fclose(file) == 0;
  if (written && closed) return {};
  return tl::unexpected(Error{path + ": " + std::strerror(errno)});
}

std::optional<uint64_t> parse_size(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value,
                                            std::chars_format::fixed);
  if (error != std::errc{} || !(value >= 0)) return std::nullopt;
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (unit.empty() || unit == "b")
    return value < 0x1p63 ? std::optional(static_cast<uint64_t>(value)) : std::nullopt;
  const size_t power = std::string_view("kmgt").find(unit[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string rest = unit.substr(1);
  if (rest != "" && rest != "b" && rest != "ib") return std::nullopt;
  for (size_t i = 0; i <= power; ++i) value *= rest == "b" ? 1000.0 : 1024.0;
  return value < 0x1p63 ? std::optional(static_cast<uint64_t>(value)) : std::nullopt;
}

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::vector<TokenId>> parse_ids(std::string_view text) {
  constexpr std::string_view kBetween = " \t\r\n\f\v,";
  std::vector<TokenId> ids;
  while (true) {
    const size_t start = text.find_first_not_of(kBetween);
    if (start == std::string_view::npos) return ids;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    const auto id = parse_int(word);
    if (!id) return tl::unexpected(Error{format("'%.40s' is no token id", std::string(word).c_str())});
    ids.push_back(*id);
    text.remove_prefix(word.size());
  }
}

}  // namespace mneme::cli

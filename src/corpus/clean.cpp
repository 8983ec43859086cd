#include "corpus/clean.h"

#include <algorithm>
#include <array>

#include "core/utf8.h"

namespace mneme::corpus {

namespace {

constexpr size_t kCodeLineMax = 400;
constexpr size_t kProseLineMax = 20000;
constexpr size_t kUnbrokenMax = 200;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool has_unbroken_run(std::string_view line) {
  size_t run = 0;
  for (const char c : line) {
    run = c > ' ' && c < 0x7F ? run + 1 : 0;
    if (run > kUnbrokenMax) return true;
  }
  return false;
}

// The line without control characters (but tabs) and trailing space.
std::string_view tidy_line(std::string_view line, std::string& buffer) {
  const auto is_control = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7F; };
  if (std::any_of(line.begin(), line.end(), is_control)) {
    buffer.clear();
    std::copy_if(line.begin(), line.end(), std::back_inserter(buffer),
                 [&](char c) { return !is_control(c); });
    line = buffer;
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
  return line;
}

struct LetterCounts {
  size_t han = 0;
  size_t kana_hangul = 0;
  size_t ascii = 0;
  size_t other = 0;  // letters of further alphabets
};

LetterCounts count_letters(std::string_view text) {
  LetterCounts counts;
  for (size_t at = 0; at < text.size();) {
    const auto next = core::decode_utf8(text.substr(at));
    const char32_t c = next.code_point;
    if (c < 0x80)
      counts.ascii += is_letter(static_cast<char>(c)) ? 1 : 0;
    else if ((c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x323AF))
      counts.han++;
    else if ((c >= 0x3041 && c <= 0x30FA) || (c >= 0xAC00 && c <= 0xD7A3))
      counts.kana_hangul++;
    else if ((c >= 0xC0 && c <= 0x1FFF && c != 0xD7 && c != 0xF7))
      counts.other++;
    at += next.length;
  }
  return counts;
}

// The share of words that are among English's commonest.
double common_word_share(std::string_view text) {
  constexpr std::array<std::string_view, 24> kCommon = {
      "a",  "an", "and", "are", "as", "be",   "by",   "can", "for", "from", "if",   "in",
      "is", "it", "not", "of",  "on", "that", "this", "the", "to",  "with", "will", "you"};
  size_t words = 0;
  size_t common = 0;
  std::string word;
  for (size_t at = 0; at <= text.size(); at++) {
    if (at < text.size() && is_letter(text[at])) {
      if (word.size() < 16) word.push_back(static_cast<char>(text[at] | 0x20));
      continue;
    }
    if (word.empty()) continue;
    words++;
    if (std::find(kCommon.begin(), kCommon.end(), word) != kCommon.end()) common++;
    word.clear();
  }
  return words == 0 ? 0 : static_cast<double>(common) / static_cast<double>(words);
}

}  // namespace

bool is_text(std::string_view bytes) {
  return !bytes.empty() && bytes.find('\0') == std::string_view::npos && core::valid_utf8(bytes);
}

std::string clean_lines(std::string_view text, Kind kind) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const size_t line_max = kind == Kind::kCode ? kCodeLineMax : kProseLineMax;
  const int blank_max = kind == Kind::kCode ? 2 : 1;
  std::string out;
  std::string buffer;
  out.reserve(text.size());
  int blanks = blank_max;  // none at the start
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = tidy_line(text.substr(0, end), buffer);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() > line_max || has_unbroken_run(line)) continue;
    if (line.empty()) {
      if (blanks++ >= blank_max) continue;
    } else {
      blanks = 0;
    }
    out += line;
    out += '\n';
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

bool reads_like_language(std::string_view text, Kind kind) {
  size_t letters = 0;
  size_t marks = 0;
  for (const char c : text) {
    if (c < 0 || is_letter(c))
      letters++;
    else if (c != ' ' && c != '\n' && c != '\t')
      marks++;
  }
  const double share = static_cast<double>(letters) /
                       static_cast<double>(std::max<size_t>(letters + marks, 1));
  return share >= (kind == Kind::kCode ? 0.5 : 0.65);
}

std::optional<Language> prose_language(std::string_view text) {
  const LetterCounts letters = count_letters(text);
  // A Chinese character says about what three Latin letters do; terms and commands stay English in manuals.
  if (letters.han >= 30 && letters.han * 6 >= letters.ascii) {
    const bool pure = letters.kana_hangul * 50 <= letters.han && letters.other * 20 <= letters.han;
    return pure ? std::optional(Language::kChinese) : std::nullopt;
  }
  if (letters.ascii < 100 || letters.other * 50 > letters.ascii || letters.han * 20 > letters.ascii) {
    return std::nullopt;
  }
  return common_word_share(text) >= 0.12 ? std::optional(Language::kEnglish) : std::nullopt;
}

}  // namespace mneme::corpus

#include "guards/source_tree.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace mneme::guards {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Walks C++ text once and writes what is code. Newlines always survive, so that lines keep their numbers.
class Stripper {
 public:
  explicit Stripper(std::string_view text) : text_(text) {}

  std::string run() {
    while (at_ < text_.size()) step();
    return std::move(out_);
  }

 private:
  bool next_is(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  bool previous_is_word() const { return !out_.empty() && is_word(out_.back()); }

  void step() {
    if (next_is("//")) return skip_to("\n", false);
    if (next_is("/*")) return skip_to("*/", true);
    if (next_is("R\"") && raw_prefix_stands_alone()) return raw_string();
    if (text_[at_] == '"') return on_include_line() ? copy() : literal('"');
    // A quote after a digit or letter separates digits (1'000), it opens nothing.
    if (text_[at_] == '\'' && !previous_is_word()) return literal('\'');
    copy();
  }

  void copy() { out_ += text_[at_++]; }

  // R, u8R, LR: the prefix is a word of its own.
  bool raw_prefix_stands_alone() const {
    size_t start = out_.size();
    while (start > 0 && is_word(out_[start - 1])) --start;
    const std::string_view before = std::string_view(out_).substr(start);
    return before.empty() || before == "u8" || before == "u" || before == "U" || before == "L";
  }

  bool on_include_line() const {
    const size_t newline = out_.rfind('\n');
    std::string_view line = std::string_view(out_).substr(newline == std::string::npos ? 0 : newline + 1);
    line = trim(line);
    return line.starts_with('#') && trim(line.substr(1)).starts_with("include");
  }

  void skip_to(std::string_view end, bool eat_end) {
    while (at_ < text_.size() && !next_is(end)) {
      if (text_[at_] == '\n') out_ += '\n';
      ++at_;
    }
    if (eat_end) {
      at_ = std::min(at_ + end.size(), text_.size());
      out_ += ' ';  // a comment separates words
    }
  }

  void literal(char quote) {
    out_ += quote;
    for (++at_; at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n'; ++at_) {
      if (text_[at_] != '\\') continue;
      ++at_;
      if (at_ < text_.size() && text_[at_] == '\n') out_ += '\n';
    }
    if (at_ < text_.size() && text_[at_] == quote) ++at_;
    out_ += quote;
  }

  void raw_string() {
    const size_t open = text_.find('(', at_);
    if (open == std::string_view::npos) return copy();
    const std::string end = ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
    out_ += "\"\"";
    at_ = open;
    while (at_ < text_.size() && !next_is(end)) {
      if (text_[at_] == '\n') out_ += '\n';
      ++at_;
    }
    at_ = std::min(at_ + end.size(), text_.size());
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string out_;
};

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

SourceFile parse_source(std::string path, std::string_view text) {
  SourceFile file;
  file.path = std::move(path);
  file.lines = split_lines(text);
  file.code = split_lines(Stripper(text).run());
  file.code.resize(file.lines.size());
  return file;
}

std::vector<SourceFile> read_sources(const std::string& root, const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    const fs::path start = fs::path(root) / folder;
    if (!fs::is_directory(start)) continue;
    for (auto entry = fs::recursive_directory_iterator(start); entry != fs::recursive_directory_iterator();
         ++entry) {
      const fs::path& path = entry->path();
      if (path.filename() == "node_modules") entry.disable_recursion_pending();
      if (!entry->is_regular_file()) continue;
      if (path.extension() != ".h" && path.extension() != ".inl" && path.extension() != ".cpp") continue;
      files.push_back(parse_source(fs::relative(path, root).generic_string(), read_text(path.string())));
    }
  }
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> words_of(std::string_view code) {
  std::vector<std::string_view> words;
  for (size_t i = 0; i < code.size(); ++i) {
    const size_t start = i;
    while (i < code.size() && is_word(code[i])) ++i;
    if (i > start) words.push_back(code.substr(start, i - start));
  }
  return words;
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return text.starts_with(prefix); });
}

bool is_test(std::string_view path) { return path.ends_with("_test.cpp") || path.starts_with("tests/"); }

std::string report(const std::vector<Violation>& violations) {
  std::ostringstream out;
  for (const Violation& violation : violations) {
    out << violation.path << ':' << violation.line << ": " << violation.what << '\n';
  }
  return std::move(out).str();
}

}  // namespace mneme::guards

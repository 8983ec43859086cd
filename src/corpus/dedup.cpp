#include "corpus/dedup.h"

#include <algorithm>

#include "core/hash.h"

namespace mneme::corpus {

namespace {

constexpr size_t kParagraphMin = 48;  // normalised bytes; shorter ones recur by nature ("return 0; }")
constexpr size_t kTextsMin = 20;

uint64_t hash_of(std::string_view text) { return core::hash64(std::as_bytes(std::span(text))); }

std::string normalise(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (is_upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c < 0) {
      out += is_upper ? static_cast<char>(c | 0x20) : c;
    }
  }
  return out;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// Up to and including the blank line that ends it.
std::string_view take_paragraph(std::string_view& text) {
  size_t end = text.find("\n\n");
  end = end == std::string_view::npos ? text.size() : end + 2;
  while (end < text.size() && text[end] == '\n') end++;
  const std::string_view paragraph = text.substr(0, end);
  text.remove_prefix(end);
  return paragraph;
}

bool is_comment_line(std::string_view line) {
  while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  return line.starts_with("//") || line.starts_with("#") || line.starts_with("/*") || line.starts_with("*") ||
         line.starts_with("--") || line.starts_with(";");
}

// The bytes of a comment about copyright at the head of a file; 0 where there is none.
size_t licence_header_size(std::string_view text) {
  std::string_view rest = text;
  bool in_block = false;
  size_t size = 0;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    const bool is_directive = line.starts_with("#include") || line.starts_with("#if") ||
                              line.starts_with("#define") || line.starts_with("#pragma");
    if (!in_block && (is_directive || (!line.empty() && !is_comment_line(line)))) break;
    if (line.find("/*") != std::string_view::npos) in_block = true;
    if (line.find("*/") != std::string_view::npos) in_block = false;
    size = text.size() - rest.size();
    if (size > 8192) return 0;
  }
  const std::string words = normalise(text.substr(0, size));
  const bool is_licence = words.find("copyright") != std::string::npos ||
                          words.find("license") != std::string::npos ||
                          words.find("spdx") != std::string::npos;
  return is_licence ? size : 0;
}

// A header by its long lines: holders, years and names of files differ.
uint64_t hash_of_header(std::string_view header) {
  std::string words;
  while (!header.empty()) {
    const std::string_view line = take_line(header);
    const std::string normal = normalise(line);
    // Short lines name the file, the project, the author.
    if (normal.size() >= 30 && normal.find("copyright") == std::string::npos) words += normal;
  }
  std::erase_if(words, [](char c) { return c >= '0' && c <= '9'; });
  return hash_of(words);
}

}  // namespace

std::string Deduplicator::keep_new(std::string_view text, Kind kind) {
  if (kind == Kind::kCode) {
    const size_t header = licence_header_size(text);
    if (header > 0 && !headers_.insert(hash_of_header(text.substr(0, header))).second) {
      text.remove_prefix(header);
    }
  }
  std::string kept;
  size_t bytes = 0;
  size_t seen_bytes = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view paragraph = take_paragraph(rest);
    const std::string normal = normalise(paragraph);
    bool seen = false;
    if (normal.size() >= kParagraphMin) {
      bytes += paragraph.size();
      seen = !paragraphs_.insert(hash_of(normal)).second;
      if (seen) seen_bytes += paragraph.size();
    }
    if (!seen || kind == Kind::kCode) kept += paragraph;
  }
  if (seen_bytes * 10 > bytes * 6) return "";
  return kept;
}

void drop_common_lines(std::vector<std::string>& texts) {
  if (texts.size() < kTextsMin) return;
  const auto worth = [](std::string_view line) { return line.size() >= 2 && line != "```"; };
  std::unordered_map<uint64_t, size_t> text_counts;
  std::unordered_set<uint64_t> in_this;
  for (const std::string& text : texts) {
    in_this.clear();
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view line = take_line(rest);
      if (worth(line) && in_this.insert(hash_of(line)).second) text_counts[hash_of(line)]++;
    }
  }
  const size_t count_max = texts.size() / 5;
  for (std::string& text : texts) {
    std::string kept;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view line = take_line(rest);
      if (worth(line) && text_counts[hash_of(line)] > count_max) continue;
      kept += line;
      kept += '\n';
    }
    text = std::move(kept);
  }
}

}  // namespace mneme::corpus

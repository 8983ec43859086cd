#include "guards/tidy.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include "guards/functions.h"

namespace mneme::guards {
namespace {

size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_library(std::string_view path) {
  if (path.starts_with("include/")) return true;
  return path.starts_with("src/") && !path.starts_with("src/cli/") && !path.ends_with("/main.cpp") &&
         !path.starts_with("src/train/command") && path != "src/core/error.cpp" && !is_test(path);
}


// Words that could be the name of anything.
constexpr std::string_view kEmptyWords[] = {"Manager", "Helper", "Util", "Handler", "Processor"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// A hump of a CamelCase name, singular or plural: FileManager, HelperOf, FileUtils; not Utility or
// Preprocessor.
bool has_empty_hump(std::string_view name) {
  return std::ranges::any_of(kEmptyWords, [&](std::string_view word) {
    for (size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
      std::string_view rest = name.substr(at + word.size());
      if (rest.starts_with('s')) rest.remove_prefix(1);
      if (rest.empty() || !is_lower(rest.front())) return true;
    }
    return false;
  });
}

// A piece of a file's name: file_utils.cpp.
bool has_empty_piece(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return std::ranges::any_of(words_of(name), [](std::string_view piece) {
    if (piece.ends_with('s')) piece.remove_suffix(1);
    return std::ranges::any_of(kEmptyWords, [&](std::string_view word) {
      return word.substr(1) == piece.substr(std::min<size_t>(1, piece.size())) &&
             std::tolower(word[0]) == piece[0];
    });
  });
}

// The folder and file names of a path: src/kv/block_pool.h -> src, kv, block_pool.h.
std::vector<std::string> path_parts(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

}  // namespace

std::vector<Violation> check_sizes(const SourceFile& file) {
  std::vector<Violation> found;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const size_t size = code_points(file.lines[i]);
    if (size > kLineMax)
      found.push_back({file.path, i + 1, std::to_string(size) + " characters, at most 110"});
  }
  if (file.lines.size() > kFileMax) {
    found.push_back({file.path, 0, std::to_string(file.lines.size()) + " lines, at most 500"});
  }
  for (const Function& function : find_functions(file)) {
    const size_t size = function.last - function.first + 1;
    if (size <= kFunctionMax) continue;
    found.push_back({file.path, function.first,
                     "a function of " + std::to_string(size) + " lines, at most 70: " + function.head});
  }
  return found;
}

std::vector<Violation> check_whitespace(std::string_view path, std::string_view text) {
  std::vector<Violation> found;
  const auto add = [&](size_t line, std::string what) {
    found.push_back({std::string(path), line, std::move(what)});
  };
  if (!text.empty() && text.back() != '\n') add(0, "the last line does not end");
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view now = text.substr(0, end);
    if (now.find('\t') != std::string_view::npos) add(line, "a tab");
    if (now.ends_with(' ') || now.ends_with('\t')) add(line, "blanks at the end");
    if (now.ends_with('\r')) add(line, "a carriage return");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

std::vector<Violation> check_names(const SourceFile& file) {
  static const std::vector<std::string_view> kFolders = {"utils", "util",    "common",
                                                         "misc",  "helpers", "helper"};
  std::vector<Violation> found;
  for (size_t i = 0; i < file.code.size(); ++i) {
    for (const std::string_view word : words_of(file.code[i])) {
      if (has_empty_hump(word))
        found.push_back({file.path, i + 1, "the name " + std::string(word) + " says nothing"});
    }
  }
  const auto parts = path_parts(file.path);
  for (const std::string& part : parts) {
    const bool folder = &part != &parts.back() && std::ranges::find(kFolders, part) != kFolders.end();
    if (folder || has_empty_piece(part))
      found.push_back({file.path, 0, "the name " + part + " says nothing"});
  }
  return found;
}

std::vector<Violation> check_printing(const SourceFile& file) {
  static const std::set<std::string_view> kPrints = {
      "cout", "cerr", "clog", "wcout", "wcerr", "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs",
      "putc", "fputc", "putchar", "perror", "stdout", "stderr", "iostream",
  };
  std::vector<Violation> found;
  if (!is_library(file.path)) return found;
  for (size_t i = 0; i < file.code.size(); ++i) {
    const bool prints = file.code[i].find("fmt::print") != std::string::npos;
    const auto words = words_of(file.code[i]);
    const auto word = std::ranges::find_if(words, [](std::string_view x) { return kPrints.contains(x); });
    if (word == words.end() && !prints) continue;
    const std::string name = prints ? "fmt::print" : std::string(*word);
    found.push_back({file.path, i + 1, name + ": library code does not print"});
  }
  return found;
}

std::vector<Violation> check_pragma_once(const SourceFile& file) {
  if (!file.path.ends_with(".h")) return {};
  const auto first = std::ranges::find_if(file.code, [](const std::string& line) {
    return line.find_first_not_of(" \t") != std::string::npos;
  });
  if (first != file.code.end() && first->starts_with("#pragma once")) return {};
  return {{file.path, 0, "#pragma once is missing, or not first"}};
}

std::vector<Violation> check_reminders(const SourceFile& file) {
  static const std::set<std::string_view> kReminders = {"TODO", "FIXME", "XXX", "HACK"};
  std::vector<Violation> found;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (file.code[i].find('"') != std::string::npos) continue;  // the word may be in the literal
    const std::string_view line = file.lines[i];
    for (const std::string_view word : words_of(line)) {
      if (!kReminders.contains(word) || file.code[i].find(word) != std::string::npos) continue;
      const std::string_view rest(word.end(), line.end());
      const auto letters = std::ranges::count_if(
          rest, [](unsigned char c) { return std::isalpha(c) != 0 || c >= 0x80; });
      if (letters < 10) found.push_back({file.path, i + 1, std::string(word) + " without a sentence"});
    }
  }
  return found;
}

std::vector<Violation> check_intrinsics(const SourceFile& file) {
  static const std::vector<std::string_view> kMachines = {"src/kernels/avx2/", "src/kernels/avx512/",
                                                          "src/kernels/amx/"};
  std::vector<Violation> found;
  if (starts_with_any(file.path, kMachines)) return found;
  for (size_t i = 0; i < file.code.size(); ++i) {
    if (!trim(file.code[i]).starts_with('#')) continue;
    for (const std::string_view word : words_of(file.code[i])) {
      if (!word.ends_with("intrin") && word != "arm_neon" && word != "arm_sve") continue;
      found.push_back({file.path, i + 1, "<" + std::string(word) + ".h> belongs to src/kernels/<machine>/"});
    }
  }
  return found;
}

std::vector<Violation> check_tidy(const std::vector<SourceFile>& files) {
  std::vector<Violation> found;
  for (const SourceFile& file : files) {
    for (const auto check :
         {check_sizes, check_names, check_printing, check_pragma_once, check_reminders, check_intrinsics}) {
      const auto more = check(file);
      found.insert(found.end(), more.begin(), more.end());
    }
  }
  return found;
}

}  // namespace mneme::guards

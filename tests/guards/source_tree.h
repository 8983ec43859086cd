// The project's own source files, as the guards read them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mneme::guards {

// One file. `lines` is the text as written; `code` is the same lines with comments blanked and the insides of
// string and character literals removed, so that a word found there is really code. Include lines keep their
// names in both.
struct SourceFile {
  std::string path;  // from the root of the project, with '/'
  std::vector<std::string> lines;
  std::vector<std::string> code;
};

// What a guard found. `line` counts from 1; 0 means the file as a whole.
struct Violation {
  std::string path;
  size_t line = 0;
  std::string what;
};

SourceFile parse_source(std::string path, std::string_view text);

// Every .h, .inl and .cpp below the named folders of `root` (missing folders are passed over), sorted by
// path.
std::vector<SourceFile> read_sources(const std::string& root, const std::vector<std::string>& folders);

std::string read_text(const std::string& path);

std::string_view trim(std::string_view text);
// The identifiers and numbers of a line of code, in order; they point into it.
std::vector<std::string_view> words_of(std::string_view code);

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes);
bool is_test(std::string_view path);  // *_test.cpp, or below tests/

// One violation a line, path:line: what; empty for none.
std::string report(const std::vector<Violation>& violations);

}  // namespace mneme::guards

// Which files of an unpacked package are worth reading, and as what.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "corpus/documents.h"

namespace mneme::corpus {

// How a file is turned into text.
enum class Markup { kPlain, kHtml, kTroff, kInfo, kPo };

struct FileForm {
  Kind kind;
  Markup markup;
};

// What the file is by its name; nullopt for what is not read (binaries, generated and vendored files,
// changelogs, packaging). `only_prose`: code is not read.
std::optional<FileForm> form_of(std::string_view path, bool only_prose);

// The markup of a file that has no telling name, by how it begins.
Markup markup_of_content(std::string_view text, Markup by_name);

// The regular files below `root`, as paths from there, sorted. Links are not followed; folders that cannot be
// read are left out.
std::vector<std::string> list_files(const std::string& root);

// `text` in parts of about `bytes`, cut after a blank line, or where there is none after a line.
std::vector<std::string_view> split_long(std::string_view text, size_t bytes);

}  // namespace mneme::corpus

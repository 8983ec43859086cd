#include "corpus/files.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace mneme::corpus {

namespace {

using std::string_view;

constexpr std::array<string_view, 37> kCode = {
    "c",     "h",     "cc",   "cpp", "cxx", "hpp", "hh", "inl", "ipp",  "tcc", "py",  "pyx", "js",
    "mjs",   "ts",    "tsx",  "jsx", "vue", "go",  "rs", "sh",  "bash", "zsh", "lua", "sql", "java",
    "cmake", "proto", "toml", "awk", "l",   "y",   "el", "rb",  "tcl",  "yml", "bats"};
constexpr std::array<string_view, 9> kPlainText = {"txt",  "md",   "rst",      "markdown", "text",
                                                   "adoc", "dict", "asciidoc", "mdx"};
constexpr std::array<string_view, 6> kHtmlText = {"html", "htm", "xhtml", "page", "docbook", "xht"};
// Folders of code that others wrote, of data, and of what is made from something else.
constexpr std::array<string_view, 30> kSkippedFolders = {"/vendor/",
                                                         "/third_party/",
                                                         "/node_modules/",
                                                         "/deps/",
                                                         "/dist/",
                                                         "/fixtures/",
                                                         "/testdata/",
                                                         "/locale/",
                                                         "/.github/",
                                                         "/_static/",
                                                         "/_sources/",
                                                         "/doc-base/",
                                                         "/lintian/",
                                                         "/genindex",
                                                         "/gen/",
                                                         "/generated/",
                                                         "/snapshots/",
                                                         "/corpora/",
                                                         "/baselines/",
                                                         "/unicode/tables",
                                                         "/.pc/",
                                                         "/fuzz/corpus",
                                                         "/wycheproof",
                                                         "/__snapshots__/",
                                                         "/bundled/",
                                                         "/extern/",
                                                         "/menu/",
                                                         "/Release_notes",
                                                         "/translations/it_IT/",
                                                         "/dist-packages/sklearn/datasets/"};
constexpr std::array<string_view, 22> kSkippedNames = {
    ".min.js",       "_pb2.py",     ".pb.go",          ".pb.cc",           ".pb.h",       "changelog",
    "changelog.txt", "copyright",   "license",         "license.txt",      "copying",     "authors",
    "licence.txt",   "search.html", "genindex.html",   "py-modindex.html", "news.debian", "readme.debian",
    "license.md",    "copying.txt", "zz_generated.go", "searchindex.js"};

bool ends_with_any(string_view name, const auto& ends) {
  return std::any_of(ends.begin(), ends.end(), [&](string_view end) { return name.ends_with(end); });
}

bool is_any(string_view name, const auto& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A manual page in English or Chinese: .../man/man3/x.3, .../man/zh_CN/man1/x.1
bool is_manual(string_view path) {
  const size_t man = path.find("/man/");
  if (man == string_view::npos || path.substr(0, man).find("share") == string_view::npos) return false;
  const string_view rest = path.substr(man + 5);
  return rest.starts_with("man") || rest.starts_with("zh");
}

bool is_chinese_catalogue(string_view path, string_view name) {
  if (!name.ends_with(".po")) return false;
  return path.find("/zh_CN") != string_view::npos || path.find("/zh_Hans") != string_view::npos ||
         path.find("/zh_TW") != string_view::npos || path.find("/zh_Hant") != string_view::npos ||
         path.find("/zh.") != string_view::npos;
}

// A folder named like fr-FR or pt_BR, but for English and Chinese: translations have much English left in
// them.
bool is_foreign(string_view path) {
  const auto is_lower = [&](size_t i) { return path[i] >= 'a' && path[i] <= 'z'; };
  const auto is_upper = [&](size_t i) { return path[i] >= 'A' && path[i] <= 'Z'; };
  for (size_t at = 0; at + 7 <= path.size(); at++) {
    if (path[at] != '/' || path[at + 6] != '/' || (path[at + 3] != '-' && path[at + 3] != '_')) continue;
    if (!is_lower(at + 1) || !is_lower(at + 2) || !is_upper(at + 4) || !is_upper(at + 5)) continue;
    const string_view language = path.substr(at + 1, 2);
    if (language != "en" && language != "zh") return true;
  }
  return false;
}

}  // namespace

std::optional<FileForm> form_of(string_view path, bool only_prose) {
  std::string rooted = "/";
  rooted += path;
  const std::string name = [&] {
    std::string lowered = rooted.substr(rooted.rfind('/') + 1);
    for (char& c : lowered) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return lowered;
  }();
  if (is_chinese_catalogue(rooted, rooted)) return FileForm{Kind::kProse, Markup::kPo};
  if (is_manual(rooted)) return FileForm{Kind::kProse, Markup::kTroff};
  if (rooted.starts_with("/debian/") || is_foreign(rooted)) return std::nullopt;
  const bool skipped = std::any_of(kSkippedFolders.begin(), kSkippedFolders.end(), [&](string_view folder) {
    return rooted.find(folder) != string_view::npos;
  });
  if (skipped || ends_with_any(name, kSkippedNames) || name.starts_with("changelog")) return std::nullopt;
  const size_t dot = name.rfind('.');
  const string_view extension = dot == std::string::npos ? "" : string_view(name).substr(dot + 1);
  if (is_any(extension, kHtmlText)) {
    return only_prose ? std::optional(FileForm{Kind::kProse, Markup::kHtml}) : std::nullopt;
  }
  if (is_any(extension, kPlainText)) return FileForm{Kind::kProse, Markup::kPlain};
  if (extension == "info" || name.find(".info-") != std::string::npos)
    return FileForm{Kind::kProse, Markup::kInfo};
  if (!only_prose && is_any(extension, kCode)) return FileForm{Kind::kCode, Markup::kPlain};
  const bool is_bare = dot == std::string::npos;
  if (only_prose && (is_bare || extension == "lyx" || extension == "pod")) {
    const bool wanted = rooted.find("/share/doc/") != string_view::npos ||
                        rooted.find("/games/fortunes/") != string_view::npos ||
                        rooted.find("/share/") != string_view::npos;
    return wanted ? std::optional(FileForm{Kind::kProse, Markup::kPlain}) : std::nullopt;
  }
  return std::nullopt;
}

Markup markup_of_content(string_view text, Markup by_name) {
  if (by_name != Markup::kPlain) return by_name;
  const string_view head = text.substr(0, 512);
  if (head.find("<!DOCTYPE html") != string_view::npos || head.find("<html") != string_view::npos)
    return Markup::kHtml;
  return Markup::kPlain;
}

std::vector<std::string> list_files(const std::string& root) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code error;
  fs::recursive_directory_iterator at(root, fs::directory_options::skip_permission_denied, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_symlink(ignored) && at->is_regular_file(ignored)) {
      paths.push_back(at->path().lexically_relative(root).string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<string_view> split_long(string_view text, size_t bytes) {
  std::vector<string_view> parts;
  while (text.size() > bytes + bytes / 2) {
    size_t cut = text.rfind("\n\n", bytes);
    if (cut == string_view::npos || cut < bytes / 2) cut = text.rfind('\n', bytes);
    if (cut == string_view::npos || cut == 0) break;  // one endless line
    while (cut < text.size() && text[cut] == '\n') cut++;
    parts.push_back(text.substr(0, cut));
    text.remove_prefix(cut);
  }
  parts.push_back(text);
  return parts;
}

}  // namespace mneme::corpus

#include "corpus/package.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

#include "core/file.h"
#include "corpus/clean.h"
#include "corpus/files.h"
#include "corpus/html.h"
#include "corpus/licence.h"
#include "corpus/translations.h"
#include "corpus/troff.h"

namespace mneme::corpus {

using core::fail;
using core::pass;

namespace {

constexpr size_t kFileMin = 200;
constexpr size_t kCodeFileMax = 200'000;  // longer ones are made by programs
constexpr size_t kProseFileMax = 64'000'000;
constexpr size_t kProsePart = 100'000;

// A file that has been read, before the lines that all of them have are known.
struct Draft {
  std::string name;
  Kind kind;
  std::string text;
};

std::string to_plain(std::string_view text, Markup markup) {
  switch (markup) {
    case Markup::kHtml: return html_to_text(text);
    case Markup::kTroff: return troff_to_text(text);
    case Markup::kInfo: return info_to_text(text);
    case Markup::kPo: return po_to_text(text);
    case Markup::kPlain: break;
  }
  return std::string(text);
}

std::string copyright_path(const Package& package) {
  return package.form == PackageForm::kSource
             ? package.folder + "/debian/copyright"
             : package.folder + "/usr/share/doc/" + package.name + "/copyright";
}

class Reader {
 public:
  Reader(const Package& package, uint16_t index, Deduplicator& seen)
      : package_(package), index_(index), seen_(seen), licences_(read_copyright(package)) {}

  PackageReading run();

 private:
  static Licences read_copyright(const Package& package) {
    auto text = core::read_text_file(copyright_path(package), 16'000'000);
    return Licences(text ? std::string_view(*text) : std::string_view());
  }
  void read_file(const std::string& path);
  bool is_allowed(const std::string& path, std::string_view text, Kind kind);
  void finish_prose();
  void keep(const std::string& name, Kind kind, std::string_view text);

  const Package& package_;
  uint16_t index_;
  Deduplicator& seen_;
  Licences licences_;
  std::vector<Draft> prose_;
  PackageReading reading_;
};

PackageReading Reader::run() {
  reading_.licence = licences_.main();
  // Code needs a licence that says yes; with a stanza for each file, single files are judged.
  if (package_.form != PackageForm::kDoc && !licences_.main_is_permissive()) {
    reading_.rejected = fmt::format("the licence is not clearly permissive: {}", licences_.main());
    return std::move(reading_);
  }
  for (const std::string& path : list_files(package_.folder)) read_file(path);
  finish_prose();
  if (reading_.documents.empty()) reading_.rejected = "no text that is new";
  return std::move(reading_);
}

bool Reader::is_allowed(const std::string& path, std::string_view text, Kind kind) {
  if (package_.form == PackageForm::kDoc) return true;  // Debian's main: free, whatever the licence
  const bool by_list = package_.form == PackageForm::kBinary || licences_.is_permissive(path);
  if (by_list && (kind == Kind::kProse || !head_names_copyleft(text))) return true;
  reading_.files_rejected++;
  return false;
}

void Reader::read_file(const std::string& path) {
  const auto form = form_of(path, package_.form == PackageForm::kDoc);
  if (!form) return;
  const std::string whole_path = package_.folder + "/" + path;
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(whole_path, error);
  const size_t size_max = form->kind == Kind::kCode ? kCodeFileMax : kProseFileMax;
  if (error || size < kFileMin || size > size_max) return;
  auto text = core::read_text_file(whole_path, size_max);
  if (!text || !is_text(*text) || !is_allowed(path, *text, form->kind)) return;
  const std::string name = package_.name + "/" + path;
  if (form->kind == Kind::kCode) {
    keep(name, form->kind, clean_lines(*text, form->kind));
    return;
  }
  const std::string plain = to_plain(*text, markup_of_content(*text, form->markup));
  if (!is_text(plain)) return;
  prose_.push_back({name, form->kind, clean_lines(plain, Kind::kProse)});
}

void Reader::finish_prose() {
  std::vector<std::string> texts;
  for (Draft& draft : prose_) texts.push_back(std::move(draft.text));
  drop_common_lines(texts);
  for (size_t i = 0; i < texts.size(); i++) {
    const auto parts = split_long(texts[i], kProsePart);
    for (size_t part = 0; part < parts.size(); part++) {
      const std::string suffix = parts.size() > 1 ? fmt::format("#{}", part) : "";
      keep(prose_[i].name + suffix, prose_[i].kind, parts[part]);
    }
  }
  prose_.clear();
}

void Reader::keep(const std::string& name, Kind kind, std::string_view text) {
  if (text.size() < kFileMin || name.size() > std::numeric_limits<uint16_t>::max()) return;
  if (!reads_like_language(text, kind)) return;
  auto language = kind == Kind::kCode ? std::optional(Language::kEnglish) : prose_language(text);
  if (!language) return;
  std::string kept = seen_.keep_new(text, kind);
  if (kept.size() < kFileMin) return;
  kept = clean_lines(kept, kind);
  reading_.documents.push_back({name, kind, *language, index_, std::move(kept)});
}

std::vector<std::string_view> split_columns(std::string_view line) {
  std::vector<std::string_view> columns;
  while (true) {
    const size_t end = line.find('\t');
    columns.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return columns;
    line.remove_prefix(end + 1);
  }
}

}  // namespace

Result<std::vector<Package>> read_packages(const std::string& path) {
  auto text = core::read_text_file(path, 64'000'000);
  if (!text) return pass(text);
  std::vector<Package> packages;
  size_t row = 0;
  for (std::string_view rest = *text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const auto columns = split_columns(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    row++;
    if (columns.size() != 6) return fail("{}: line {} has {} columns, not 6", path, row, columns.size());
    Package package;
    if (columns[0] != "train" && columns[0] != "heldout")
      return fail("{}: line {}: role {}", path, row, columns[0]);
    package.role = columns[0] == "train" ? Role::kTrain : Role::kHeldout;
    if (columns[1] == "doc")
      package.form = PackageForm::kDoc;
    else if (columns[1] == "src")
      package.form = PackageForm::kSource;
    else if (columns[1] == "bin")
      package.form = PackageForm::kBinary;
    else
      return fail("{}: line {}: form {}", path, row, columns[1]);
    package.name = columns[2];
    package.version = columns[3];
    package.sha256 = columns[4];
    package.folder = columns[5];
    packages.push_back(std::move(package));
  }
  if (packages.size() > std::numeric_limits<uint16_t>::max()) return fail("{}: too many packages", path);
  return packages;
}

PackageReading read_package(const Package& package, uint16_t index, Deduplicator& seen) {
  return Reader(package, index, seen).run();
}

}  // namespace mneme::corpus

#include "engine/eval_text.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "core/file.h"

namespace mneme::engine {

using core::fail;
using core::pass;
using tasks::Document;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBytesMax = uint64_t{1} << 30;

class Documents final : public tasks::TextSource {
 public:
  struct File {
    std::string name;
    std::string text;
  };
  Documents(std::vector<File> files, const std::vector<Document>& kinds)
      : files_(std::move(files)), text_(views(kinds)) {}
  Document pick(core::Rng& rng, tasks::TextKind kind, tasks::Language language) const override {
    return text_.pick(rng, kind, language);
  }
  size_t size() const { return text_.size(); }

 private:
  std::vector<Document> views(std::vector<Document> documents) const {
    for (size_t i = 0; i < documents.size(); ++i) {
      documents[i].name = files_[i].name;
      documents[i].text = files_[i].text;
    }
    return documents;
  }

  std::vector<File> files_;
  tasks::InMemoryText text_;
};

bool is_code(const std::string& path) {
  static const std::set<std::string> kSuffixes{
      ".c",    ".cc",  ".cpp", ".cu", ".cs",  ".css", ".go",  ".h",   ".hpp",   ".inl", ".java",  ".js",
      ".json", ".jsx", ".kt",  ".m",  ".pl",  ".php", ".py",  ".rb",  ".rs",    ".s",   ".scala", ".sh",
      ".sql",  ".svg", ".tcl", ".ts", ".tsx", ".vue", ".xml", ".zig", ".cmake", ".lua"};
  return kSuffixes.contains(fs::path(path).extension().string());
}

// A fifth of the bytes in characters of the blocks that Chinese is written with (U+4000 .. U+9FFF and most
// punctuation's neighbours: lead bytes E4 to E9).
bool is_chinese(std::string_view text) {
  const auto leads = std::count_if(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0xE4 && byte <= 0xE9;
  });
  return static_cast<size_t>(leads) * 3 * 5 >= text.size();
}

// Most special tokens begin with this; it is cheap to look for. (Llama 2's [INST] is none.)
bool spells_specials(std::string_view document, const Text& text) {
  if (document.find('<') == std::string_view::npos) return false;
  return text.encode(document, {.add_bos_eos = false, .parse_specials = true}) !=
         text.encode(document, {.add_bos_eos = false, .parse_specials = false});
}

Result<std::vector<std::string>> files_below(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    const bool hidden = at->path().filename().string().starts_with('.');
    std::error_code unknown;  // counts as none
    if (hidden && at->is_directory(unknown)) at.disable_recursion_pending();
    if (!hidden && at->is_regular_file(unknown)) files.push_back(at->path().string());
  }
  if (error) return fail("{}: {}", path, error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<std::unique_ptr<tasks::TextSource>> load_documents(std::span<const std::string> paths,
                                                          const Text& text) {
  std::vector<Documents::File> files;
  std::vector<Document> kinds;
  uint64_t bytes = 0;
  for (const std::string& path : paths) {
    auto below = files_below(path);
    if (!below) return pass(below);
    for (const std::string& file : *below) {
      auto content = core::read_text_file(file, kBytesMax);
      if (!content) return pass(content);
      if (content->empty() || bytes + content->size() > kBytesMax || spells_specials(*content, text))
        continue;
      bytes += content->size();
      Document document;
      if (is_code(file)) document.kind = tasks::TextKind::kCode;
      if (is_chinese(*content)) document.language = tasks::Language::kChinese;
      kinds.push_back(document);
      files.push_back({fs::path(file).filename().string(), std::move(*content)});
    }
  }
  auto documents = std::make_unique<Documents>(std::move(files), kinds);
  if (documents->size() == 0) return fail("{}: no UTF-8 text to make contexts of", paths[0]);
  return documents;
}

}  // namespace mneme::engine

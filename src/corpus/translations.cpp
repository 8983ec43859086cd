#include "corpus/translations.h"

#include <algorithm>

namespace mneme::corpus {

namespace {

// The contents of "..." with its escapes resolved; empty where there is none.
std::string unquote(std::string_view line) {
  const size_t begin = line.find('"');
  const size_t end = line.rfind('"');
  std::string out;
  if (begin == std::string_view::npos || end <= begin) return out;
  for (size_t at = begin + 1; at < end; at++) {
    if (line[at] != '\\' || at + 1 == end) {
      out += line[at];
      continue;
    }
    const char c = line[++at];
    out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
  }
  return out;
}

class Catalogue {
 public:
  void line(std::string_view line);
  std::string finish() {
    end_entry();
    return std::move(out_);
  }

 private:
  enum class Field { kNone, kId, kTranslation };
  void end_entry();

  std::string out_;
  std::string id_;
  std::string translation_;
  Field field_ = Field::kNone;
  bool is_fuzzy_ = false;
};

void Catalogue::end_entry() {
  // Short ones are labels of buttons: no language to learn from.
  constexpr size_t kBytesMin = 18;
  if (!id_.empty() && !is_fuzzy_ && translation_.size() >= kBytesMin && translation_ != id_) {
    std::erase(translation_, '_');
    const bool is_long = translation_.find('\n') != std::string::npos;
    out_ += translation_;
    out_ += is_long ? "\n\n" : "\n";
  }
  id_.clear();
  translation_.clear();
  field_ = Field::kNone;
  is_fuzzy_ = false;
}

void Catalogue::line(std::string_view line) {
  if (line.starts_with("#")) {
    if (field_ == Field::kTranslation) end_entry();
    if (line.starts_with("#,") && line.find("fuzzy") != std::string_view::npos) is_fuzzy_ = true;
    return;
  }
  if (line.starts_with("msgid ")) {
    const bool fuzzy = is_fuzzy_ && field_ == Field::kNone;
    if (field_ != Field::kNone) end_entry();
    is_fuzzy_ = fuzzy;
    field_ = Field::kId;
    id_ = unquote(line);
  } else if (line.starts_with("msgstr ") || line.starts_with("msgstr[0]")) {
    field_ = Field::kTranslation;
    translation_ = unquote(line);
  } else if (line.starts_with("\"")) {
    if (field_ == Field::kId) id_ += unquote(line);
    if (field_ == Field::kTranslation) translation_ += unquote(line);
  } else if (line.empty()) {
    end_entry();
  }
}

}  // namespace

std::string po_to_text(std::string_view catalogue) {
  Catalogue out;
  while (!catalogue.empty()) {
    const size_t end = std::min(catalogue.find('\n'), catalogue.size());
    std::string_view line = catalogue.substr(0, end);
    catalogue.remove_prefix(std::min(end + 1, catalogue.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    out.line(line);
  }
  return out.finish();
}

}  // namespace mneme::corpus

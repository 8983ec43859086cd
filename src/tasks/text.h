// Where the natural text of samples comes from. Nothing is copied: documents are views, drawn millions of
// times.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"

namespace mneme::tasks {

enum class Language : uint8_t { kEnglish, kChinese };
enum class TextKind : uint8_t { kProse, kCode };

// Views live as long as what the source was made of.
struct Document {
  std::string_view name;
  std::string_view text;  // UTF-8
  TextKind kind = TextKind::kProse;
  Language language = Language::kEnglish;
};

class TextSource {
 public:
  virtual ~TextSource() = default;
  // A document of this kind and language, or the nearest the source has (another language, then another
  // kind); empty text where the source has none. Safe from many threads.
  virtual Document pick(core::Rng& rng, TextKind kind, Language language) const = 0;
};

// Documents of the caller's, who keeps their bytes alive. A document is drawn in proportion to its bytes.
// Documents that are empty or not UTF-8 are left out and counted.
class InMemoryText : public TextSource {
 public:
  explicit InMemoryText(std::vector<Document> documents);
  Document pick(core::Rng& rng, TextKind kind, Language language) const override;
  size_t size() const { return documents_.size(); }
  size_t left_out() const { return left_out_; }

 private:
  struct Group {
    std::vector<uint32_t> members;  // into documents_
    std::vector<uint64_t> ends;     // cumulative bytes, one a member
  };
  const Group& nearest(TextKind kind, Language language) const;

  std::vector<Document> documents_;
  std::array<Group, 4> groups_;  // [kind, language]
  size_t left_out_ = 0;
};

// Built-in sentences and functions, for where there is no corpus: made once from the seed, then views as any
// other.
class SyntheticText : public TextSource {
 public:
  // bytes_each: of each kind and language; a longer context repeats documents.
  explicit SyntheticText(uint64_t seed, size_t bytes_each = size_t{1} << 19);
  Document pick(core::Rng& rng, TextKind kind, Language language) const override;

 private:
  struct Made {
    std::string name;
    std::string text;
  };
  std::array<std::vector<Made>, 4> made_;  // [kind, language]
};

}  // namespace mneme::tasks

// A file of documents (docs/formats/corpus.md): reading by index, writing in one go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/pending_file.h"

namespace mneme::corpus {

// Numbers as in the file.
enum class Kind : uint8_t { kProse = 0, kCode = 1 };
enum class Language : uint8_t { kEnglish = 0, kChinese = 1 };  // of code: kEnglish

std::string_view name_of(Kind kind);          // "prose", "code"
std::string_view name_of(Language language);  // "en", "zh"

// What the file says about one document. Views live as long as the Documents they come from.
struct Document {
  std::string_view name;  // PACKAGE/PATH
  Kind kind = Kind::kProse;
  Language language = Language::kEnglish;
  uint16_t package = 0;   // row of manifest.tsv
  std::string_view text;  // UTF-8
};

// An open file of documents. Immutable, thread safe; moving it keeps the views.
class Documents {
 public:
  // Fails, naming the file, for anything that is not whole: a wrong magic or version, another length than the
  // header says, an index that does not hold together. Texts are not read: verify() does that.
  static Result<Documents> open(const std::string& path);

  size_t size() const { return count_; }
  Document operator[](size_t i) const;
  uint64_t text_bytes() const { return text_bytes_; }
  const std::string& path() const { return mapping_.path(); }
  // Reads every text and compares it with its checksum.
  Result<void> verify() const;

 private:
  explicit Documents(core::Mapping mapping) : mapping_(std::move(mapping)) {}
  Result<void> check();

  core::Mapping mapping_;
  size_t count_ = 0;
  uint64_t text_bytes_ = 0;
  const std::byte* index_ = nullptr;  // [count] entries
  const char* names_ = nullptr;
};

// A reader sees a whole file or none (core/pending_file.h). Not thread safe.
class DocumentsWriter {
 public:
  static Result<DocumentsWriter> create(const std::string& path);

  // Names of at most 65535 bytes, texts below 4 GiB: anything else is a bug. A full disk shows in finish().
  void add(const Document& document);
  Result<void> finish();

 private:
  explicit DocumentsWriter(core::PendingFile file) : file_(std::move(file)) {}
  void put(std::string_view bytes);
  void flush();

  core::PendingFile file_;
  Result<void> written_well_;  // the first error: nothing is written after it
  std::string buffer_;
  uint64_t written_ = 0;  // bytes, of the buffer too
  uint64_t count_ = 0;
  std::string index_;
  std::string names_;
};

}  // namespace mneme::corpus

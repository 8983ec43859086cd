#include "corpus/documents.h"

#include <cstring>
#include <limits>

#include "core/hash.h"

namespace mneme::corpus {

using core::fail;
using core::pass;

namespace {

// docs/formats/corpus.md, "Documents".
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t count;
  uint64_t text_bytes;
  uint64_t index_offset;
  uint64_t names_offset;
  uint64_t file_bytes;
  uint64_t checksum;  // of the index and the names, seeded with the hash of the header before this field
};
static_assert(sizeof(Header) == 64);

struct Entry {
  uint64_t text_offset;
  uint64_t text_hash;
  uint32_t text_size;
  uint32_t name_offset;  // from names_offset
  uint16_t name_size;
  uint16_t package;
  uint8_t kind;
  uint8_t language;
  uint16_t reserved;
};
static_assert(sizeof(Entry) == 32);

constexpr char kMagic[8] = {'M', 'N', 'E', 'M', 'D', 'O', 'C', 'S'};
constexpr uint32_t kVersion = 1;
constexpr size_t kBufferBytes = size_t{1} << 20;

uint64_t checksum_of(const Header& header, std::span<const std::byte> tables) {
  const auto before = std::as_bytes(std::span(&header, 1)).first(offsetof(Header, checksum));
  return core::hash64(tables, core::hash64(before));
}

Entry entry_at(const std::byte* index, size_t i) {
  Entry entry;
  std::memcpy(&entry, index + i * sizeof(Entry), sizeof(Entry));
  return entry;
}

bool plausible(const Header& header, uint64_t file_bytes) {
  return header.file_bytes == file_bytes && header.index_offset >= sizeof(Header) &&
         header.index_offset <= file_bytes && header.text_bytes == header.index_offset - sizeof(Header) &&
         header.count <= (file_bytes - header.index_offset) / sizeof(Entry) &&
         header.names_offset == header.index_offset + header.count * sizeof(Entry);
}

}  // namespace

std::string_view name_of(Kind kind) { return kind == Kind::kCode ? "code" : "prose"; }
std::string_view name_of(Language language) { return language == Language::kChinese ? "zh" : "en"; }

Result<Documents> Documents::open(const std::string& path) {
  auto mapping = core::Mapping::open(path);
  if (!mapping) return pass(mapping);
  Documents documents(std::move(*mapping));
  auto checked = documents.check();
  if (!checked) return pass(checked);
  return documents;
}

Result<void> Documents::check() {
  const auto bytes = mapping_.bytes();
  Header header;
  if (bytes.size() < sizeof(Header)) return fail("{}: too short to be a corpus", path());
  std::memcpy(&header, bytes.data(), sizeof(Header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return fail("{}: not a corpus", path());
  if (header.version != kVersion) {
    return fail("{}: corpus version {}, this program reads {}", path(), header.version, kVersion);
  }
  if (!plausible(header, bytes.size())) {
    return fail("{}: damaged: {} bytes, the header says {}", path(), bytes.size(), header.file_bytes);
  }
  if (checksum_of(header, bytes.subspan(header.index_offset)) != header.checksum) {
    return fail("{}: damaged: the index does not have its checksum", path());
  }
  const uint64_t names_bytes = bytes.size() - header.names_offset;
  index_ = bytes.data() + header.index_offset;
  names_ = reinterpret_cast<const char*>(bytes.data() + header.names_offset);
  for (uint64_t i = 0; i < header.count; i++) {
    const Entry entry = entry_at(index_, i);
    const bool text_fits = entry.text_offset >= sizeof(Header) && entry.text_offset <= header.index_offset &&
                           entry.text_size <= header.index_offset - entry.text_offset;
    const bool name_fits = uint64_t{entry.name_offset} + entry.name_size <= names_bytes;
    if (!text_fits || !name_fits || entry.kind > 1 || entry.language > 1) {
      return fail("{}: damaged: document {} is not what the format allows", path(), i);
    }
  }
  count_ = header.count;
  text_bytes_ = header.text_bytes;
  return {};
}

Document Documents::operator[](size_t i) const {
  MNEME_CHECK(i < count_, "document {} of {}", i, count_);
  const Entry entry = entry_at(index_, i);
  const char* base = reinterpret_cast<const char*>(mapping_.bytes().data());
  return {{names_ + entry.name_offset, entry.name_size},
          static_cast<Kind>(entry.kind),
          static_cast<Language>(entry.language),
          entry.package,
          {base + entry.text_offset, entry.text_size}};
}

Result<void> Documents::verify() const {
  for (size_t i = 0; i < count_; i++) {
    const Document document = (*this)[i];
    if (core::hash64(std::as_bytes(std::span(document.text))) != entry_at(index_, i).text_hash) {
      return fail("{}: damaged: document {} ({}) does not have its checksum", path(), i, document.name);
    }
  }
  return {};
}

Result<DocumentsWriter> DocumentsWriter::create(const std::string& path) {
  auto file = core::PendingFile::create(path);
  if (!file) return pass(file);
  DocumentsWriter writer(std::move(*file));
  writer.put(std::string(sizeof(Header), '\0'));
  return writer;
}

void DocumentsWriter::put(std::string_view bytes) {
  buffer_ += bytes;
  written_ += bytes.size();
  if (buffer_.size() >= kBufferBytes) flush();
}

void DocumentsWriter::flush() {
  if (written_well_) written_well_ = file_.append(std::as_bytes(std::span(buffer_)));
  buffer_.clear();
}

void DocumentsWriter::add(const Document& document) {
  MNEME_CHECK(document.name.size() <= std::numeric_limits<uint16_t>::max(), "{}", document.name.size());
  MNEME_CHECK(document.text.size() <= std::numeric_limits<uint32_t>::max(), "{}", document.text.size());
  MNEME_CHECK(names_.size() + document.name.size() <= std::numeric_limits<uint32_t>::max());
  const Entry entry{written_,
                    core::hash64(std::as_bytes(std::span(document.text))),
                    static_cast<uint32_t>(document.text.size()),
                    static_cast<uint32_t>(names_.size()),
                    static_cast<uint16_t>(document.name.size()),
                    document.package,
                    static_cast<uint8_t>(document.kind),
                    static_cast<uint8_t>(document.language),
                    0};
  index_.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  names_.append(document.name);
  put(document.text);
  count_++;
}

Result<void> DocumentsWriter::finish() {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.count = count_;
  header.text_bytes = written_ - sizeof(Header);
  header.index_offset = written_;
  header.names_offset = written_ + index_.size();
  header.file_bytes = header.names_offset + names_.size();
  const std::string tables = index_ + names_;
  header.checksum = checksum_of(header, std::as_bytes(std::span(tables)));
  put(tables);
  flush();
  if (!written_well_) return written_well_;
  if (auto done = file_.overwrite(0, std::as_bytes(std::span(&header, 1))); !done) return done;
  return file_.commit();
}

}  // namespace mneme::corpus

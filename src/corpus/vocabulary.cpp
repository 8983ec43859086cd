#include "corpus/vocabulary.h"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <filesystem>
#include <unordered_map>

#include "core/file.h"
#include "core/hash.h"
#include "core/pending_file.h"
#include "model/gguf.h"
#include "model/tokenizer_vocabulary.h"

namespace mneme::corpus {

using core::fail;
using core::pass;

namespace {

constexpr int kReservedMin = 20;
constexpr int kLearnedFromSize = 512;
constexpr int kSizeMax = 1 << 20;
constexpr int kSpecialCount = static_cast<int>(std::size(kSpecials));
constexpr std::string_view kMagic = "mneme-bpe 1";
constexpr std::string_view kChecksum = "checksum ";

std::string spell(std::string_view bytes) {
  std::string spelled;
  model::append_byte_level(bytes, spelled);
  return spelled;
}

// <tool_call> and the like are part of what a model says and are shown; <|im_end|> and its kin are not.
model::TokenType type_of_special(std::string_view text) {
  if (text.starts_with("<|reserved_")) return model::TokenType::kUnused;
  return text.starts_with("<|") ? model::TokenType::kControl : model::TokenType::kUserDefined;
}

// Takes the next line off `text`; false where there is no whole line left.
bool take_line(std::string_view& text, std::string_view& line) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

// "NAME NUMBER", with a number from 0 to the largest size.
std::optional<int> number_after(std::string_view line, std::string_view name) {
  if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') return std::nullopt;
  line.remove_prefix(name.size() + 1);
  int value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  if (value < 0 || value > kSizeMax) return std::nullopt;
  return value;
}

std::string checksum_text(std::string_view body) {
  return fmt::format("{:016x}", core::hash64(std::as_bytes(std::span(body))));
}

// Merges by their spellings, "left right", one after the other.
class MergeReader {
 public:
  MergeReader() {
    for (int byte = 0; byte < kByteCount; byte++) {
      const char raw = static_cast<char>(byte);
      ids_.emplace(spell({&raw, 1}), byte);
    }
  }

  Result<void> add(std::string_view line, std::string_view path) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos)
      return fail("{}: merge {}, \"{}\", is not a pair", path, merges_.size(), line);
    const std::string left(line.substr(0, space));
    const std::string right(line.substr(space + 1));
    const auto left_id = ids_.find(left);
    const auto right_id = ids_.find(right);
    if (left_id == ids_.end() || right_id == ids_.end())
      return fail("{}: merge {}, \"{}\", joins what no merge before it made", path, merges_.size(), line);
    merges_.push_back({left_id->second, right_id->second});
    ids_.emplace(left + right, static_cast<TokenId>(ids_.size()));
    return {};
  }

  const std::vector<Merge>& merges() const { return merges_; }

 private:
  std::unordered_map<std::string, TokenId> ids_;  // by spelling
  std::vector<Merge> merges_;
};

// What a token is called in files.
std::string file_text(const Vocabulary& vocabulary, TokenId id) {
  return vocabulary.is_special(id) ? std::string(vocabulary.bytes(id)) : spell(vocabulary.bytes(id));
}

// As Vocabulary::add_to() wrote it.
Result<Vocabulary> from_model(const std::string& path) {
  auto file = model::Gguf::open(path);
  if (!file) return pass(file);
  auto tokens = file->require_array("tokenizer.ggml.tokens", model::MetaType::kString);
  auto pairs = file->require_array("tokenizer.ggml.merges", model::MetaType::kString);
  if (!tokens) return pass(tokens);
  if (!pairs) return pass(pairs);
  MergeReader reader;
  for (const std::string_view pair : (*pairs)->strings) {
    if (auto added = reader.add(pair, path); !added) return pass(added);
  }
  auto vocabulary = Vocabulary::make(reader.merges(),
                                     static_cast<int>(std::min<uint64_t>((*tokens)->count, kSizeMax)));
  if (!vocabulary) return fail("{}: {}", path, vocabulary.error().message);
  for (TokenId id = 0; id < vocabulary->size(); id++) {
    const std::string_view there = (*tokens)->strings[static_cast<size_t>(id)];
    if (there != file_text(*vocabulary, id))
      return fail("{}: not a vocabulary of ours: token {} is \"{}\"", path, id, there);
  }
  return vocabulary;
}

}  // namespace

int Vocabulary::learned_max(int size) {
  return size < kLearnedFromSize ? 0 : size - kByteCount - kSpecialCount - kReservedMin;
}

Result<Vocabulary> Vocabulary::make(std::span<const Merge> merges, int size) {
  if (size < kByteCount + kSpecialCount || size > kSizeMax) return fail("a vocabulary of {} tokens", size);
  Vocabulary vocabulary;
  auto& bytes = vocabulary.bytes_;
  std::unordered_map<std::string, TokenId> ids;
  for (int byte = 0; byte < kByteCount; byte++) {
    bytes.emplace_back(1, static_cast<char>(byte));
    ids.emplace(bytes.back(), byte);
  }
  const size_t learned_end = static_cast<size_t>(kByteCount + learned_max(size));
  for (const Merge& merge : merges) {
    const TokenId count = static_cast<TokenId>(bytes.size());
    if (merge.left < 0 || merge.right < 0 || merge.left >= count || merge.right >= count) {
      return fail("merge {} joins {} and {} of {} tokens", vocabulary.merges_.size(), merge.left, merge.right,
                  count);
    }
    std::string joined = bytes[static_cast<size_t>(merge.left)] + bytes[static_cast<size_t>(merge.right)];
    const bool is_new = !ids.contains(joined);
    if (is_new && bytes.size() == learned_end) break;
    if (is_new) {
      ids.emplace(joined, count);
      bytes.push_back(std::move(joined));
    }
    vocabulary.merges_.push_back(merge);
  }
  vocabulary.specials_begin_ = static_cast<int>(bytes.size());
  for (const std::string_view special : kSpecials) bytes.emplace_back(special);
  for (int i = 0; vocabulary.size() < size; i++) bytes.push_back(fmt::format("<|reserved_{}|>", i));
  return vocabulary;
}

std::optional<TokenId> Vocabulary::special(std::string_view text) const {
  for (TokenId id = specials_begin_; id < size(); id++) {
    if (bytes(id) == text) return id;
  }
  return std::nullopt;
}

std::string Vocabulary::to_text() const {
  std::string text = fmt::format("{}\npretokenizer {}\nsize {}\nmerges {}\n", kMagic, kPretokenizer, size(),
                                 merges_.size());
  for (const Merge& merge : merges_) {
    text += fmt::format("{} {}\n", spell(bytes(merge.left)), spell(bytes(merge.right)));
  }
  text += fmt::format("specials {}\n", size() - specials_begin_);
  for (TokenId id = specials_begin_; id < size(); id++) text += fmt::format("{}\n", bytes(id));
  return text + fmt::format("{}{}\n", kChecksum, checksum_text(text));
}

Result<Vocabulary> Vocabulary::parse(std::string_view text, std::string_view path) {
  const size_t body = text.rfind(kChecksum);
  if (!text.starts_with(kMagic)) return fail("{}: not a vocabulary of version 1", path);
  if (body == std::string_view::npos ||
      text.substr(body + kChecksum.size()) != checksum_text(text.substr(0, body)) + "\n") {
    return fail("{}: damaged: it does not have its checksum", path);
  }
  std::string_view line;
  const auto next_number = [&](std::string_view name) -> std::optional<int> {
    return take_line(text, line) ? number_after(line, name) : std::nullopt;
  };
  if (!take_line(text, line) || line != kMagic) return fail("{}: not a vocabulary of version 1", path);
  if (!take_line(text, line) || line != fmt::format("pretokenizer {}", kPretokenizer)) {
    return fail("{}: \"{}\" where the pre-tokeniser {} was expected", path, line, kPretokenizer);
  }
  const auto size = next_number("size");
  const auto count = next_number("merges");
  if (!size || !count) return fail("{}: \"{}\" where a size was expected", path, line);
  MergeReader reader;
  for (int i = 0; i < *count; i++) {
    if (!take_line(text, line)) return fail("{}: ends at merge {} of {}", path, i, *count);
    if (auto added = reader.add(line, path); !added) return pass(added);
  }
  const std::vector<Merge>& merges = reader.merges();
  auto vocabulary = make(merges, *size);
  if (!vocabulary) return fail("{}: {}", path, vocabulary.error().message);
  if (next_number("specials") != vocabulary->size() - vocabulary->specials_begin() ||
      vocabulary->merges().size() != merges.size()) {
    return fail("{}: \"{}\" does not go with {} tokens", path, line, *size);
  }
  for (TokenId id = vocabulary->specials_begin(); id < vocabulary->size(); id++) {
    if (!take_line(text, line) || line != vocabulary->bytes(id)) {
      return fail("{}: \"{}\" where {} was expected", path, line, vocabulary->bytes(id));
    }
  }
  return vocabulary;
}

Result<Vocabulary> Vocabulary::read(const std::string& path) {
  if (path.ends_with(".gguf")) return from_model(path);
  auto text = core::read_text_file(path, uint64_t{1} << 28);
  if (!text) return pass(text);
  return parse(*text, path);
}

Result<void> Vocabulary::write(const std::string& path) const { return core::write_file(path, to_text()); }

void Vocabulary::add_to(model::GgufWriter& writer) const {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  for (TokenId id = 0; id < size(); id++) {
    texts.push_back(file_text(*this, id));
    const auto type = is_special(id) ? type_of_special(bytes(id)) : model::TokenType::kNormal;
    types.push_back(static_cast<int32_t>(type));
  }
  std::vector<std::string> pairs;
  for (const Merge& merge : merges_)
    pairs.push_back(spell(bytes(merge.left)) + " " + spell(bytes(merge.right)));
  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", kPretokenizer);
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(texts));
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string>(pairs));
  const auto add_id = [&](std::string_view key, std::string_view special_text) {
    const auto id = special(special_text);
    MNEME_CHECK(id.has_value(), "{}", special_text);
    writer.add(fmt::format("tokenizer.ggml.{}_token_id", key), static_cast<uint32_t>(*id));
  };
  add_id("bos", "<|endoftext|>");
  add_id("eos", "<|im_end|>");
  add_id("eot", "<|im_end|>");
  add_id("padding", "<|endoftext|>");
  add_id("fim_pre", "<|fim_prefix|>");
  add_id("fim_suf", "<|fim_suffix|>");
  add_id("fim_mid", "<|fim_middle|>");
  writer.add("tokenizer.ggml.add_bos_token", false);
  writer.add("tokenizer.chat_template", chat_template());
}

Result<model::Tokenizer> Vocabulary::tokenizer() const {
  static std::atomic<int> count = 0;
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  if (error) return fail("no temporary folder: {}", error.message());
  const std::string path = folder / fmt::format("mneme-vocabulary-{}-{}.gguf", ::getpid(), count++);
  model::GgufWriter writer;
  add_to(writer);
  auto written = writer.write(path);
  if (!written) return pass(written);
  auto file = model::Gguf::open(path);
  std::filesystem::remove(path, error);
  if (!file) return pass(file);
  return model::Tokenizer::load(*file);
}

}  // namespace mneme::corpus

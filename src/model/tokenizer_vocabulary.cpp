#include "model/tokenizer_vocabulary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "core/utf8.h"

namespace mneme::model {

using core::fail;
using core::pass;

namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";

// A chain this long does not arise by chance in a table that is half empty: the file was made to be slow.
constexpr size_t kProbesMax = 4096;

template <class Word>
Word load_word(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof(Word));
  return word;
}

// Multiply-and-fold over words of eight bytes. Own and inline, because tokens are 1 to 16 bytes long and half
// a million of them are hashed before the first token can be computed. Never stored.
inline uint64_t hash_text(std::string_view text) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
  const char* at = text.data();
  size_t left = text.size();
  uint64_t hash = left * kOdd;
  const auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 29;
  };
  for (; left >= 8; at += 8, left -= 8) {
    mix(load_word<uint64_t>(at));
  }
  if (left >= 4) {
    mix(uint64_t{load_word<uint32_t>(at)} << 32 | load_word<uint32_t>(at + left - 4));
  } else if (left > 0) {
    const auto byte = [&](size_t i) { return uint64_t{static_cast<uint8_t>(at[i])}; };
    mix(byte(0) << 16 | byte(left / 2) << 8 | byte(left - 1));
  }
  hash *= kOdd;
  return hash ^ hash >> 32;
}

struct ByteAlphabet {
  std::array<char32_t, 256> letter{};
  std::array<int16_t, 0x144> byte{};  // of a letter, or -1
};

constexpr ByteAlphabet make_alphabet() {
  ByteAlphabet alphabet;
  for (int16_t& byte : alphabet.byte) byte = -1;
  char32_t next_stand_in = 0x100;
  for (uint32_t b = 0; b < 256; b++) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    alphabet.letter[b] = printable ? b : next_stand_in++;
    alphabet.byte[alphabet.letter[b]] = static_cast<int16_t>(b);
  }
  return alphabet;
}

constexpr ByteAlphabet kAlphabet = make_alphabet();

// Both write at most as many bytes to `out` as `text` has, and return the end of what they wrote.

// Letters outside the alphabet keep their UTF-8 bytes: tokens added by hand are often spelled plainly.
char* write_byte_level_decoded(std::string_view text, char* out) {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<uint8_t>(text[at]);
    if (lead < 0x80) {
      *out++ = text[at++];  // the ASCII letters of the alphabet stand for themselves
      continue;
    }
    const core::Utf8Char next = core::decode_utf8(text.substr(at));
    const bool known = next.valid && next.code_point < kAlphabet.byte.size() &&
                       kAlphabet.byte[next.code_point] >= 0;
    if (known) {
      *out++ = static_cast<char>(kAlphabet.byte[next.code_point]);
    } else {
      out = std::copy_n(text.data() + at, next.length, out);
    }
    at += next.length;
  }
  return out;
}

char* write_spaces_for_underlines(std::string_view text, char* out) {
  constexpr std::string_view kUnderline = "\xE2\x96\x81";  // U+2581
  for (size_t at = 0; at < text.size();) {
    const bool underline = text[at] == kUnderline[0] && text.substr(at, kUnderline.size()) == kUnderline;
    *out++ = underline ? ' ' : text[at];
    at += underline ? kUnderline.size() : 1;
  }
  return out;
}

// "<0x0A>" -> 10.
std::optional<uint8_t> spelled_byte(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  const size_t high = kDigits.find(text[3]);
  const size_t low = kDigits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

}  // namespace

char32_t byte_to_letter(uint8_t byte) { return kAlphabet.letter[byte]; }

void append_byte_level(std::string_view bytes, std::string& spelled) {
  for (const char c : bytes) {
    const char32_t letter = byte_to_letter(static_cast<uint8_t>(c));
    if (letter < 0x80) {
      spelled.push_back(static_cast<char>(letter));
    } else {
      spelled.push_back(static_cast<char>(0xC0 | letter >> 6));
      spelled.push_back(static_cast<char>(0x80 | (letter & 0x3F)));
    }
  }
}

Result<Vocabulary> Vocabulary::load(const Gguf& file, Spelling spelling) {
  Vocabulary vocabulary;
  auto tokens = vocabulary.read_tokens(file);
  if (!tokens) return pass(tokens);
  auto types = vocabulary.read_types(file);
  if (!types) return pass(types);
  vocabulary.spell_out(spelling);
  auto indexed = vocabulary.build_index(file.path());
  if (!indexed) return pass(indexed);
  return vocabulary;
}

Result<void> Vocabulary::read_tokens(const Gguf& file) {
  const auto tokens = file.require_array(kTokensKey, MetaType::kString);
  if (!tokens) return tl::unexpected(tokens.error());
  const std::vector<std::string_view>& strings = (*tokens)->strings;
  uint64_t bytes = 0;
  for (const std::string_view text : strings) bytes += text.size();
  // Pieces are never longer than spellings, so 32-bit offsets hold for both.
  if (bytes > std::numeric_limits<uint32_t>::max())
    return fail("{}: {}: more than 4 GiB", file.path(), kTokensKey);
  constexpr size_t kTokensMax = size_t{1} << 28;
  if (strings.empty() || strings.size() > kTokensMax) {
    return fail("{}: {}: {} tokens", file.path(), kTokensKey, strings.size());
  }
  texts_.reserve(bytes);
  text_begin_.reserve(strings.size() + 1);
  text_begin_.push_back(0);
  for (const std::string_view text : strings) {
    texts_.append(text);
    text_begin_.push_back(static_cast<uint32_t>(texts_.size()));
  }
  return {};
}

Result<void> Vocabulary::read_types(const Gguf& file) {
  const size_t count = text_begin_.size() - 1;
  types_.assign(count, TokenType::kNormal);
  const auto found = file.get_array(kTypesKey, MetaType::kI32);
  if (!found) return tl::unexpected(found.error());
  if (*found == nullptr) return {};
  const MetaArray& array = **found;
  if (array.count != count)
    return fail("{}: {}: {} types for {} tokens", file.path(), kTypesKey, array.count, count);
  for (size_t i = 0; i < count; i++) {
    const auto type = element_at<int32_t>(array, i);
    if (type < 0 || type > 6)
      return fail("{}: {}: token {} has the unknown type {}", file.path(), kTypesKey, i, type);
    if (type != 0) types_[i] = static_cast<TokenType>(type);  // 0: "undefined", which writers use for normal
  }
  return {};
}

void Vocabulary::spell_out(Spelling spelling) {
  pieces_.resize(texts_.size());
  piece_begin_.reserve(text_begin_.size());
  char* out = pieces_.data();
  for (TokenId id = 0; id < size(); id++) {
    piece_begin_.push_back(static_cast<uint32_t>(out - pieces_.data()));
    const std::string_view spelled = text(id);
    const TokenType kind = type(id);
    const bool byte_level = spelling == Spelling::kByteLevel;
    const bool plain = kind == TokenType::kControl || kind == TokenType::kUnknown ||
                       (byte_level && kind == TokenType::kUserDefined);
    if (plain) {
      out = std::copy(spelled.begin(), spelled.end(), out);
    } else if (byte_level) {
      out = write_byte_level_decoded(spelled, out);
    } else if (const auto byte = kind == TokenType::kByte ? spelled_byte(spelled) : std::nullopt) {
      *out++ = static_cast<char>(*byte);
    } else {
      out = write_spaces_for_underlines(spelled, out);
    }
  }
  pieces_.resize(static_cast<size_t>(out - pieces_.data()));
  piece_begin_.push_back(static_cast<uint32_t>(pieces_.size()));
}

Result<void> Vocabulary::build_index(const std::string& path) {
  index_.assign(std::bit_ceil(types_.size() * 2), 0);
  const size_t mask = index_.size() - 1;
  for (TokenId id = 0; id < size(); id++) {
    const uint64_t hash = hash_text(text(id));
    const uint64_t entry = (hash & ~uint64_t{0xFFFFFFFF}) | (static_cast<uint32_t>(id) + 1);
    size_t slot = hash & mask;
    size_t probes = 0;
    bool twin = false;  // spelled like an earlier token, which keeps the name
    while (index_[slot] != 0 && !twin) {
      const uint64_t other = index_[slot];
      twin = other >> 32 == entry >> 32 && text(static_cast<TokenId>(other & 0xFFFFFFFF) - 1) == text(id);
      slot = (slot + 1) & mask;
      if (++probes > kProbesMax) return fail("{}: {}: too many tokens share a hash", path, kTokensKey);
    }
    if (!twin) index_[slot] = entry;
    has_twins_ |= twin;
  }
  return {};
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const TokenId id = find_hashed(text, hash_text(text));
  return id < 0 ? std::nullopt : std::optional(id);
}

TokenId Vocabulary::find_hashed(std::string_view wanted, uint64_t hash) const {
  const size_t mask = index_.size() - 1;
  for (size_t slot = hash & mask; index_[slot] != 0; slot = (slot + 1) & mask) {
    if (index_[slot] >> 32 != hash >> 32) continue;
    const TokenId id = static_cast<TokenId>(index_[slot] & 0xFFFFFFFF) - 1;
    if (text(id) == wanted) return id;
  }
  return -1;
}

void Vocabulary::find_all(std::span<const std::string_view> wanted, std::span<TokenId> ids) const {
  // A search is three dependent reads (slot, offset, text), each a cache miss: made in three passes over a
  // batch, the misses of a pass overlap. The first two passes only guess that the first slot is the right
  // one.
  constexpr size_t kBatch = 64;
  const size_t mask = index_.size() - 1;
  std::array<uint64_t, kBatch> hashes;
  for (size_t begin = 0; begin < wanted.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, wanted.size() - begin);
    for (size_t i = 0; i < count; i++) {
      hashes[i] = hash_text(wanted[begin + i]);
      __builtin_prefetch(&index_[hashes[i] & mask]);
    }
    for (size_t i = 0; i < count; i++)
      __builtin_prefetch(&text_begin_[index_[hashes[i] & mask] & 0xFFFFFFFF]);
    for (size_t i = 0; i < count; i++) {
      const uint64_t id_plus_one = index_[hashes[i] & mask] & 0xFFFFFFFF;
      __builtin_prefetch(texts_.data() + text_begin_[id_plus_one]);
    }
    for (size_t i = 0; i < count; i++) ids[begin + i] = find_hashed(wanted[begin + i], hashes[i]);
  }
}

}  // namespace mneme::model

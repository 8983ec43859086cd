#include "model/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/utf8.h"

namespace mneme::model {

using core::fail;

namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr size_t kProbesMax = 4096;  // see Vocabulary: only a file made to be slow gets there

uint64_t hash_pair(uint64_t pair) {
  uint64_t hash = pair * 0x9E3779B97F4A7C15u;
  hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u;
  return hash ^ hash >> 32;
}

uint64_t pair_of(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

// Where merges are read and looked up together, so that their cache misses overlap.
constexpr size_t kBatch = 64;

// Control tokens are only ever meant, never written: plain text must not become one. And user-defined tokens
// are spelled plainly, so that one which looks like the result of a merge may stand for other bytes.
bool may_be_merged_to(const Vocabulary& vocabulary, TokenId left, TokenId right, TokenId merged) {
  const TokenType type = vocabulary.type(merged);
  if (type == TokenType::kNormal) return true;
  if (type == TokenType::kControl || type == TokenType::kUnknown) return false;
  return vocabulary.piece(merged) == std::string(vocabulary.piece(left)).append(vocabulary.piece(right));
}

}  // namespace

// Finds the token that two others join to. Files list the results mostly in the order of their ids, so the
// last result and the id after it are tried first, unless a guess could hit the wrong one of two tokens that
// are spelled alike.
class Bpe::JoinedFinder {
 public:
  explicit JoinedFinder(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  TokenId find(std::string_view left, std::string_view right) {
    for (const TokenId guess : {last_, last_ + 1}) {
      if (!vocabulary_.contains(guess) || vocabulary_.has_twins()) continue;
      const std::string_view text = vocabulary_.text(guess);
      if (text.size() == left.size() + right.size() && text.starts_with(left) && text.ends_with(right)) {
        return last_ = guess;
      }
    }
    joined_.assign(left).append(right);
    const TokenId found = vocabulary_.find(joined_).value_or(-1);
    if (found >= 0) last_ = found;
    return found;
  }

 private:
  const Vocabulary& vocabulary_;
  std::string joined_;
  TokenId last_ = -1;
};

Result<Bpe> Bpe::load(const Gguf& file, const Vocabulary& vocabulary) {
  const auto found = file.require_array(kMergesKey, MetaType::kString);
  if (!found) return tl::unexpected(found.error());
  const std::vector<std::string_view>& texts = (*found)->strings;
  if (texts.size() >= MergeCandidate::kNone / 4) {
    return fail("{}: {}: {} merges", file.path(), kMergesKey, texts.size());
  }
  Bpe bpe;
  bpe.read_bytes(vocabulary);
  const size_t slots = std::bit_ceil(std::max<size_t>(texts.size() * 3 / 2, 2));
  auto memory = core::Arena::reserve(slots * sizeof(Merge));
  if (!memory) return tl::unexpected(memory.error());
  bpe.merges_memory_ = std::move(*memory);
  bpe.merges_ = bpe.merges_memory_.take_array<Merge>(slots);
  JoinedFinder joined(vocabulary);
  for (size_t begin = 0; begin < texts.size(); begin += kBatch) {
    const auto batch = std::span(texts).subspan(begin, std::min(kBatch, texts.size() - begin));
    auto read = bpe.read_batch(batch, static_cast<uint32_t>(begin), vocabulary, joined);
    if (!read) return fail("{}: {}: {}", file.path(), kMergesKey, read.error().message);
  }
  return bpe;
}

void Bpe::read_bytes(const Vocabulary& vocabulary) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    std::string letter;
    const char raw = static_cast<char>(byte);
    append_byte_level({&raw, 1}, letter);
    // A user-defined "\u00FF" is that character, not the byte it spells in the alphabet.
    const TokenId id = vocabulary.find(letter).value_or(-1);
    byte_tokens_[byte] = id >= 0 && vocabulary.piece(id) == std::string_view(&raw, 1) ? id : -1;
  }
  for (TokenId id = 0; id < vocabulary.size() && missing_byte_.empty(); id++) {
    if (vocabulary.type(id) == TokenType::kUnknown) missing_byte_.push_back(id);
  }
  if (!missing_byte_.empty()) return;
  for (const char byte : core::kReplacementCharacter)
    missing_byte_.push_back(byte_tokens_[static_cast<uint8_t>(byte)]);
  std::erase(missing_byte_, -1);
}

Result<void> Bpe::read_batch(std::span<const std::string_view> texts, uint32_t rank,
                             const Vocabulary& vocabulary, JoinedFinder& joined) {
  std::array<std::string_view, 2 * kBatch> parts;  // left, right, left, right, ...
  std::array<TokenId, 2 * kBatch> ids;
  for (size_t i = 0; i < texts.size(); i++) {
    const size_t space = texts[i].find(' ', 1);
    if (space == std::string_view::npos) return fail("merge {} has no space between two tokens", rank + i);
    parts[2 * i] = texts[i].substr(0, space);
    parts[2 * i + 1] = texts[i].substr(space + 1);
  }
  vocabulary.find_all(std::span(parts).first(2 * texts.size()), ids);
  std::array<Merge, kBatch> merges;
  for (size_t i = 0; i < texts.size(); i++) {
    const TokenId merged = joined.find(parts[2 * i], parts[2 * i + 1]);
    if (ids[2 * i] < 0 || ids[2 * i + 1] < 0 || merged < 0) {
      return fail("merge {} is not of two tokens of the vocabulary that join to a third", rank + i);
    }
    merges[i] = {pair_of(ids[2 * i], ids[2 * i + 1]), rank + static_cast<uint32_t>(i),
                 static_cast<uint32_t>(merged) + 1};
    __builtin_prefetch(&merges_[hash_pair(merges[i].pair) & (merges_.size() - 1)], 1);
  }
  for (size_t i = 0; i < texts.size(); i++) {
    const TokenId merged = static_cast<TokenId>(merges[i].merged_plus_one) - 1;
    if (!may_be_merged_to(vocabulary, ids[2 * i], ids[2 * i + 1], merged)) continue;
    if (!insert(merges[i])) return fail("too many merges share a hash");
  }
  return {};
}

bool Bpe::insert(const Merge& merge) {
  const size_t mask = merges_.size() - 1;
  size_t slot = hash_pair(merge.pair) & mask;
  for (size_t probes = 0; merges_[slot].merged_plus_one != 0; slot = (slot + 1) & mask) {
    if (merges_[slot].pair == merge.pair) return true;  // said before, with a better rank
    if (++probes > kProbesMax) return false;
  }
  merges_[slot] = merge;
  return true;
}

MergeCandidate Bpe::find(TokenId left, TokenId right) const {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = merges_.size() - 1;
  for (size_t slot = hash_pair(pair) & mask; merges_[slot].merged_plus_one != 0; slot = (slot + 1) & mask) {
    const Merge& merge = merges_[slot];
    if (merge.pair == pair) return {merge.rank, static_cast<TokenId>(merge.merged_plus_one) - 1};
  }
  return {};
}

void Bpe::prepare(Scratch& scratch, size_t bytes) {
  constexpr size_t kWordsMax = 8192;  // 320 KiB: stays in the second-level cache
  if (bytes >= 2048) scratch.words.assign(std::min(kWordsMax, std::bit_floor(bytes / 8)), {});
}

void Bpe::encode(const Vocabulary& vocabulary, std::string_view piece, bool whole_words, Scratch& scratch,
                 std::vector<TokenId>& out) const {
  using Word = Scratch::Word;
  if (scratch.words.empty() || piece.size() < 2 || piece.size() > Word::kBytesMax) {
    merge(vocabulary, piece, whole_words, scratch, out);
    return;
  }
  uint64_t first = 0;
  uint64_t last = 0;  // overlaps the first for short words, which does no harm
  const size_t half = std::min<size_t>(piece.size(), 8);
  std::memcpy(&first, piece.data(), half);
  std::memcpy(&last, piece.data() + piece.size() - half, half);
  const uint64_t hash = hash_pair(first * 0xD6E8FEB86659FD93u + last + piece.size());
  Word& word = scratch.words[hash & (scratch.words.size() - 1)];
  if (word.size == piece.size() && std::memcmp(word.bytes.data(), piece.data(), piece.size()) == 0) {
    out.insert(out.end(), word.tokens.begin(), word.tokens.begin() + word.token_count);
    return;
  }
  const size_t before = out.size();
  merge(vocabulary, piece, whole_words, scratch, out);
  const size_t count = out.size() - before;
  if (count > Word::kTokensMax) return;
  word.size = static_cast<uint8_t>(piece.size());
  word.token_count = static_cast<uint8_t>(count);
  std::copy(piece.begin(), piece.end(), word.bytes.begin());
  std::copy(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), word.tokens.begin());
}

void Bpe::merge(const Vocabulary& vocabulary, std::string_view piece, bool whole_words, Scratch& scratch,
                std::vector<TokenId>& out) const {
  if (whole_words) {
    scratch.spelled.clear();
    append_byte_level(piece, scratch.spelled);
    const auto whole = vocabulary.find(scratch.spelled);
    // Control tokens are only ever meant, never written: plain text must not become one.
    if (whole && vocabulary.type(*whole) == TokenType::kNormal) {
      out.push_back(*whole);
      return;
    }
  }
  std::vector<MergeSymbol>& symbols = scratch.merge.symbols;
  symbols.clear();
  for (uint32_t i = 0; i < piece.size(); i++) {
    symbols.push_back({i, 1, byte_tokens_[static_cast<uint8_t>(piece[i])]});
  }
  merge_symbols(scratch.merge, [this](const MergeSymbol& left, const MergeSymbol& right) {
    return find(left.id, right.id);
  });
  for (const MergeSymbol& symbol : symbols) {
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
    } else {
      out.insert(out.end(), missing_byte_.begin(), missing_byte_.end());
    }
  }
}

}  // namespace mneme::model

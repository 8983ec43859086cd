#include "model/sentencepiece.h"

#include <bit>
#include <cmath>

#include "core/utf8.h"

namespace mneme::model {

using core::fail;

namespace {

constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kUnderline = "\xE2\x96\x81";
constexpr char32_t kUnderlineCode = 0x2581;
constexpr char32_t kNoCharacter = 0x110000;  // a byte that is no UTF-8, or the text's border

// Order-preserving: a higher score gives a lower number. Never MergeCandidate::kNone, which only a NaN maps
// to.
uint32_t priority_of(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // + 0: -0 and 0 are equal
  const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

}  // namespace

Result<SentencePiece> SentencePiece::load(const Gguf& file, const Vocabulary& vocabulary) {
  const auto scores = file.require_array(kScoresKey, MetaType::kF32);
  if (!scores) return tl::unexpected(scores.error());
  const auto count = static_cast<size_t>(vocabulary.size());
  if ((*scores)->count != count) {
    return fail("{}: {}: {} scores for {} tokens", file.path(), kScoresKey, (*scores)->count, count);
  }
  SentencePiece model;
  model.priority_.assign(count, MergeCandidate::kNone);
  model.neighbours_.assign((size_t{1} << kNeighboursBits) / 64, 0);
  model.byte_tokens_.fill(-1);
  for (TokenId id = 0; id < vocabulary.size(); id++) {
    const float score = element_at<float>(**scores, static_cast<size_t>(id));
    if (std::isnan(score)) return fail("{}: {}: token {} has no number", file.path(), kScoresKey, id);
    const TokenType type = vocabulary.type(id);
    if (type == TokenType::kByte) {
      // One that is not spelled <0xNN> is of no use.
      const std::string_view byte = vocabulary.piece(id);
      if (byte.size() == 1) model.byte_tokens_[static_cast<uint8_t>(byte[0])] = id;
    } else if (type == TokenType::kUnknown) {
      if (model.unknown_ < 0) model.unknown_ = id;
    } else if (type != TokenType::kControl) {
      // Control tokens are only ever meant, never written: text must not be joined to one.
      model.priority_[static_cast<size_t>(id)] = priority_of(score);
      model.note_neighbours(vocabulary.text(id));
    }
  }
  return model;
}

size_t SentencePiece::neighbours_bit(char32_t left, char32_t right) {
  return ((uint64_t{left} << 21 | right) * 0x9E3779B97F4A7C15u) >> (64 - kNeighboursBits);
}

void SentencePiece::note_neighbours(std::string_view text) {
  char32_t left = 0;
  for (size_t at = 0; at < text.size();) {
    const core::Utf8Char next = core::decode_utf8(text.substr(at));
    const char32_t right = next.valid ? next.code_point : kNoCharacter;
    const size_t bit = neighbours_bit(left, right);
    if (at > 0) neighbours_[bit / 64] |= uint64_t{1} << bit % 64;
    left = right;
    at += next.length;
  }
}

bool SentencePiece::may_be_neighbours(char32_t left, char32_t right) const {
  const size_t bit = neighbours_bit(left, right);
  return (neighbours_[bit / 64] >> bit % 64 & 1) != 0;
}

void SentencePiece::encode(const Vocabulary& vocabulary, std::string_view text, bool space_prefix,
                           Scratch& scratch, std::vector<TokenId>& out) const {
  scratch.escaped.clear();
  scratch.merge.symbols.clear();
  char32_t left = kNoCharacter;
  const auto append = [&](std::string_view bytes, char32_t right) {
    if (!may_be_neighbours(left, right) || scratch.escaped.size() + bytes.size() > kStretchBytesMax) {
      merge(vocabulary, scratch, out);
    }
    const auto begin = static_cast<uint32_t>(scratch.escaped.size());
    scratch.merge.symbols.push_back({begin, static_cast<uint32_t>(bytes.size()), -1});
    scratch.escaped.append(bytes);
    left = right;
  };
  if (space_prefix) append(kUnderline, kUnderlineCode);
  while (!text.empty()) {
    const core::Utf8Char next = core::decode_utf8(text);
    if (text[0] == ' ') {
      append(kUnderline, kUnderlineCode);
    } else {
      append(text.substr(0, next.length), next.valid ? next.code_point : kNoCharacter);
    }
    text.remove_prefix(next.length);
  }
  merge(vocabulary, scratch, out);
}

void SentencePiece::merge(const Vocabulary& vocabulary, Scratch& scratch, std::vector<TokenId>& out) const {
  const std::string_view text = scratch.escaped;
  const auto find = [&](uint32_t begin, uint32_t length) -> MergeCandidate {
    const auto id = vocabulary.find(text.substr(begin, length));
    if (!id) return {};
    return {priority_[static_cast<size_t>(*id)], *id};
  };
  merge_symbols(scratch.merge, [&](const MergeSymbol& left, const MergeSymbol& right) {
    return find(left.begin, left.length + right.length);
  });
  for (const MergeSymbol& symbol : scratch.merge.symbols) {
    const MergeCandidate token = symbol.id >= 0 ? MergeCandidate{0, symbol.id}
                                                : find(symbol.begin, symbol.length);
    if (token.priority != MergeCandidate::kNone) {
      out.push_back(token.id);
      continue;
    }
    for (const char byte : text.substr(symbol.begin, symbol.length)) {
      const TokenId byte_token = byte_tokens_[static_cast<uint8_t>(byte)];
      const TokenId id = byte_token >= 0 ? byte_token : unknown_;
      if (id >= 0) out.push_back(id);
    }
  }
  scratch.escaped.clear();
  scratch.merge.symbols.clear();
}

}  // namespace mneme::model

#include "model/tokenizer.h"

#include <algorithm>
#include <limits>

#include "model/bpe.h"
#include "model/gguf_parse.h"
#include "model/pretokenizer.h"
#include "model/sentencepiece.h"
#include "model/tokenizer_specials.h"
#include "model/tokenizer_vocabulary.h"

namespace mneme::model {

using core::fail;
using core::pass;

namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";

// Names under which public models end a turn or a text, whatever their files say.
constexpr std::string_view kEndNames[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "</s>",
    "<|return|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "<|end▁of▁sentence|>",
    "<EOT>",
    "<eos>",
};

// The id under `key`; absent, or the all-ones that some writers use for "none": nullopt.
Result<std::optional<TokenId>> read_token_id(const Gguf& file, std::string_view key,
                                             const Vocabulary& vocabulary) {
  const auto value = file.get_uint(key);
  if (!value) return tl::unexpected(value.error());
  if (!*value || **value == std::numeric_limits<uint32_t>::max()) return std::nullopt;
  if (**value >= static_cast<uint64_t>(vocabulary.size())) {
    return fail("{}: {}: {} in a vocabulary of {}", file.path(), key, **value, vocabulary.size());
  }
  return static_cast<TokenId>(**value);
}

Result<bool> read_flag(const Gguf& file, std::string_view key, bool otherwise) {
  const auto value = file.get_bool(key);
  if (!value) return tl::unexpected(value.error());
  return value->value_or(otherwise);
}

}  // namespace

struct Tokenizer::State {
  struct ByteLevel {
    Pretokenizer pretokenizer;
    Bpe bpe;
  };
  std::string model_name;
  std::string pre_name;
  Vocabulary vocabulary;
  SpecialTokens specials;
  // One of the two.
  std::optional<ByteLevel> byte_level;
  std::optional<SentencePiece> sentence_piece;

  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::vector<TokenId> ends;  // sorted
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;

  Result<void> read_model(const Gguf& file);
  Result<void> read_ends(const Gguf& file);
  Result<void> read_flags(const Gguf& file);
};

Result<Tokenizer> Tokenizer::load(const Gguf& file) {
  auto state = std::make_unique<State>();
  auto model = state->read_model(file);
  if (!model) return pass(model);
  auto ends = state->read_ends(file);
  if (!ends) return pass(ends);
  auto flags = state->read_flags(file);
  if (!flags) return pass(flags);
  state->specials = SpecialTokens(state->vocabulary);
  return Tokenizer(std::move(state));
}

Result<void> Tokenizer::State::read_model(const Gguf& file) {
  const auto name = file.require_string(kModelKey);
  if (!name) return tl::unexpected(name.error());
  model_name = *name;
  if (model_name != "gpt2" && model_name != "llama") {
    return fail("{}: {}: '{}' is not supported (gpt2 and llama are)", file.path(), kModelKey,
                printable(*name));
  }
  const bool bytes = model_name == "gpt2";
  auto loaded = Vocabulary::load(file, bytes ? Spelling::kByteLevel : Spelling::kSentencePiece);
  if (!loaded) return pass(loaded);
  vocabulary = std::move(*loaded);
  if (!bytes) {
    auto model = SentencePiece::load(file, vocabulary);
    if (!model) return pass(model);
    sentence_piece = std::move(*model);
    return {};
  }
  const auto pre = file.get_string(kPreKey);
  if (!pre) return tl::unexpected(pre.error());
  pre_name = pre->value_or("default");
  auto pretokenizer = Pretokenizer::make(pre_name);
  if (!pretokenizer) return fail("{}: {}: {}", file.path(), kPreKey, pretokenizer.error().message);
  auto bpe = Bpe::load(file, vocabulary);
  if (!bpe) return pass(bpe);
  byte_level.emplace(ByteLevel{std::move(*pretokenizer), std::move(*bpe)});
  return {};
}

Result<void> Tokenizer::State::read_ends(const Gguf& file) {
  for (const std::string_view key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const auto id = read_token_id(file, key, vocabulary);
    if (!id) return tl::unexpected(id.error());
    if (*id) ends.push_back(**id);
    if (key == "tokenizer.ggml.eos_token_id") eos = *id;
  }
  const auto first = read_token_id(file, "tokenizer.ggml.bos_token_id", vocabulary);
  if (!first) return tl::unexpected(first.error());
  bos = *first;
  if (sentence_piece) {  // SentencePiece's own defaults: <unk> <s> </s>
    if (!bos && vocabulary.contains(1) && vocabulary.type(1) == TokenType::kControl) bos = 1;
    if (!eos && vocabulary.contains(2) && vocabulary.type(2) == TokenType::kControl) eos = 2;
    if (eos) ends.push_back(*eos);
  }
  for (const std::string_view name : kEndNames) {
    if (const auto id = vocabulary.find(name)) ends.push_back(*id);
  }
  std::sort(ends.begin(), ends.end());
  return {};
}

Result<void> Tokenizer::State::read_flags(const Gguf& file) {
  const bool bos_unsaid = byte_level ? byte_level->pretokenizer.traits().add_bos : true;
  const auto with_bos = read_flag(file, "tokenizer.ggml.add_bos_token", bos_unsaid);
  if (!with_bos) return tl::unexpected(with_bos.error());
  const auto with_eos = read_flag(file, "tokenizer.ggml.add_eos_token", false);
  if (!with_eos) return tl::unexpected(with_eos.error());
  const auto with_space = read_flag(file, "tokenizer.ggml.add_space_prefix", true);
  if (!with_space) return tl::unexpected(with_space.error());
  add_bos = *with_bos && bos.has_value();
  add_eos = *with_eos && eos.has_value();
  add_space_prefix = *with_space && sentence_piece.has_value();
  return {};
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const State& state = *state_;
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 2);
  Bpe::Scratch byte_level_scratch;
  SentencePiece::Scratch sentence_piece_scratch;
  if (state.byte_level) Bpe::prepare(byte_level_scratch, text.size());
  bool at_start = true;  // of the text, or after a special token: where SentencePiece puts a space
  const auto encode_plain = [&](std::string_view plain) {
    if (plain.empty()) return;
    if (state.byte_level) {
      const State::ByteLevel& model = *state.byte_level;
      const bool whole_words = model.pretokenizer.traits().whole_words;
      model.pretokenizer.split(plain, Bpe::kPieceBytesMax, [&](std::string_view piece) {
        model.bpe.encode(state.vocabulary, piece, whole_words, byte_level_scratch, out);
      });
    } else {
      const bool prefix = state.add_space_prefix && at_start;
      state.sentence_piece->encode(state.vocabulary, plain, prefix, sentence_piece_scratch, out);
    }
    at_start = false;
  };

  if (options.add_bos_eos && state.add_bos) out.push_back(*state.bos);
  size_t at = 0;
  while (const auto special = state.specials.find(text, at, options.parse_specials)) {
    encode_plain(text.substr(at, special->begin - at));
    out.push_back(special->id);
    at_start = true;
    at = special->begin + special->length;
  }
  encode_plain(text.substr(at));
  if (options.add_bos_eos && state.add_eos) out.push_back(*state.eos);
  return out;
}

std::string_view Tokenizer::piece(TokenId token, bool show_specials) const {
  MNEME_CHECK(state_->vocabulary.contains(token), "token {} of {}", token, vocab_size());
  const TokenType type = state_->vocabulary.type(token);
  const bool hidden = type == TokenType::kControl || type == TokenType::kUnknown;
  return hidden && !show_specials ? std::string_view() : state_->vocabulary.piece(token);
}

std::string_view Tokenizer::token_text(TokenId token) const {
  MNEME_CHECK(state_->vocabulary.contains(token), "token {} of {}", token, vocab_size());
  return state_->vocabulary.text(token);
}

std::optional<TokenId> Tokenizer::find_token(std::string_view text) const {
  return state_->vocabulary.find(text);
}

int Tokenizer::vocab_size() const { return state_->vocabulary.size(); }

bool Tokenizer::is_special(TokenId token) const {
  MNEME_CHECK(state_->vocabulary.contains(token), "token {} of {}", token, vocab_size());
  const TokenType type = state_->vocabulary.type(token);
  return type == TokenType::kControl || type == TokenType::kUserDefined;
}

bool Tokenizer::is_text(TokenId token) const {
  MNEME_CHECK(state_->vocabulary.contains(token), "token {} of {}", token, vocab_size());
  const TokenType type = state_->vocabulary.type(token);
  return type == TokenType::kNormal || type == TokenType::kByte;
}

bool Tokenizer::is_end_of_generation(TokenId token) const {
  return std::binary_search(state_->ends.begin(), state_->ends.end(), token);
}

std::optional<TokenId> Tokenizer::bos() const { return state_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return state_->eos; }
bool Tokenizer::adds_space_prefix() const { return state_->add_space_prefix; }
std::string_view Tokenizer::model_name() const { return state_->model_name; }
std::string_view Tokenizer::pre_name() const { return state_->pre_name; }

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

}  // namespace mneme::model

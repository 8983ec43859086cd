// Any text through both kinds of tokenizer: it encodes, byte-level BPE gives every byte back, and what the
// detokenizer says is UTF-8. The first byte chooses the vocabulary and the options.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/utf8.h"
#include "model/tokenizer.h"
#include "model/tokenizer_for_test.h"

namespace {

using mneme::model::Tokenizer;

std::vector<Tokenizer> make_tokenizers() {
  std::vector<Tokenizer> tokenizers;
  const auto load = [&](const mneme::model::VocabularyForTest& vocabulary) {
    auto tokenizer = mneme::model::load_for_test(vocabulary);
    MNEME_CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
    tokenizers.push_back(std::move(*tokenizer));
  };
  load(mneme::model::sentence_piece_for_test());
  for (const char* pre :
       {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3", "default"}) {
    mneme::model::VocabularyForTest vocabulary = mneme::model::byte_level_for_test();
    vocabulary.pre = pre;
    load(vocabulary);
  }
  return tokenizers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Tokenizer> kTokenizers = make_tokenizers();
  if (size == 0) return 0;
  const Tokenizer& tokenizer = kTokenizers[data[0] % kTokenizers.size()];
  const Tokenizer::EncodeOptions options = {.add_bos_eos = (data[0] & 64) != 0,
                                            .parse_specials = (data[0] & 128) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);

  std::string bytes;
  std::string shown;
  mneme::model::Detokenizer detokenizer(tokenizer, (data[0] & 32) != 0);
  for (const mneme::model::TokenId token : tokenizer.encode(text, options)) {
    bytes += tokenizer.piece(token, options.parse_specials);
    const std::string whole = detokenizer.push(token);
    MNEME_CHECK(mneme::core::utf8_valid_prefix(whole) == whole.size(), "not UTF-8 at {}", shown.size());
    shown += whole;
  }
  shown += detokenizer.finish();
  MNEME_CHECK(mneme::core::utf8_valid_prefix(shown) == shown.size(), "not UTF-8 at the end");
  if (tokenizer.model_name() == "gpt2")
    MNEME_CHECK(bytes == text, "{} bytes became {}", text.size(), bytes.size());
  return 0;
}

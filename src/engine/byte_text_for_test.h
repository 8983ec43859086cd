// A vocabulary of bytes and a few special tokens, with ChatML: prompts that can be read back exactly.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mneme/text.h"

namespace mneme::engine {

class ByteText final : public Text {
 public:
  explicit ByteText(bool has_fill_in_middle = true) : specials_(has_fill_in_middle ? 5 : 2) {}

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TokenId> tokens;
    while (!text.empty()) {
      const TokenId special = options.parse_specials ? special_at(text) : -1;
      const size_t size = special < 0 ? 1 : kSpecials[static_cast<size_t>(special)].size();
      tokens.push_back(special < 0 ? static_cast<unsigned char>(text[0]) : 256 + special);
      text.remove_prefix(size);
    }
    return tokens;
  }
  std::string decode(std::span<const TokenId> tokens, bool show_specials) const override {
    std::string text;
    for (const TokenId token : tokens) {
      if (token < 256) text += static_cast<char>(token);
      if (token >= 256 && show_specials) text += kSpecials[static_cast<size_t>(token - 256)];
    }
    return text;
  }
  bool is_end_of_generation(TokenId token) const override { return token == 257; }
  int vocab_size() const override { return 256 + specials_; }
  bool has_chat_template() const override { return true; }
  Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                  const ChatTemplateOptions& options) const override {
    std::string text;
    for (const ChatMessage& message : messages) {
      text += "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n";
    }
    return text + (options.add_generation_prompt ? "<|im_start|>assistant\n" : "");
  }
  std::unique_ptr<Stream> stream(bool) const override { return nullptr; }

 private:
  static constexpr std::array<std::string_view, 5> kSpecials{"<|im_start|>", "<|im_end|>", "<|fim_prefix|>",
                                                             "<|fim_suffix|>", "<|fim_middle|>"};

  TokenId special_at(std::string_view text) const {
    for (TokenId i = 0; i < specials_; ++i) {
      if (text.starts_with(kSpecials[static_cast<size_t>(i)])) return i;
    }
    return -1;
  }

  int specials_;
};

}  // namespace mneme::engine

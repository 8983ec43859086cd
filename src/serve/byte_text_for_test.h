// A vocabulary of bytes and a few special tokens, with ChatML: prompts and answers that can be read back
// exactly.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mneme/text.h"

namespace mneme::serve {

class ByteText final : public Text {
 public:
  static constexpr std::array<std::string_view, 7> kSpecials{
      "<|im_start|>",   "<|im_end|>",    "<|fim_prefix|>", "<|fim_suffix|>",
      "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"};
  static constexpr TokenId kEndToken = 257;  // <|im_end|>

  explicit ByteText(std::string template_source = "", bool fills_in_middle = true)
      : source_(std::move(template_source)), fills_in_middle_(fills_in_middle), vocabulary_(spell()) {}

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TokenId> tokens;
    while (!text.empty()) {
      const size_t special = options.parse_specials ? special_at(text) : kSpecials.size();
      const bool is_special = special < kSpecials.size();
      tokens.push_back(is_special ? static_cast<TokenId>(256 + special)
                                  : static_cast<unsigned char>(text[0]));
      text.remove_prefix(is_special ? kSpecials[special].size() : 1);
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
  bool is_end_of_generation(TokenId token) const override { return token == kEndToken; }
  int vocab_size() const override { return 256 + static_cast<int>(kSpecials.size()); }
  bool has_chat_template() const override { return true; }
  std::shared_ptr<const grammar::Vocabulary> vocabulary() const override { return vocabulary_; }
  std::string_view chat_template() const override { return source_; }
  std::optional<FillInMiddle> fill_in_middle() const override {
    if (!fills_in_middle_) return std::nullopt;
    return FillInMiddle{258, 259, 260, 261, 262};
  }
  // Tools come first, a line each; an assistant's calls and a tool's answers stand in Hermes' marks.
  Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                  const ChatTemplateOptions& options) const override {
    std::string text;
    if (!options.tools.empty()) {
      text += "<|im_start|>system\n";
      for (const ToolSpec& tool : options.tools) text += "tool " + tool.name + " " + tool.parameters + "\n";
      text += "<|im_end|>\n";
    }
    for (const ChatMessage& message : messages) {
      text += "<|im_start|>" + message.role + "\n";
      if (!message.reasoning.empty()) text += "<think>" + message.reasoning + "</think>";
      text += message.role == "tool" ? "<tool_response>" + message.content + "</tool_response>"
                                     : message.content;
      for (const ToolCall& call : message.tool_calls) {
        text += "<tool_call>{\"name\": \"" + call.name + "\", \"arguments\": " + call.arguments +
                "}</tool_call>";
      }
      text += "<|im_end|>\n";
    }
    if (options.add_generation_prompt) text += "<|im_start|>assistant\n";
    if (options.add_generation_prompt && options.thinking == false) text += "<think></think>";
    return text;
  }
  // Whole UTF-8 characters: the bytes of one are held back until it is complete.
  std::unique_ptr<Stream> stream(bool show_specials) const override {
    class Bytes final : public Stream {
     public:
      Bytes(const ByteText& text, bool show_specials) : text_(text), show_specials_(show_specials) {}
      std::string push(TokenId token) override {
        held_ += text_.decode({&token, 1}, show_specials_);
        return held_.size() < size_of(held_) ? std::string() : std::exchange(held_, {});
      }
      std::string finish() override { return std::exchange(held_, {}); }

     private:
      static size_t size_of(const std::string& character) {
        const auto first = static_cast<unsigned char>(character.empty() ? 0 : character[0]);
        return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
      }
      const ByteText& text_;
      bool show_specials_;
      std::string held_;
    };
    return std::make_unique<Bytes>(*this, show_specials);
  }

 private:
  static size_t special_at(std::string_view text) {
    size_t i = 0;
    while (i < kSpecials.size() && !text.starts_with(kSpecials[i])) ++i;
    return i;
  }
  static std::shared_ptr<const grammar::Vocabulary> spell() {
    using Kind = grammar::TokenSpelling::Kind;
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    std::vector<grammar::TokenSpelling> spellings;
    for (size_t i = 0; i < 256; ++i) spellings.push_back({Kind::kText, std::string_view(bytes).substr(i, 1)});
    for (const std::string_view special : kSpecials)
      spellings.push_back({special == kSpecials[1] ? Kind::kEnd : Kind::kSpecial, special});
    return std::make_shared<const grammar::Vocabulary>(spellings);
  }

  std::string source_;
  bool fills_in_middle_;
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
};

}  // namespace mneme::serve

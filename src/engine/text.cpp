#include "engine/text.h"

#include <mutex>
#include <utility>

#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace mneme::engine {

using core::fail;
using core::pass;
using model::JinjaDict;
using model::JinjaValue;

namespace {

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

class TokenStream final : public Text::Stream {
 public:
  TokenStream(const model::Tokenizer& tokenizer, bool show_specials)
      : detokenizer_(tokenizer, show_specials) {}
  std::string push(TokenId token) override { return detokenizer_.push(token); }
  std::string finish() override { return detokenizer_.finish(); }

 private:
  model::Detokenizer detokenizer_;
};

class FileText final : public Text {
 public:
  explicit FileText(model::Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    return tokenizer_.encode(text,
                             {.add_bos_eos = options.add_bos_eos, .parse_specials = options.parse_specials});
  }
  std::string decode(std::span<const TokenId> tokens, bool show_specials) const override {
    model::Detokenizer detokenizer(tokenizer_, show_specials);
    std::string text;
    for (const TokenId token : tokens) text += detokenizer.push(token);
    return text + detokenizer.finish();
  }
  bool is_end_of_generation(TokenId token) const override { return tokenizer_.is_end_of_generation(token); }
  int vocab_size() const override { return tokenizer_.vocab_size(); }
  bool has_chat_template() const override { return !chat_template || chat_template->has_value(); }
  std::shared_ptr<const grammar::Vocabulary> vocabulary() const override {
    std::call_once(vocabulary_once_, [this] { vocabulary_ = make_vocabulary(); });
    return vocabulary_;
  }
  std::unique_ptr<Stream> stream(bool show_specials) const override {
    return std::make_unique<TokenStream>(tokenizer_, show_specials);
  }
  Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                  bool add_generation_prompt) const override;

  // A template that does not compile spoils chats only: it is reported when one is rendered.
  Result<std::optional<model::ChatTemplate>> chat_template = std::nullopt;
  bool adds_bos = false;

 private:
  std::string special_text(std::optional<TokenId> token) const {
    return token ? std::string(tokenizer_.token_text(*token)) : std::string();
  }
  std::string render_chatml(std::span<const ChatMessage> messages, bool add_generation_prompt) const;
  std::shared_ptr<const grammar::Vocabulary> make_vocabulary() const;

  model::Tokenizer tokenizer_;
  mutable std::once_flag vocabulary_once_;
  mutable std::shared_ptr<const grammar::Vocabulary> vocabulary_;
};

std::shared_ptr<const grammar::Vocabulary> FileText::make_vocabulary() const {
  using Kind = grammar::TokenSpelling::Kind;
  std::vector<grammar::TokenSpelling> spellings;
  for (TokenId token = 0; token < tokenizer_.vocab_size(); ++token) {
    const bool text = tokenizer_.is_text(token), special = tokenizer_.is_special(token);
    const Kind kind = tokenizer_.is_end_of_generation(token) ? Kind::kEnd
                      : text                                 ? Kind::kText
                      : special                              ? Kind::kSpecial
                                                             : Kind::kUnused;
    spellings.push_back({kind, text ? tokenizer_.piece(token) : tokenizer_.token_text(token)});
  }
  return std::make_shared<const grammar::Vocabulary>(spellings);
}

Result<std::string> FileText::render_chat(std::span<const ChatMessage> messages,
                                          bool add_generation_prompt) const {
  if (!chat_template) return tl::unexpected<Error>(chat_template.error());
  if (!chat_template->has_value()) return render_chatml(messages, add_generation_prompt);
  std::vector<JinjaValue> turns;
  for (const ChatMessage& message : messages) {
    JinjaDict turn;
    turn.set("role", JinjaValue(message.role));
    turn.set("content", JinjaValue(message.content));
    turns.push_back(JinjaValue::dict(std::move(turn)));
  }
  // The variables that Hugging Face's apply_chat_template() gives a template.
  JinjaDict context;
  context.set("messages", JinjaValue::list(std::move(turns)));
  context.set("tools", JinjaValue::none());
  context.set("documents", JinjaValue::none());
  context.set("add_generation_prompt", JinjaValue(add_generation_prompt));
  context.set("bos_token", JinjaValue(special_text(tokenizer_.bos())));
  context.set("eos_token", JinjaValue(special_text(tokenizer_.eos())));
  auto text = (*chat_template)->render(JinjaValue::dict(std::move(context)));
  if (!text) return fail("chat template: {}", text.error().message);
  return text;
}

// What most instruction models without a template were trained on.
std::string FileText::render_chatml(std::span<const ChatMessage> messages, bool add_generation_prompt) const {
  std::string text = adds_bos ? special_text(tokenizer_.bos()) : std::string();
  for (const ChatMessage& message : messages) {
    text += "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n";
  }
  if (add_generation_prompt) text += "<|im_start|>assistant\n";
  return text;
}

}  // namespace

Result<std::unique_ptr<Text>> make_text(const model::Gguf& file) {
  auto tokenizer = model::Tokenizer::load(file);
  if (!tokenizer) return pass(tokenizer);
  auto source = file.get_string(kTemplateKey);
  if (!source) return pass(source);
  auto adds_bos = file.get_bool("tokenizer.ggml.add_bos_token");
  if (!adds_bos) return pass(adds_bos);

  auto text = std::make_unique<FileText>(std::move(*tokenizer));
  text->adds_bos = adds_bos->value_or(false);
  if (*source) {
    auto compiled = model::ChatTemplate::compile(**source);
    if (compiled) {
      text->chat_template = std::move(*compiled);
    } else {
      text->chat_template = fail("{}: {}: {}", file.path(), kTemplateKey, compiled.error().message);
    }
  }
  return text;
}

}  // namespace mneme::engine

namespace mneme {

Result<std::unique_ptr<Text>> Text::open(const std::string& model_path) {
  auto file = model::Gguf::open(model_path);
  if (!file) return core::pass(file);
  return engine::make_text(*file);
}

}  // namespace mneme

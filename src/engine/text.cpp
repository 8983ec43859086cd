#include "engine/text.h"

#include <mutex>
#include <utility>

#include "model/chat_template.h"
#include "model/jinja_json.h"
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
  std::string token_bytes(TokenId token) const override {
    return tokenizer_.is_text(token) ? std::string(tokenizer_.piece(token)) : std::string();
  }
  bool is_end_of_generation(TokenId token) const override { return tokenizer_.is_end_of_generation(token); }
  int vocab_size() const override { return tokenizer_.vocab_size(); }
  bool has_chat_template() const override { return !compiled || compiled->has_value(); }
  std::string_view chat_template() const override { return source; }
  std::optional<FillInMiddle> fill_in_middle() const override;
  std::shared_ptr<const grammar::Vocabulary> vocabulary() const override {
    std::call_once(vocabulary_once_, [this] { vocabulary_ = make_vocabulary(); });
    return vocabulary_;
  }
  std::unique_ptr<Stream> stream(bool show_specials) const override {
    return std::make_unique<TokenStream>(tokenizer_, show_specials);
  }
  Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                  const ChatTemplateOptions& options) const override;

  // A template that does not compile spoils chats only: it is reported when one is rendered.
  Result<std::optional<model::ChatTemplate>> compiled = std::nullopt;
  std::string source;  // of the template
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

// JSON of a request as a value; text that is no JSON stays text.
JinjaValue json_or_text(const std::string& text) {
  auto value = model::parse_json(text);
  return value ? *value : JinjaValue(text);
}

JinjaValue turn_of(const ChatMessage& message) {
  JinjaDict turn;
  turn.set("role", JinjaValue(message.role));
  turn.set("content", JinjaValue(message.content));
  if (!message.reasoning.empty()) turn.set("reasoning_content", JinjaValue(message.reasoning));
  if (!message.tool_call_id.empty()) turn.set("tool_call_id", JinjaValue(message.tool_call_id));
  if (!message.name.empty()) turn.set("name", JinjaValue(message.name));
  std::vector<JinjaValue> calls;
  for (const ToolCall& call : message.tool_calls) {
    JinjaDict function, whole;
    function.set("name", JinjaValue(call.name));
    function.set("arguments", json_or_text(call.arguments.empty() ? "{}" : call.arguments));
    whole.set("id", JinjaValue(call.id));
    whole.set("type", JinjaValue("function"));
    whole.set("function", JinjaValue::dict(std::move(function)));
    calls.push_back(JinjaValue::dict(std::move(whole)));
  }
  if (!calls.empty()) turn.set("tool_calls", JinjaValue::list(std::move(calls)));
  return JinjaValue::dict(std::move(turn));
}

JinjaValue tool_of(const ToolSpec& tool) {
  JinjaDict function, whole;
  function.set("name", JinjaValue(tool.name));
  function.set("description", JinjaValue(tool.description));
  function.set("parameters", json_or_text(tool.parameters.empty() ? R"({"type":"object","properties":{}})"
                                                                  : tool.parameters));
  whole.set("type", JinjaValue("function"));
  whole.set("function", JinjaValue::dict(std::move(function)));
  return JinjaValue::dict(std::move(whole));
}

template <class Items, class Convert>
JinjaValue list_of(const Items& items, Convert convert) {
  std::vector<JinjaValue> all;
  for (const auto& item : items) all.push_back(convert(item));
  return JinjaValue::list(std::move(all));
}

Result<std::string> FileText::render_chat(std::span<const ChatMessage> messages,
                                          const ChatTemplateOptions& options) const {
  if (!compiled) return tl::unexpected<Error>(compiled.error());
  if (!compiled->has_value()) return render_chatml(messages, options.add_generation_prompt);
  // The variables that Hugging Face's apply_chat_template() gives a template.
  JinjaDict context;
  context.set("messages", list_of(messages, turn_of));
  context.set("tools", options.tools.empty() ? JinjaValue::none() : list_of(options.tools, tool_of));
  context.set("documents", JinjaValue::none());
  context.set("add_generation_prompt", JinjaValue(options.add_generation_prompt));
  if (options.thinking) context.set("enable_thinking", JinjaValue(*options.thinking));
  context.set("bos_token", JinjaValue(special_text(tokenizer_.bos())));
  context.set("eos_token", JinjaValue(special_text(tokenizer_.eos())));
  auto text = (*compiled)->render(JinjaValue::dict(std::move(context)));
  if (!text) return fail("chat template: {}", text.error().message);
  return text;
}

// Marks as the families spell them: ours and Qwen's, StarCoder's, CodeLlama's, DeepSeek's, Codestral's.
std::optional<Text::FillInMiddle> FileText::fill_in_middle() const {
  struct Marks {
    std::string_view prefix, suffix, middle, repository, file;
  };
  static constexpr Marks kFamilies[] = {
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"},
      {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"},
      {"<fim-prefix>", "<fim-suffix>", "<fim-middle>", "", ""},
      {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "", ""},
      {"<\uFF5Cfim\u2581begin\uFF5C>", "<\uFF5Cfim\u2581hole\uFF5C>", "<\uFF5Cfim\u2581end\uFF5C>", "", ""},
      {"[PREFIX]", "[SUFFIX]", "[MIDDLE]", "", ""},
  };
  for (const Marks& marks : kFamilies) {
    const auto prefix = tokenizer_.find_token(marks.prefix), suffix = tokenizer_.find_token(marks.suffix),
               middle = tokenizer_.find_token(marks.middle);
    if (!prefix || !suffix || !middle) continue;
    return FillInMiddle{*prefix, *suffix, *middle, tokenizer_.find_token(marks.repository),
                        tokenizer_.find_token(marks.file)};
  }
  return std::nullopt;
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
    text->source = std::string(**source);
    auto compiled = model::ChatTemplate::compile(text->source);
    if (compiled) {
      text->compiled = std::move(*compiled);
    } else {
      text->compiled = fail("{}: {}: {}", file.path(), kTemplateKey, compiled.error().message);
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

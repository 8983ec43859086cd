// The text side of a model file: tokens and chat templates, without its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mneme/grammar.h"
#include "mneme/result.h"

namespace mneme {

using TokenId = int32_t;

// What a model that thinks before it answers writes around its thought, at the beginning of what it says.
inline constexpr std::string_view kThoughtOpen = "<think>", kThoughtClose = "</think>";

struct EncodeOptions {
  bool add_bos_eos = true;     // where the file's flags ask for them
  bool parse_specials = true;  // recognise special tokens written in the text
};

struct ToolCall {
  std::string id, name;
  std::string arguments;  // JSON text of an object
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  std::string reasoning = {};             // of an assistant: what it thought before its answer
  std::vector<ToolCall> tool_calls = {};  // of an assistant
  std::string tool_call_id = {};          // of a tool: the call that `content` answers
  std::string name = {};                  // of a tool or a participant; may be empty
};

struct ToolSpec {
  std::string name, description;
  std::string parameters;  // JSON schema, as text; empty: takes nothing
  bool strict = false;     // arguments follow the schema exactly
};

struct ChatTemplateOptions {
  bool add_generation_prompt = true;
  std::span<const ToolSpec> tools = {};
  std::optional<bool> thinking = {};  // templates that know enable_thinking; nothing: as the template likes
};

// Immutable, thread safe.
class Text {
 public:
  // Reads the vocabulary of a model file only.
  static Result<std::unique_ptr<Text>> open(const std::string& model_path);
  virtual ~Text() = default;

  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const = 0;
  virtual std::string decode(std::span<const TokenId> tokens, bool show_specials) const = 0;
  // What one token adds to a text, perhaps part of a character; empty for a special token.
  virtual std::string token_bytes(TokenId token) const { return decode({&token, 1}, false); }
  virtual bool is_end_of_generation(TokenId token) const = 0;
  virtual int vocab_size() const = 0;
  // Whether the file has a chat template, right or wrong.
  virtual bool has_chat_template() const = 0;
  // The tokens' spellings, for constraints; made when first asked for (some 0.1 s for 150,000 tokens). Null:
  // a text that has none.
  virtual std::shared_ptr<const grammar::Vocabulary> vocabulary() const { return nullptr; }
  // The conversation in the model's own format (ChatML where the file has no template), ready to encode with
  // parse_specials and without BOS. Fails when the template refuses the conversation.
  virtual Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                          const ChatTemplateOptions& options) const = 0;
  // The template's source; empty where the file has none. Its words tell how a model writes tool calls.
  virtual std::string_view chat_template() const { return {}; }
  // What a model that fills in the middle was trained on, or nothing.
  struct FillInMiddle {
    TokenId prefix, suffix, middle;
    std::optional<TokenId> repository, file;  // of models that know several files
  };
  virtual std::optional<FillInMiddle> fill_in_middle() const { return std::nullopt; }

  // Streams tokens to text that is always whole UTF-8 characters.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual std::string push(TokenId token) = 0;
    virtual std::string finish() = 0;
  };
  virtual std::unique_ptr<Stream> stream(bool show_specials) const = 0;
};

}  // namespace mneme

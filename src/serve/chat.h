// A conversation as every protocol means it: messages, tools and a format in; text, reasoning and tool calls
// out. The protocols translate to and from this, and this to and from a Backend: it renders the template,
// holds the text to a grammar where tools or a format ask for one, and reads tool calls and reasoning back
// out of the text as it comes, each model family's own way.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/backend.h"

namespace mneme::serve {

enum class ToolChoice : uint8_t { kAuto, kNone, kRequired, kNamed };
enum class AnswerFormat : uint8_t { kText, kJsonObject, kJsonSchema, kGrammar, kRegex };

// What the text of an answer is held to.
struct FormatRequest {
  AnswerFormat format = AnswerFormat::kText;
  std::string format_text;     // the schema, grammar or expression
  bool format_strict = false;  // kJsonSchema
};

struct ChatRequest : FormatRequest {
  std::vector<ChatMessage> messages;
  std::vector<ToolSpec> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_named;  // kNamed
  bool parallel_tool_calls = true;
  std::optional<bool> thinking;
  // The last message is an assistant's, and the answer goes on from it.
  bool continues_last = false;
  bool opens_answer = true;  // the prompt ends with the beginning of an answer
  int choices = 1;           // independent answers to the same prompt; seeds count up
  // tokens_max, sampling, stop, top_logprobs; the constraint is made here.
  GenerateOptions generate;
  Origin from;
};

enum class Finish : uint8_t { kStop, kStopText, kLength, kToolCalls, kCancelled, kFull };

struct ChatEnd {
  Finish finish = Finish::kStop;
  std::string stop_text;  // kStopText: which; may be empty
  size_t prompt_tokens = 0, found_tokens = 0, generated_tokens = 0, reasoning_tokens = 0;
  double prefill_s = 0, decode_s = 0;
  std::string message;  // kFull: for a person
};

// One choice of an answer. Called on the engine's thread, in the order of the text.
class ChatListener {
 public:
  virtual ~ChatListener() = default;
  virtual void on_begin(size_t prompt_tokens, size_t found) { (void)prompt_tokens, (void)found; }
  virtual void on_prefill(size_t done, size_t total) { (void)done, (void)total; }
  // Every token drawn, before what it adds; where log probabilities were asked for.
  virtual void on_token() {}
  // `tokens`: those the piece consists of, where log probabilities were asked for.
  virtual void on_text(std::string_view piece, std::span<const DrawnToken> tokens) = 0;
  virtual void on_reasoning(std::string_view piece) = 0;
  // Arguments come in pieces of one JSON object. Calls do not overlap; index counts from 0.
  virtual void on_tool_begin(size_t index, const std::string& id, const std::string& name) = 0;
  virtual void on_tool_arguments(size_t index, std::string_view piece) = 0;
  virtual void on_tool_end(size_t index) { (void)index; }
  virtual void on_end(const ChatEnd& end) = 0;
  virtual void on_failure(const Failure& failure) = 0;
};

// The prompt alone, for /apply-template and for counting tokens.
tl::expected<std::string, Failure> render_prompt(const Text& text, const ChatRequest& request);
tl::expected<std::vector<TokenId>, Failure> encode_prompt(const Text& text, const ChatRequest& request);

// Starts request.choices generations, one for each listener. A failure here means that none was started and
// no listener will hear anything.
tl::expected<std::vector<GenerationId>, Failure> start_chat(
    Backend& backend, const ChatRequest& request, std::span<const std::shared_ptr<ChatListener>> listeners);

}  // namespace mneme::serve

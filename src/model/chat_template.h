// Chat templates: the Jinja subset that model files carry, compiled once, rendered for each request.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model {

// For a model file that carries no template: <|im_start|>role, the text, <|im_end|>.
inline constexpr std::string_view kChatMlTemplate =
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n";

struct ChatRenderOptions {
  std::optional<int64_t> now_unix_s;  // what strftime_now() formats, in local time; nothing: the system's
                                      // clock
  JinjaLimits limits;                 // above any real template's needs; lower them for tests
};

// Immutable and thread safe once compiled.
class ChatTemplate {
 public:
  // Fails with the line and what was expected. `source` is the template text (tokenizer.chat_template).
  static Result<ChatTemplate> compile(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `context` is the object of top-level variables: messages, tools, add_generation_prompt, bos_token,
  // eos_token, ...
  // It is not changed, and may be shared by renders on several threads.
  // Fails when the template raises (raise_exception), uses something undefined in a way Jinja refuses, or
  // exceeds its limits
  // (output bytes, steps, depth): a template is a program from a file and must not hang or exhaust the
  // process.
  Result<std::string> render(const JinjaValue& context, const ChatRenderOptions& options = {}) const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mneme::model

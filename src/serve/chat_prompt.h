// A conversation as the model's template writes it, whatever roles and tools the template knows.
#pragma once

#include <string>

#include "serve/chat.h"
#include "serve/tool_dialect.h"

namespace mneme::serve {

struct ChatPrompt {
  std::string text;
  bool reasoning_open = false;  // it ends with <think>
};

tl::expected<ChatPrompt, Failure> make_chat_prompt(const Text& text, const ToolDialect& dialect,
                                                   const ChatRequest& request);

}  // namespace mneme::serve

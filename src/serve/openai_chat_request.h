// A body of POST /v1/chat/completions, read.
#pragma once

#include <string>

#include "serve/chat.h"
#include "serve/openai_request.h"

namespace mneme::serve {

struct OpenAiChatRequest {
  ChatRequest chat;
  StreamOptions stream;
  bool logprobs = false;
  bool legacy_functions = false;  // calls are answered as function_call
};

// What is wrong goes to the errors of `fields`.
OpenAiChatRequest read_openai_chat(const Fields& fields, const Text& text);

// openai_messages.cpp: `messages`, with parts as text. Images and the like are an error.
void read_openai_messages(const Fields& fields, std::vector<ChatMessage>& messages);
// A string, or a list of parts of text.
std::string read_content(const Json& content, const std::string& path, RequestErrors& errors);

}  // namespace mneme::serve

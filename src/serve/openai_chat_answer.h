// Answers of /v1/chat/completions: all choices of one, as a whole or as a stream of chunks.
#pragma once

#include <memory>
#include <vector>

#include "serve/openai_chat_request.h"

namespace mneme::serve {

// One listener for each choice. The answer is sent, or its stream ended, when all of them have ended, or with
// the first that fails.
struct OpenAiChatAnswer {
  std::vector<std::shared_ptr<ChatListener>> listeners;
  // Sends a stream's headers, which then need not wait for the first token; else nothing.
  std::function<void()> begin;
};
OpenAiChatAnswer answer_openai_chat(const Call& call, const OpenAiChatRequest& request,
                                    const std::string& model);

}  // namespace mneme::serve

// Bodies of /v1/messages and /v1/messages/count_tokens as conversations. What moves from one request of a
// conversation to the next (cache_control, the billing block at the front of `system`) leaves no trace, so
// that a returning prompt is the earlier one and a suffix, byte for byte.
#pragma once

#include <string>

#include "serve/api.h"
#include "serve/chat.h"

namespace mneme::serve {

struct MessagesRequest {
  std::string model;
  ChatRequest chat;
  std::string user;     // metadata.user_id: tells conversations apart
  std::string session;  // to be kept under this name
  bool stream = false;
  bool show_thinking = false;  // blocks of reasoning are part of the answer,
  bool omit_thinking = false;  // without their text
};

enum class MessagesPurpose : uint8_t { kAnswer, kCount };

// Errors are in Anthropic's words: "messages.0.content: ...".
tl::expected<MessagesRequest, Failure> read_messages(const Json& body, MessagesPurpose purpose);

}  // namespace mneme::serve

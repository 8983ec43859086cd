// A conversation's messages, kept in the notes of its session: the tokens alone do not say where one ends.
//
//   messages      how many there are; a session without this note is no conversation
//   message.N     {"role": ..., "content": ...} in ASCII, N from 0; continued in message.N.1, .2, ...
//
// Each is written once, so the log grows with the conversation, not with its square.
#pragma once

#include <span>
#include <vector>

#include "mneme/engine.h"

namespace mneme::cli {

bool is_conversation(const Session& session);
Result<std::vector<ChatMessage>> read_messages(const Session& session);
// Those before `first` are kept already.
Result<void> keep_messages(Session& session, std::span<const ChatMessage> messages, size_t first);

}  // namespace mneme::cli

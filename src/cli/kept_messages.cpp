#include "cli/kept_messages.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/input.h"
#include "cli/terminal.h"

namespace mneme::cli {

namespace {

constexpr size_t kPieceBytes = 60'000;  // below what a note takes

std::string piece_key(size_t message, size_t piece) {
  return piece == 0 ? format("message.%zu", message) : format("message.%zu.%zu", message, piece);
}

std::string read_note(const Session& session, size_t message) {
  std::string text;
  for (size_t piece = 0;; ++piece) {
    const std::string part = session.note(piece_key(message, piece));
    if (part.empty()) return text;
    text += part;
  }
}

Result<void> write_note(Session& session, size_t message, const std::string& text) {
  size_t piece = 0;
  for (size_t at = 0; at < text.size(); at += kPieceBytes) {
    auto kept = session.set_note(piece_key(message, piece++), text.substr(at, kPieceBytes));
    if (!kept) return kept;
  }
  // A longer message may have stood here before /reset.
  if (session.note(piece_key(message, piece)).empty()) return {};
  return session.set_note(piece_key(message, piece), "");
}

}  // namespace

bool is_conversation(const Session& session) { return !session.note("messages").empty(); }

Result<std::vector<ChatMessage>> read_messages(const Session& session) {
  std::vector<ChatMessage> messages;
  const int count = parse_int(session.note("messages")).value_or(0);
  for (int i = 0; i < count; ++i) {
    const auto json = nlohmann::json::parse(read_note(session, static_cast<size_t>(i)), nullptr, false);
    const bool whole = json.is_object() && json.contains("role") && json["role"].is_string() &&
                       json.contains("content") && json["content"].is_string();
    if (!whole)
      return tl::unexpected(Error{
          format("session %s: message %d of its conversation cannot be read", session.name().c_str(), i)});
    messages.push_back({json["role"], json["content"]});
  }
  return messages;
}

Result<void> keep_messages(Session& session, std::span<const ChatMessage> messages, size_t first) {
  for (size_t i = first; i < messages.size(); ++i) {
    const nlohmann::ordered_json json = {{"role", messages[i].role}, {"content", messages[i].content}};
    // ASCII may be cut anywhere; bytes that are no UTF-8 become U+FFFD.
    const std::string text = json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
    if (auto kept = write_note(session, i, text); !kept) return kept;
  }
  // Last: what a crash leaves is the conversation before.
  return session.set_note("messages", format("%zu", messages.size()));
}

}  // namespace mneme::cli

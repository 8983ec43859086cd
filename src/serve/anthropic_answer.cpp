#include "serve/anthropic_answer.h"

#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

constexpr const char* kPing = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

// Clients send blocks of thinking back with their signature; nothing here depends on it.
std::string signature_of(const std::string& thinking) {
  return fmt::format("{:016x}", core::hash64(std::as_bytes(std::span(thinking))));
}

Json json_or_empty_object(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json::object();
}

std::string stop_reason(const ChatEnd& end) {
  switch (end.finish) {
    case Finish::kStopText: return "stop_sequence";
    case Finish::kLength: return "max_tokens";
    case Finish::kToolCalls: return "tool_use";
    case Finish::kFull: return "model_context_window_exceeded";
    default: return "end_turn";
  }
}

}  // namespace

MessagesAnswer::MessagesAnswer(std::shared_ptr<Answer> answer, Setup setup)
    : stream_(std::move(answer), kPing, setup.ping_every_s),
      setup_(std::move(setup)),
      id_(random_id("msg_")) {}

void MessagesAnswer::open() {
  const std::lock_guard lock(mutex_);
  if (setup_.stream && !ended_) stream_.begin({{"request-id", setup_.request_id}});
}

void MessagesAnswer::on_begin(size_t prompt_tokens, size_t found) {
  const std::lock_guard lock(mutex_);
  prompt_tokens_ = prompt_tokens, found_tokens_ = found;
  started_ = true;
  event({{"type", "message_start"}, {"message", message()}});
}

void MessagesAnswer::on_prefill(size_t, size_t) {
  const std::lock_guard lock(mutex_);
  if (setup_.stream) stream_.keep_alive();
}

void MessagesAnswer::on_text(std::string_view piece, std::span<const DrawnToken>) {
  if (piece.empty()) return;
  const std::lock_guard lock(mutex_);
  begin_block(Block::kText, {{"type", "text"}, {"text", ""}});
  content_.back()["text"].get_ref<std::string&>() += piece;
  delta({{"type", "text_delta"}, {"text", piece}});
}

void MessagesAnswer::on_reasoning(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (!setup_.show_thinking || piece.empty()) {
    if (setup_.stream) stream_.keep_alive();
    return;
  }
  begin_block(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
  if (setup_.omit_thinking) return stream_.keep_alive();
  content_.back()["thinking"].get_ref<std::string&>() += piece;
  delta({{"type", "thinking_delta"}, {"thinking", piece}});
}

void MessagesAnswer::on_tool_begin(size_t, const std::string& id, const std::string& name) {
  const std::lock_guard lock(mutex_);
  end_block();
  begin_block(Block::kTool, {{"type", "tool_use"}, {"id", id}, {"name", name}, {"input", Json::object()}});
}

void MessagesAnswer::on_tool_arguments(size_t, std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (block_ != Block::kTool) return;
  arguments_ += piece;
  delta({{"type", "input_json_delta"}, {"partial_json", piece}});
}

void MessagesAnswer::on_tool_end(size_t) {
  const std::lock_guard lock(mutex_);
  end_block();
}

void MessagesAnswer::on_end(const ChatEnd& end) {
  if (end.finish == Finish::kCancelled)
    return on_failure({.kind = FailureKind::kStopping, .message = "the generation was cancelled"});
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  end_block();
  if (setup_.account) setup_.account(end.prompt_tokens, end.generated_tokens);
  prompt_tokens_ = end.prompt_tokens, found_tokens_ = end.found_tokens;
  const Json stop_text = end.finish == Finish::kStopText ? Json(end.stop_text) : Json(nullptr);
  if (!setup_.stream) {
    Json whole = message();
    whole["stop_reason"] = stop_reason(end), whole["stop_sequence"] = stop_text;
    whole["usage"] = usage(end.generated_tokens);
    stream_.answer()->send(200, "application/json", json_text(whole), {{"request-id", setup_.request_id}});
    return;
  }
  // A generation may end (as one that was cancelled) before it began.
  if (!std::exchange(started_, true)) event({{"type", "message_start"}, {"message", message()}});
  event({{"type", "message_delta"},
         {"delta", {{"stop_reason", stop_reason(end)}, {"stop_sequence", stop_text}}},
         {"usage", usage(end.generated_tokens)}});
  event({{"type", "message_stop"}});
  stream_.end();
}

void MessagesAnswer::on_failure(const Failure& failure) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  if (!stream_.begun()) return send_failure(*stream_.answer(), Surface::kAnthropic, failure);
  stream_.event("error", json_text(error_body(Surface::kAnthropic, failure)));
  stream_.end();
}

void MessagesAnswer::begin_block(Block block, Json start) {
  if (block_ == block) return;
  end_block();
  block_ = block;
  content_.push_back(start);
  event(
      {{"type", "content_block_start"}, {"index", content_.size() - 1}, {"content_block", std::move(start)}});
}

void MessagesAnswer::end_block() {
  if (block_ == Block::kNone) return;
  Json& block = content_.back();
  if (block_ == Block::kTool) block["input"] = json_or_empty_object(std::exchange(arguments_, {}));
  if (block_ == Block::kThinking) {
    block["signature"] = signature_of(block["thinking"].get_ref<const std::string&>());
    delta({{"type", "signature_delta"}, {"signature", block["signature"]}});
  }
  block_ = Block::kNone;
  event({{"type", "content_block_stop"}, {"index", content_.size() - 1}});
}

void MessagesAnswer::delta(Json delta) {
  event({{"type", "content_block_delta"}, {"index", content_.size() - 1}, {"delta", std::move(delta)}});
}

void MessagesAnswer::event(Json event) {
  if (!setup_.stream) return;
  stream_.begin({{"request-id", setup_.request_id}});
  stream_.event(event["type"].get_ref<const std::string&>(), json_text(event));
}

Json MessagesAnswer::message() const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", setup_.model},
          {"content", setup_.stream ? Json::array() : content_},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", usage(0)}};
}

// What was found counts apart from the input, as the protocol has it; all of a prompt is kept, and nothing is
// charged for it.
Json MessagesAnswer::usage(size_t output_tokens) const {
  return {{"input_tokens", prompt_tokens_ - found_tokens_},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", found_tokens_},
          {"output_tokens", output_tokens}};
}

}  // namespace mneme::serve

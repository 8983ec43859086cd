#include "serve/responses_answer.h"

#include <utility>

#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

Json bytes_of(const std::string& bytes) {
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<uint8_t>(byte));
  return list;
}

Json logprobs_of(std::span<const DrawnToken> tokens) {
  Json list = Json::array();
  for (const DrawnToken& token : tokens) {
    Json top = Json::array();
    for (const auto& other : token.top)
      top.push_back({{"token", other.bytes}, {"logprob", other.logprob}, {"bytes", bytes_of(other.bytes)}});
    list.push_back({{"token", token.bytes},
                    {"logprob", token.logprob},
                    {"bytes", bytes_of(token.bytes)},
                    {"top_logprobs", std::move(top)}});
  }
  return list;
}

const char* error_code(FailureKind kind) {
  switch (kind) {
    case FailureKind::kTooLong: return "context_length_exceeded";
    case FailureKind::kBusy: return "rate_limit_exceeded";
    case FailureKind::kInvalid: return "invalid_prompt";
    default: return "server_error";
  }
}

// The text that a custom tool was given: the one string of its function's arguments.
std::string custom_input(const std::string& arguments) {
  const Json json = Json::parse(arguments, nullptr, false);
  const bool found = json.is_object() && json.contains("input") && json["input"].is_string();
  return found ? json["input"].get<std::string>() : arguments;
}

Json text_part(const std::string& text, Json logprobs) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", logprobs}};
}

}  // namespace

ResponsesAnswer::ResponsesAnswer(std::shared_ptr<Answer> answer, Setup setup)
    : stream_(std::move(answer)),
      setup_(std::move(setup)),
      id_(random_id("resp_")),
      created_unix_s_(unix_now_s()) {}

void ResponsesAnswer::open() {
  const std::lock_guard lock(mutex_);
  if (!ended_) start();
}

void ResponsesAnswer::start() {
  if (!setup_.stream || std::exchange(started_, true)) return;
  event("response.created", {{"response", response("in_progress")}});
  event("response.in_progress", {{"response", response("in_progress")}});
}

void ResponsesAnswer::on_prefill(size_t, size_t) {
  const std::lock_guard lock(mutex_);
  if (setup_.stream) stream_.keep_alive();
}

void ResponsesAnswer::on_text(std::string_view piece, std::span<const DrawnToken> tokens) {
  if (piece.empty() && tokens.empty()) return;
  const std::lock_guard lock(mutex_);
  if (item_ != Item::kMessage) {
    end_item("completed");
    begin_item(Item::kMessage, {{"id", random_id("msg_")},
                                {"type", "message"},
                                {"status", "in_progress"},
                                {"role", "assistant"},
                                {"content", Json::array()}});
    part_event("response.content_part.added", {{"part", text_part("", Json::array())}});
  }
  text_ += piece;
  Json logprobs = logprobs_of(tokens);
  for (const Json& one : logprobs) logprobs_.push_back(one);
  part_event("response.output_text.delta", {{"delta", piece}, {"logprobs", std::move(logprobs)}});
}

void ResponsesAnswer::on_reasoning(std::string_view piece) {
  if (piece.empty()) return;
  const std::lock_guard lock(mutex_);
  if (item_ != Item::kReasoning) {
    end_item("completed");
    begin_item(Item::kReasoning,
               {{"id", random_id("rs_")}, {"type", "reasoning"}, {"summary", Json::array()}});
    if (setup_.summarise)
      part_event("response.reasoning_summary_part.added",
                 {{"part", {{"type", "summary_text"}, {"text", ""}}}});
    else
      part_event("response.content_part.added", {{"part", {{"type", "reasoning_text"}, {"text", ""}}}});
  }
  text_ += piece;
  part_event(setup_.summarise ? "response.reasoning_summary_text.delta" : "response.reasoning_text.delta",
             {{"delta", piece}});
}

void ResponsesAnswer::on_tool_begin(size_t, const std::string& id, const std::string& name) {
  const std::lock_guard lock(mutex_);
  end_item("completed");
  const bool custom = setup_.custom_tools.contains(name);
  Json item = {{"id", random_id(custom ? "ctc_" : "fc_")},
               {"type", custom ? "custom_tool_call" : "function_call"},
               {"status", "in_progress"},
               {"call_id", id},
               {"name", name}};
  item[custom ? "input" : "arguments"] = "";
  begin_item(custom ? Item::kCustom : Item::kFunction, std::move(item));
}

void ResponsesAnswer::on_tool_arguments(size_t, std::string_view piece) {
  if (piece.empty()) return;
  const std::lock_guard lock(mutex_);
  text_ += piece;
  if (item_ == Item::kFunction) item_event("response.function_call_arguments.delta", {{"delta", piece}});
  if (item_ == Item::kCustom && setup_.stream) stream_.keep_alive();
}

void ResponsesAnswer::on_tool_end(size_t) {
  const std::lock_guard lock(mutex_);
  end_item("completed");
}

void ResponsesAnswer::on_end(const ChatEnd& end) {
  if (end.finish == Finish::kCancelled)
    return on_failure({.kind = FailureKind::kStopping, .message = "the generation was cancelled"});
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  if (setup_.account) setup_.account(end.prompt_tokens, end.generated_tokens);
  const bool cut = end.finish == Finish::kLength || end.finish == Finish::kFull;
  const char* status = cut ? "incomplete" : "completed";
  end_item(status);
  end_ = end;
  if (!setup_.stream) return stream_.answer()->send(200, "application/json", json_text(response(status)));
  start();
  event(cut ? "response.incomplete" : "response.completed", {{"response", response(status)}});
  stream_.end();
}

// A stream is told of a prompt that is too long within the stream, as clients that compact by themselves
// expect it; other failures before its beginning are plain answers.
void ResponsesAnswer::on_failure(const Failure& failure) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  if (!setup_.stream || (!started_ && failure.kind != FailureKind::kTooLong))
    return send_failure(*stream_.answer(), Surface::kOpenAi, failure);
  start();
  end_item("incomplete");
  const char* code = error_code(failure.kind);
  error_ = Json{{"code", code}, {"message", failure.message}};
  event("error", {{"code", code},
                  {"message", failure.message},
                  {"param", failure.param.empty() ? Json(nullptr) : Json(failure.param)}});
  event("response.failed", {{"response", response("failed")}});
  stream_.end();
}

void ResponsesAnswer::begin_item(Item kind, Json item) {
  item_ = kind;
  text_.clear();
  logprobs_ = Json::array();
  output_.push_back(item);
  event("response.output_item.added", {{"output_index", output_.size() - 1}, {"item", std::move(item)}});
}

void ResponsesAnswer::end_item(const char* status) {
  if (item_ == Item::kNone) return;
  if (item_ == Item::kMessage || item_ == Item::kReasoning) end_text();
  if (item_ == Item::kFunction || item_ == Item::kCustom) end_call();
  if (item_ != Item::kReasoning) output_.back()["status"] = status;
  event("response.output_item.done", {{"output_index", output_.size() - 1}, {"item", output_.back()}});
  item_ = Item::kNone;
}

void ResponsesAnswer::end_text() {
  Json& item = output_.back();
  if (item_ == Item::kMessage) {
    const Json part = text_part(text_, logprobs_);
    part_event("response.output_text.done", {{"text", text_}, {"logprobs", logprobs_}});
    part_event("response.content_part.done", {{"part", part}});
    item["content"].push_back(part);
    return;
  }
  const char* type = setup_.summarise ? "summary_text" : "reasoning_text";
  const Json part = {{"type", type}, {"text", text_}};
  part_event(setup_.summarise ? "response.reasoning_summary_text.done" : "response.reasoning_text.done",
             {{"text", text_}});
  part_event(setup_.summarise ? "response.reasoning_summary_part.done" : "response.content_part.done",
             {{"part", part}});
  item[setup_.summarise ? "summary" : "content"].push_back(part);
}

void ResponsesAnswer::end_call() {
  Json& item = output_.back();
  if (item_ == Item::kFunction) {
    item["arguments"] = text_;
    return item_event("response.function_call_arguments.done",
                      {{"name", item["name"]}, {"arguments", text_}});
  }
  const std::string input = custom_input(text_);
  item["input"] = input;
  item_event("response.custom_tool_call_input.delta", {{"delta", input}});
  item_event("response.custom_tool_call_input.done", {{"input", input}});
}

void ResponsesAnswer::item_event(const char* type, Json fields) {
  if (!setup_.stream) return;
  Json placed = {{"item_id", output_.back()["id"]}, {"output_index", output_.size() - 1}};
  placed.update(fields);
  event(type, std::move(placed));
}

void ResponsesAnswer::part_event(const char* type, Json fields) {
  if (!setup_.stream) return;
  const bool summary = item_ == Item::kReasoning && setup_.summarise;
  Json placed = {{summary ? "summary_index" : "content_index", 0}};
  placed.update(fields);
  item_event(type, std::move(placed));
}

void ResponsesAnswer::event(const char* type, Json fields) {
  if (!setup_.stream) return;
  start();
  Json whole = {{"type", type}, {"sequence_number", events_++}};
  whole.update(fields);
  stream_.event(type, json_text(whole));
}

Json ResponsesAnswer::response(const char* status) const {
  Json whole = {{"id", id_},
                {"object", "response"},
                {"created_at", created_unix_s_},
                {"status", status},
                {"background", false},
                {"error", error_ ? *error_ : Json(nullptr)},
                {"incomplete_details", nullptr},
                {"model", setup_.model},
                {"output", output_},
                {"usage", nullptr}};
  if (status == std::string_view("incomplete"))
    whole["incomplete_details"] = {{"reason", "max_output_tokens"}};
  if (status == std::string_view("completed")) whole["completed_at"] = unix_now_s();
  if (end_)
    whole["usage"] = {{"input_tokens", end_->prompt_tokens},
                      {"input_tokens_details", {{"cached_tokens", end_->found_tokens}}},
                      {"output_tokens", end_->generated_tokens},
                      {"output_tokens_details", {{"reasoning_tokens", end_->reasoning_tokens}}},
                      {"total_tokens", end_->prompt_tokens + end_->generated_tokens}};
  whole.update(setup_.echo);
  return whole;
}

}  // namespace mneme::serve

// One answer in the words of /v1/responses: items of output, whole or as the protocol's events.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "serve/responses_request.h"
#include "serve/sse.h"

namespace mneme::serve {

class ResponsesAnswer final : public ChatListener {
 public:
  struct Setup {
    std::string model;  // as the answer names it
    bool stream = false, summarise = false;
    std::set<std::string> custom_tools;
    Json echo;
    std::function<void(uint64_t prompt_tokens, uint64_t generated_tokens)> account;
  };
  ResponsesAnswer(std::shared_ptr<Answer> answer, Setup setup);

  // Once the generation is under way: the first events go out, if they have not so far.
  void open();

  void on_prefill(size_t done, size_t total) override;
  void on_text(std::string_view piece, std::span<const DrawnToken> tokens) override;
  void on_reasoning(std::string_view piece) override;
  void on_tool_begin(size_t index, const std::string& id, const std::string& name) override;
  void on_tool_arguments(size_t index, std::string_view piece) override;
  void on_tool_end(size_t index) override;
  void on_end(const ChatEnd& end) override;
  void on_failure(const Failure& failure) override;

 private:
  enum class Item : uint8_t { kNone, kReasoning, kMessage, kFunction, kCustom };

  void start();
  void begin_item(Item kind, Json item);
  void end_item(const char* status);
  void end_text();
  void end_call();
  // Sends an event about the open item; `fields` come after its place.
  void item_event(const char* type, Json fields);
  void part_event(const char* type, Json fields);
  void event(const char* type, Json fields);
  Json response(const char* status) const;

  std::mutex mutex_;  // open() comes from another thread than the rest
  EventStream stream_;
  const Setup setup_;
  const std::string id_;
  const int64_t created_unix_s_;
  uint64_t events_ = 0;
  Json output_ = Json::array();
  Item item_ = Item::kNone;
  std::string text_;               // of the open item so far
  Json logprobs_ = Json::array();  // of the open message
  std::optional<ChatEnd> end_;
  std::optional<Json> error_;
  bool started_ = false, ended_ = false;
};

}  // namespace mneme::serve

// One answer in the words of /v1/messages: blocks of content, whole or as the protocol's events.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "serve/anthropic_request.h"
#include "serve/sse.h"

namespace mneme::serve {

class MessagesAnswer final : public ChatListener {
 public:
  struct Setup {
    std::string model;  // as the answer names it
    bool stream = false, show_thinking = false, omit_thinking = false;
    std::string request_id;
    double ping_every_s = EventStream::kPingEvery_s;
    std::function<void(uint64_t prompt_tokens, uint64_t generated_tokens)> account;
  };
  MessagesAnswer(std::shared_ptr<Answer> answer, Setup setup);

  // Once the generation is under way: the headers go out, if nothing else has so far.
  void open();

  void on_begin(size_t prompt_tokens, size_t found) override;
  void on_prefill(size_t done, size_t total) override;
  void on_text(std::string_view piece, std::span<const DrawnToken> tokens) override;
  void on_reasoning(std::string_view piece) override;
  void on_tool_begin(size_t index, const std::string& id, const std::string& name) override;
  void on_tool_arguments(size_t index, std::string_view piece) override;
  void on_tool_end(size_t index) override;
  void on_end(const ChatEnd& end) override;
  void on_failure(const Failure& failure) override;

 private:
  enum class Block : uint8_t { kNone, kThinking, kText, kTool };

  // Of the block that is open; begins it where it is another.
  void begin_block(Block block, Json start);
  void end_block();
  void delta(Json delta);
  void event(Json event);
  Json message() const;
  Json usage(size_t output_tokens) const;

  std::mutex mutex_;  // open() comes from another thread than the rest
  EventStream stream_;
  const Setup setup_;
  const std::string id_;
  Json content_ = Json::array();
  Block block_ = Block::kNone;
  std::string arguments_;  // of the tool call that is open
  size_t prompt_tokens_ = 0, found_tokens_ = 0;
  bool started_ = false, ended_ = false;
};

}  // namespace mneme::serve

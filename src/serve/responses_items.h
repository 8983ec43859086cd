// Items of a Responses request's input, one after the other, as messages.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/json_fields.h"

namespace mneme::serve {

class ResponsesItems {
 public:
  void read(const Json& item, const std::string& path, RequestErrors& errors);
  // All messages so far. What an assistant thought, said and called in a row is one message.
  std::vector<ChatMessage> take();

 private:
  void read_message(const Fields& item);
  void read_call(const Fields& item, bool custom);
  void read_output(const Fields& item);
  void read_reasoning(const Fields& item);
  ChatMessage& assistant();
  void flush();

  std::vector<ChatMessage> messages_;
  std::optional<ChatMessage> assistant_;  // still growing
};

}  // namespace mneme::serve

// One line of JSON a request. Never a body, a query, a header or a key: what a log holds, many may read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace mneme::serve {

// Called from any thread, one line without its end.
using LogSink = std::function<void(std::string_view line)>;

struct RequestRecord {
  std::string id, method, path, pattern;  // pattern: of the endpoint; empty where there is none
  std::string owner, peer, model;
  int status = 0;
  bool gone = false;   // the client left before the end
  uint64_t bytes = 0;  // of the answer's body
  double seconds = 0;
  uint64_t prompt_tokens = 0, generated_tokens = 0;
};

std::string log_line(const RequestRecord& record);
// Something else that is worth a line: {"time", "event", "message"}.
std::string log_event(std::string_view event, std::string_view message);

}  // namespace mneme::serve

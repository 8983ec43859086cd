#include "serve/log.h"

#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace mneme::serve {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() %
                  1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text, ms);
}

std::string line_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string log_line(const RequestRecord& record) {
  Json line = {{"time", time_text()},
               {"id", record.id},
               {"method", record.method},
               {"path", record.path.substr(0, 200)},
               {"status", record.status},
               {"bytes", record.bytes},
               {"ms", std::round(record.seconds * 1e4) / 10}};
  if (record.gone) line["gone"] = true;
  if (!record.model.empty()) line["model"] = record.model;
  if (record.prompt_tokens + record.generated_tokens > 0) {
    line["prompt_tokens"] = record.prompt_tokens;
    line["generated_tokens"] = record.generated_tokens;
  }
  if (!record.owner.empty()) line["owner"] = record.owner;
  line["peer"] = record.peer;
  return line_of(line);
}

std::string log_event(std::string_view event, std::string_view message) {
  return line_of({{"time", time_text()}, {"event", event}, {"message", message}});
}

}  // namespace mneme::serve

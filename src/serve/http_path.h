// The target of a request as the rest of the room sees it: decoded, without doubled slashes and dots.
#pragma once

#include <string>
#include <string_view>

#include "mneme/result.h"

namespace mneme::serve {

struct Target {
  std::string path;   // begins with '/', or is "*"
  std::string query;  // as sent, without '?'
};

// "/v1//models/%2e/a?x=1" or "http://host/v1/models/a?x=1". An error for escapes that are none, zero bytes
// and other control characters, bytes that are no UTF-8, and paths that climb above the root.
Result<Target> parse_target(std::string_view target);

// %41 and, in a query, + as a blank. Escapes that are none stay as they are.
std::string decode_query_text(std::string_view text);
// The first value of `name`, decoded; empty where there is none.
std::string query_value_of(std::string_view query, std::string_view name);

}  // namespace mneme::serve

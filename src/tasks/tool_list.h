// Tools that no list has, and what is asked of them: tool_call's listings and tool_chat's conversations.
#pragma once

#include <string>
#include <vector>

#include "tasks/draft.h"
#include "tasks/schemas.h"

namespace mneme::tasks {

struct Tool {
  std::string name;   // "book_flight"
  std::string about;  // "book a flight", "预订航班"
  std::vector<ToolParameter> parameters;
};

// Up to `count` tools of the split in random order: verbs and objects meet once each. Train's may have names
// of any words.
std::vector<Tool> make_tools(Draft& draft, size_t count);

// "book_flight(city, date)": what a call has to keep to, in few words, whatever the listing looks like.
std::string signature_of(const Tool& tool);

struct ToolRequest {
  std::string question;  // in words
  std::string call;      // {"name": ..., "arguments": {...}}
};
ToolRequest any_request(Draft& draft, const Tool& tool);

}  // namespace mneme::tasks

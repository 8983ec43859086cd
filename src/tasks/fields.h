// What relations, schemas and tools are about: typed values, as prose says them and as JSON writes them.
#pragma once

#include <string>
#include <string_view>

#include "tasks/draft.h"

namespace mneme::tasks {

enum class FieldType : uint8_t {
  kPerson,
  kCity,
  kProduct,
  kDate,    // 2024-05-17
  kCount,   // 2 .. 999
  kAge,     // 18 .. 90
  kAmount,  // 100 .. 99999
  kYear,
  kColour,
  kName,  // a project, a company: "Harbour", "港口"
  kCode,  // letters and digits
  kFlag,  // true, false
};

struct FieldValue {
  std::string text;      // as prose and JSON say it, without quotes
  bool is_bare = false;  // JSON writes it without quotes: numbers and flags
};

FieldValue any_field(Draft& draft, FieldType type);
std::string json_of(const FieldValue& value);

}  // namespace mneme::tasks

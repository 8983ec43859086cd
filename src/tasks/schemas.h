// extraction's schemas and tool_call's tools: their fields, key names and sentences, cut into train and
// held-out.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tasks/fields.h"
#include "tasks/tasks.h"

namespace mneme::tasks {

struct SchemaField {
  std::string_view slot;          // as in the sentences: {a}
  std::vector<std::string> keys;  // what it may be called in JSON
  FieldType type;
};

// The first field is the subject: a person, a code or a name that no other record has.
struct Schema {
  std::string id;
  std::vector<SchemaField> fields;
  std::vector<std::string> sentences;
};

std::span<const Schema> schemas(Language language, Split split);
const std::vector<Schema>& schemas_english(Split split);
const std::vector<Schema>& schemas_chinese(Split split);

struct ToolParameter {
  std::string name;
  std::string type;  // of JSON Schema
  FieldType values;
  std::string about_english;  // "the city"
  std::string about_chinese;
};

struct ToolWord {
  std::string_view name;  // in the tool's name: "book"
  std::string_view english;
  std::string_view chinese;
};

std::span<const ToolParameter> tool_parameters(Split split);
std::span<const ToolWord> tool_verbs(Split split);
std::span<const ToolWord> tool_objects(Split split);

}  // namespace mneme::tasks

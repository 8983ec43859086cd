// Two JSON schemas as one that accepts what both accept.
#pragma once

#include <string>

#include "core/error.h"
#include "grammar/json_values.h"

namespace mneme::grammar {

// {"type": "object", ...} and {"required": [...]} -> one schema. Keywords that cannot be joined (two
// patterns, two formats): an error. What contradicts itself becomes `false`. "allOf" is left where only the
// compiler of schemas can resolve it.
Result<Json> merge_schemas(const Json& a, const Json& b);

// Keywords that say nothing about values.
bool is_annotation(const std::string& keyword);

}  // namespace mneme::grammar

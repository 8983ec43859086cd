// JSON text -> JinjaValue, for tests and tools that render a template from a file. (The server has its own
// reader.)
#pragma once

#include <string_view>

#include "core/error.h"
#include "model/jinja_value.h"

namespace mneme::model {

// RFC 8259, strictly; of two members with the same name the later counts. Integers that fit 64 bits stay
// integers.
// Nesting beyond kJinjaValueDepthMax, trailing text and anything malformed: an error with the byte position.
Result<JinjaValue> parse_json(std::string_view text);

}  // namespace mneme::model

// JSON text -> JinjaValue: tools' schemas and calls' arguments on their way into a template.
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

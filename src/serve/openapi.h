// The OpenAPI 3.1 document of every endpoint, put together from a part a protocol family.
#pragma once

#include <string_view>
#include <vector>

#include "serve/api.h"

namespace mneme::serve {

// Each a JSON object {"paths": {...}, "schemas": {...}}, with "responses" or without.
std::string_view openapi_own();
std::string_view openapi_openai();
std::string_view openapi_anthropic();
std::string_view openapi_text();

Json openapi_document();

}  // namespace mneme::serve

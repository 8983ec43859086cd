// What a schema says, told by other code than the compiler of schemas: a validator, and random schemas with
// random values that they accept.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/rng.h"

namespace mneme::grammar {

using OracleJson = nlohmann::ordered_json;

// Empty: `value` is one of the schema's. Otherwise what is wrong, and where.
std::string why_invalid(const OracleJson& root, const OracleJson& schema, const OracleJson& value);

OracleJson random_schema(core::Rng& rng);
// The properties are in the schema's order; nothing else is there where the schema does not say so.
OracleJson random_value(core::Rng& rng, const OracleJson& root, const OracleJson& schema, int depth = 0);

// Compact; or with a space after ',' and ':', each at random.
std::string random_text(core::Rng& rng, const OracleJson& value);

}  // namespace mneme::grammar

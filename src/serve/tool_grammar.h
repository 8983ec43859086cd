// What an answer may be, as a grammar: calls of the tools given with arguments of their schemas, text that
// holds no call or turns into one, a format, and reasoning before all of it.
#pragma once

#include <memory>
#include <string>

#include "serve/chat.h"
#include "serve/constraint_cache.h"
#include "serve/tool_dialect.h"

namespace mneme::serve {

enum class Reasoning : uint8_t { kNone, kMayBegin, kOpen };

// Null: the answer is free. Failures say what is wrong with a schema, grammar or expression.
tl::expected<std::shared_ptr<const grammar::Constraint>, Failure> answer_constraint(
    ConstraintCache& cache, const Text& text, const ChatRequest& request, const ToolDialect& dialect,
    Reasoning reasoning);

}  // namespace mneme::serve

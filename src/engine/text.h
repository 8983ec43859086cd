#pragma once

#include <memory>

#include "mneme/text.h"
#include "model/gguf.h"

namespace mneme::engine {

// The text side of an open file. The result does not need the file any more.
Result<std::unique_ptr<Text>> make_text(const model::Gguf& file);

}  // namespace mneme::engine

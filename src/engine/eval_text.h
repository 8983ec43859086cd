// Natural text for the contexts of an evaluation.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "mneme/text.h"
#include "tasks/text.h"

namespace mneme::engine {

// Files, and all files of folders (in the order of their paths; none whose name, or whose folder's, begins
// with a dot), kept in memory: 1 GiB at most, what is beyond is left out. So are documents that are no UTF-8
// and those that spell special tokens of `text`'s vocabulary, which would end a turn in the middle of it.
// Fails for what cannot be read, and where nothing is left.
Result<std::unique_ptr<tasks::TextSource>> load_documents(std::span<const std::string> paths,
                                                          const Text& text);

}  // namespace mneme::engine

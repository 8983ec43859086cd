// Recitals: what a model says of the context before it answers, as a thought. Going on with what it has just
// said is the first thing that attention learns; finding what a question is about, some words further on, the
// last. A recital makes the second into the first: it begins with what the question names.
#pragma once

#include <string>
#include <string_view>

#include "tasks/tasks.h"

namespace mneme::tasks {

// The part of a record from its key to its value, or from its value to its key: whichever comes first. The
// blank in front is part of it, as tokens are. Empty where the record has not both of them.
std::string recital(std::string_view record, std::string_view key, std::string_view value);

// An answer that stands in the context, before it is said again; of a long one its first words.
std::string recital_of(std::string_view answer);

// The same, with some of what stands in front of it on its line.
std::string recital_at(std::string_view context, size_t answer_begin, size_t answer_end);

}  // namespace mneme::tasks

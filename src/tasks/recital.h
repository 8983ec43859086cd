// Recitals: what a model says of the context before it answers, as a thought. Going on with what it has just
// said is the first thing that attention learns; finding what a question is about, some words further on, the
// last. A recital makes the second into the first: it always begins with what the question names, and where
// what is wanted stands in front of that in the context, an arrow leads back to it.
#pragma once

#include <string>
#include <string_view>

#include "tasks/tasks.h"

namespace mneme::tasks {

// Of a record, from what the question names to what it wants: "red-fox is 42", or, where that comes first,
// "red-fox <- 42". The blank in front is part of it, as tokens are. Empty where the record has not both.
std::string recital(std::string_view record, std::string_view named, std::string_view wanted);

// An answer that stands in the context, before it is said again; of a long one its first words.
std::string recital_of(std::string_view answer);

// The same, from what the question names in front of it.
std::string recital_from(std::string_view context, size_t named_begin, size_t answer_begin,
                         size_t answer_end);

// The first `count` words (of Chinese: characters) of what stands behind `beginning`, each with its number,
// so that how many were said is read and not felt: "the harbour" and " was quiet that", 2: "the harbour
// was|1| quiet|2|". All of them, however long.
std::string recital_counted(std::string_view beginning, std::string_view words, size_t count);

// Where what the question names stands within what it wants or behind it: "named <- told".
std::string recital_back(std::string_view named, std::string_view told);

}  // namespace mneme::tasks

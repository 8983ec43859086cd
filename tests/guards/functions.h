// Finds function bodies in C++ text without a compiler, well enough to measure them.
#pragma once

#include <string>
#include <vector>

#include "guards/source_tree.h"

namespace mneme::guards {

struct Function {
  std::string head;   // text before the body, one line, blanks as written
  size_t first = 0;   // line where the head begins, from 1
  size_t last = 0;    // line of the closing brace
};

// Functions defined at namespace or class level, and lambdas that initialise a variable there; what is nested
// in them counts as part of them. Braces are matched over the code (comments and literals are gone); the text
// since the last ; { or } decides what a brace opens. Preprocessor lines are passed over, so the branches of
// an #if must each close what they open.
std::vector<Function> find_functions(const SourceFile& file);

}  // namespace mneme::guards

// The tidy guard: the house rules that a program can check, one function a rule.
#pragma once

#include <string_view>
#include <vector>

#include "guards/source_tree.h"

namespace mneme::guards {

inline constexpr size_t kLineMax = 110;      // characters (code points)
inline constexpr size_t kFileMax = 500;      // lines
inline constexpr size_t kFunctionMax = 70;   // lines, from the head's first to the closing brace

// Lines too long, files too long, functions too long.
std::vector<Violation> check_sizes(const SourceFile& file);
// Tabs, blanks at the end of a line, carriage returns, a last line that does not end. For any text file.
std::vector<Violation> check_whitespace(std::string_view path, std::string_view text);
// Names that say nothing: Manager, Helper, Util, Handler, Processor; folders utils/, common/, misc/.
std::vector<Violation> check_names(const SourceFile& file);
// Library code does not print: src/ but for src/cli, tests and core/error.cpp (which reports a bug and
// aborts), and include/.
std::vector<Violation> check_printing(const SourceFile& file);
// Headers begin with #pragma once (after their opening comment).
std::vector<Violation> check_pragma_once(const SourceFile& file);
// TODO and its like only with a sentence.
std::vector<Violation> check_reminders(const SourceFile& file);
// Intrinsics only in the folders of src/kernels that are built for a machine.
std::vector<Violation> check_intrinsics(const SourceFile& file);

// All rules about C++ files.
std::vector<Violation> check_tidy(const std::vector<SourceFile>& files);

}  // namespace mneme::guards

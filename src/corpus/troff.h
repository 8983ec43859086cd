// Manual pages in troff source (man and mdoc macros), and Info files, to plain text.
#pragma once

#include <string>
#include <string_view>

namespace mneme::corpus {

// Headings with #, filled paragraphs on a line each, unfilled text as it stands. Knows the macros that manual
// pages use, not troff: requests that compute are dropped. Any bytes are fine.
std::string troff_to_text(std::string_view page);

// The text without the lines that tie Info's nodes together.
std::string info_to_text(std::string_view info);

}  // namespace mneme::corpus

// Lines and passages of a context: finding them, and being sure that there is but one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tasks/draft.h"
#include "tasks/haystack.h"

namespace mneme::tasks {

// Whether text has pattern exactly once (overlaps count). One pass.
bool occurs_once(std::string_view text, std::string_view pattern);
// Whether text has beginning, and each time (at most 64) rest behind it: then there is one answer, though
// documents repeat. One pass.
bool always_followed(std::string_view text, std::string_view beginning, std::string_view rest);
// The line that byte `at` lies in, without its end ('\n', "\r\n") and without blanks in front.
Range line_around(std::string_view text, size_t at);
// Appends noise of at most `bytes`, its lines wrapped at `width` bytes (at blanks, where there are any);
// blank lines are dropped. Returns the lines, each without its end.
std::vector<Range> append_wrapped(Noise& noise, std::string& out, size_t bytes, size_t width);
// Where the first count words of text end (characters, not words, where text begins with a Chinese one); 0
// where it has fewer.
size_t end_of_words(std::string_view text, size_t count);
bool is_chinese(std::string_view text);
// A byte in [0, last]: at the request's depth, some lines around it, or anywhere.
size_t place_near(Draft& draft, size_t last);

}  // namespace mneme::tasks

// Text that people write, told from data: what a model should read of a file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "corpus/documents.h"

namespace mneme::corpus {

// UTF-8 throughout, not empty, no NUL.
bool is_text(std::string_view bytes);

// The text with lines as the corpus has them: ended by \n, no trailing space, no control characters but tabs,
// no byte-order mark, at most two blank lines together (one in prose), none at either end. Lines that are no
// language are dropped: longer than a line of their kind ever is (code: 400 bytes; prose: 20,000, a
// paragraph), or with an unbroken run of 200 ASCII bytes (base64, minified code). `text` is valid UTF-8.
std::string clean_lines(std::string_view text, Kind kind);

// Mostly letters? Tables of numbers, hex dumps and drawings are not.
bool reads_like_language(std::string_view text, Kind kind);

// English or Chinese, by the words or characters there are; nullopt for any other language, or too little to
// tell.
std::optional<Language> prose_language(std::string_view text);

}  // namespace mneme::corpus

// What train makes up on the spot, so that no list can be learned by heart: words and clauses of the source's
// own text, sentences around a key and a value, record formats, field names, labels. Held-out uses none of
// it, and none of it is a word, format or label of held-out.
#pragma once

#include <string>
#include <string_view>

#include "tasks/draft.h"
#include "tasks/record_formats.h"
#include "tasks/schemas.h"

namespace mneme::tasks {

// One way to read a pattern: of "[a|b|]", which may nest, one alternative. Fields stay as they are.
std::string expand(Draft& draft, std::string_view pattern);

// A word of the source's text: 3 to 12 small letters, or two or three Chinese characters.
std::string text_word(Draft& draft, Language language);
// Some words of running text, without punctuation; empty where count is 0.
std::string text_clause(Draft& draft, size_t count);

// A sentence that says a {key} and its {value}, and a question that says {key} (or another field's name), in
// words that mean nothing.
std::string open_record(Draft& draft);
std::string open_question(Draft& draft, std::string_view field);
// The wording with a word outside its fields replaced.
std::string blurred(Draft& draft, std::string wording);

RecordFormat open_record_format(Draft& draft);
// "<{number}> ": what stands in front of a line or a file.
std::string open_label(Draft& draft, std::string_view field, bool own_line);
// Four fields whose names the sentence says.
Schema open_schema(Draft& draft);
ToolParameter open_parameter(Draft& draft);
// "read_lamp", "readLamp": a name of English words, as programs have them.
std::string open_name(Draft& draft, size_t words);

}  // namespace mneme::tasks

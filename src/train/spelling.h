// What tokens have in common. " Key", "key" and "_KEY" are the same letters, written in three ways; a
// byte-level vocabulary has a token for each, and a row of its own would have to be learned for each: a word
// that training showed once, behind a blank, could not be told at the start of an answer. Rows that are sums
// of a part for the letters and a part for the form know all of them from one.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/vocabulary.h"

namespace mneme::train {

struct Spelling {
  std::vector<int64_t> letters, forms;  // [vocab_size]; no two tokens agree in both
  int64_t letters_count = 0, forms_count = 0;

  bool empty() const { return letters.empty(); }
};

// The form is one blank or ASCII sign in front of letters, one blank in front of anything else, and the case
// of ASCII letters: all small, the first one or all of them large. Whatever is written in another way, and
// special tokens, have letters of their own.
Spelling spelling_of(const corpus::Vocabulary& vocabulary);

// What n-gram tables take for the same token, the token map of Network: tokens that differ in case or blanks
// have one class.
std::vector<uint32_t> classes_of(const corpus::Vocabulary& vocabulary);

}  // namespace mneme::train

// Records laid into noise. Noise is the source's text, read on from where it was left, so that it flows
// around a record; it is cut behind a sentence or a line where one ends nearby, and at a character always.
#pragma once

#include <string>
#include <vector>

#include "tasks/draft.h"

namespace mneme::tasks {

// A reader of the source that never ends.
class Noise {
 public:
  Noise(Draft& draft, TextKind kind, Language language) : draft_(draft), kind_(kind), language_(language) {}
  // Appends at most bytes, and less only to end at a character.
  void fill(std::string& out, size_t bytes);
  // As fill, but stops behind a sentence or a line where one ends in the last bytes.
  void fill_to_break(std::string& out, size_t bytes);
  // What follows comes from another document.
  void skip_document();

 private:
  void take(std::string& out, size_t bytes);
  void open_next();

  Draft& draft_;
  TextKind kind_;
  Language language_;
  std::string_view piece_;  // of the open document
  size_t at_ = 0;           // bytes of piece_ that were given out
};

// The source of last resort, for where the caller's has nothing.
const TextSource& built_in_text();

// Mostly prose of the sample's language, sometimes code.
Noise any_noise(Draft& draft);

struct Record {
  std::string text;
  bool asked = false;   // lies at the request's depth where it names one
  double place = -1.0;  // else in [0,1]; negative: anywhere
  Range range{};        // set by bury(): where it lies in the context
  bool kept = false;    // set by bury(): whether it had room
};

struct Burial {
  std::string before;     // in front of everything: a preamble, or nothing
  bool own_lines = true;  // each record on a line of its own; else between sentences
  size_t reserve = 0;     // bytes at the end to leave free
  bool prose = false;     // the noise is prose of the sample's language; else of any_noise()
};

// Fills the sample's context to context_bytes: noise with the records in it. In the given order, a record is
// kept where it still has room. A preamble that has no room is left out.
void bury(Draft& draft, std::vector<Record>& records, const Burial& burial);

// A preamble of the sample's language, or nothing; ends in a line end.
std::string any_preamble(Draft& draft);
// Ends the context with the blank line that stands in front of the first question; needs 2 bytes of room
// (bury and pack keep them).
inline constexpr std::string_view kContextEnd = "\n\n";

// Records that fill the context by themselves (tables, lists): which of count records the questions ask for,
// in random order; neighbours at the depth where the request names one.
std::vector<size_t> choose_asked(Draft& draft, size_t count, size_t questions);

}  // namespace mneme::tasks

// What the generators of ruler.h work on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tasks/draft.h"
#include "tasks/ruler.h"

namespace mneme::tasks {

struct RulerDraft {
  RulerTask task;
  const RulerRequest& request;
  Draft& draft;  // the context is made in its sample
  std::vector<RulerQuestion> questions = {};
};

enum class RulerText : uint8_t {
  kNiahPreamble,   // {type}
  kNeedle,         // {type} {key} {value}
  kNiahOne,        // {type} {key}
  kNiahOnePrefix,  // {type} {key}
  kNiahAll,
  kNiahAllPrefix,
  kVariablePreamble,
  kVariableValue,     // {to} {value}
  kVariableCopy,      // {to} {from}
  kVariableQuestion,  // {value}
  kVariablePrefix,    // {value} {count}
  kCommonPreamble,
  kCommonQuestion,  // {count}
  kCommonPrefix,    // {count}
  kFrequentPreamble,
  kFrequentQuestion,
  kFrequentPrefix,
};
std::string_view ruler_text(RulerText text, Language language);

// RULER's haystack without a word of interest.
const TextSource& repeated_sentences();

// "agile-beacon"; a third word once many were made. Fresh.
std::string fresh_ruler_word(Draft& draft);

void make_ruler_niah(RulerDraft& ruler);
void make_ruler_variables(RulerDraft& ruler);
void make_ruler_common_words(RulerDraft& ruler);
void make_ruler_frequent_words(RulerDraft& ruler);

}  // namespace mneme::tasks

// Tasks in the style of RULER (Hsieh et al. 2024, arXiv 2404.06654): needles in a haystack of three kinds,
// variable tracking, common and frequent words. A family of its own beside tasks.h: nothing of it is trained
// on, several strings may be expected, and the score is the share of them that the answer contains.
//
// Wordings follow RULER's, words and numbers are of the held-out side (fwe's coded words: random letters of
// either), haystacks come from the source (RULER: essays) or are RULER's repeated sentences; there are no
// examples in front. Chinese likewise.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "tasks/tasks.h"

namespace mneme::tasks {

enum class RulerTask : uint8_t {
  kNiahSingle1,       // a number in repeated sentences
  kNiahSingle2,       // a number in the source's text
  kNiahSingle3,       // a UUID in the source's text
  kNiahMultikey1,     // a number among three more needles
  kNiahMultikey2,     // a number in a haystack of needles
  kNiahMultikey3,     // a UUID by a UUID in a haystack of needles
  kNiahMultivalue,    // four numbers of one key
  kNiahMultiquery,    // the numbers of four keys
  kVariableTracking,  // five names of one value, each assigned from the one before
  kCommonWords,       // the ten words that a numbered list has more often than the others
  kFrequentWords,     // the three most frequent coded words, counts by Zipf's law with exponent 2
};

struct RulerRequest {
  Language language = Language::kEnglish;
  size_t context_bytes = 4096;  // never more
  // One a question: where what it asks for lies, in [0, 1]; without meaning where !has_depth(). Words are
  // asked for once. Fewer questions where there is no room.
  std::vector<double> places = {0.5};
  // Whether all of a question's needles lie at its place; else they are spread evenly, from there round.
  bool together = false;
};

struct RulerQuestion {
  std::string text;
  std::string answer_prefix;  // the beginning of the answer, which RULER gives
  std::vector<std::string> expected;
  std::vector<Range> evidence;  // of the context; empty where the answer rests on all of it
};

struct RulerSample {
  std::string context;                   // ends in a blank line; UTF-8
  std::vector<RulerQuestion> questions;  // none where not one has room
};

RulerSample generate_ruler(RulerTask task, const RulerRequest& request, const TextSource& source,
                           core::Rng& rng);

// The share of the expected strings that the output contains, whatever the case of ASCII letters.
double ruler_score(std::span<const std::string> expected, std::string_view output);

std::span<const RulerTask> all_ruler_tasks();
std::string_view name(RulerTask task);  // "niah_multikey_1"
std::optional<RulerTask> parse_ruler_task(std::string_view name);
bool has_depth(RulerTask task);
// Tokens that RULER gives an answer at most.
int answer_tokens_max(RulerTask task);

}  // namespace mneme::tasks

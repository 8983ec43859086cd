// copy: going on from a beginning, exactly; natural text, code and random strings.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/lines.h"
#include "tasks/recital.h"
#include "tasks/utf8.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

constexpr size_t kContinuationBytes = 100;

// Behind the next blank or line end nearby, or `at`.
size_t word_start(std::string_view text, size_t at) {
  const size_t blank = text.substr(at, 16).find_first_of(" \n");
  return blank == std::string_view::npos ? at : at + blank + 1;
}

// In front of the last blank or line end nearby, or `at`.
size_t word_end(std::string_view text, size_t at) {
  const size_t from = at - std::min<size_t>(at, 16);
  const size_t blank = text.substr(from, at - from).find_last_of(" \n");
  return blank == std::string_view::npos ? at : from + blank;
}

size_t room_for_text(const Draft& draft) {
  const size_t all = draft.request.context_bytes;
  return all > kContextEnd.size() ? all - kContextEnd.size() : 0;
}

// The context, a blank line, and the beginning again; the answer is what followed it. One question.
void continue_text(Draft& draft) {
  std::string& context = draft.sample.context;
  draft.sample.layout = Layout::kContinuation;
  draft.sample.form = "continuation";
  const size_t beginning_max = draft.between(30, 70);
  const size_t room = room_for_text(draft);
  if (room < beginning_max * 2 + kContinuationBytes) return;
  any_noise(draft).fill(context, room - beginning_max);
  const size_t last = context.size() - kContinuationBytes - beginning_max;
  for (int tries = 0; tries < 12; ++tries) {
    const std::string_view text = context;
    // From word to word: cut words make other tokens than whole ones.
    const size_t begin = word_start(text, floor_boundary(text, place_near(draft, last)));
    const size_t end = word_end(text, floor_boundary(text, begin + beginning_max));
    if (end < begin + 16) continue;
    const size_t stop = floor_boundary(text, end + kContinuationBytes);
    const std::string beginning(text.substr(begin, end - begin));
    const std::string answer(text.substr(end, stop - end));
    if (trimmed(beginning).size() * 2 < beginning.size() || trimmed(answer).size() * 2 < answer.size())
      continue;
    if (!always_followed(text, beginning, answer)) continue;
    context += kContextEnd;
    context += beginning;
    draft.sample.turns.push_back({Role::kAssistant, answer, {end, stop}});
    return;
  }
}

// Random strings on lines of their own; asked by their first characters.
void copy_codes(Draft& draft) {
  draft.sample.form = "random_string";
  std::vector<Record> records;
  std::vector<std::string> codes;
  const size_t count = std::min(draft.questions(), draft.request.context_bytes / 24 + 1);
  const ValueKind kind = draft.chance(0.5f) ? ValueKind::kMixed : ValueKind::kHex;
  for (size_t i = 0; i < count; ++i) {
    std::string code;
    const size_t bytes = draft.between(16, 100);
    while (code.size() < bytes) code += fresh_value(draft, kind);
    code.resize(bytes);
    codes.push_back(code);
    records.push_back({std::move(code), true});
  }
  bury(draft, records, {.before = any_preamble(draft)});
  for (size_t i = 0; i < count; ++i) {
    if (!records[i].kept) continue;
    const std::string beginning = codes[i].substr(0, draft.between(8, 10));
    if (!occurs_once(draft.sample.context, beginning)) continue;
    draft.ask(fill(any_wording(draft, Slot::kCopyCode), {{"beginning", beginning}}), codes[i],
              records[i].range);
  }
}

// One question about a line: its rest, or the next words of it. False where the line does not serve.
bool ask_about_line(Draft& draft, Range line) {
  const std::string_view context = draft.sample.context;
  const std::string_view text = context.substr(line.begin, line.size());
  if (text.size() < 48) return false;
  const bool words = !is_chinese(text);
  const size_t begin = end_of_words(text, words ? draft.between(3, 6) : draft.between(6, 12));
  if (begin == 0 || begin + 16 > text.size() || begin > 80) return false;
  const std::string beginning(text.substr(0, begin));
  const std::string_view rest = text.substr(begin);
  if (rest.size() <= 120 && (words != draft.english() || draft.chance(0.5f))) {
    const std::string_view to_end = context.substr(line.begin + begin, rest.size() + 1);
    if (!always_followed(context, beginning, to_end)) return false;
    draft.ask(fill(any_wording(draft, Slot::kCopyLine), {{"beginning", beginning}}),
              std::string(trimmed(rest)), {line.begin + begin, line.end},
              recital_from(context, line.begin, line.begin + begin, line.end));
    return true;
  }
  const size_t count = draft.between(5, 16);
  const size_t end = end_of_words(rest, count);
  // Words are counted in English questions, characters in Chinese ones.
  if (end == 0 || end > 120 || words != draft.english()) return false;
  if (!always_followed(context, beginning, rest.substr(0, end))) return false;
  draft.ask(fill(any_wording(draft, Slot::kCopyWords),
                 {{"beginning", beginning}, {"count", std::to_string(count)}}),
            std::string(trimmed(rest.substr(0, end))), {line.begin + begin, line.begin + begin + end},
            recital_counted(beginning, rest, count));
  return true;
}

void copy_lines(Draft& draft) {
  draft.sample.form = "line";
  std::vector<Record> none;
  bury(draft, none, {.before = any_preamble(draft)});
  const std::string& context = draft.sample.context;
  std::unordered_set<size_t> seen;
  const size_t wanted = std::min(draft.questions(), context.size() / 48);
  for (size_t tries = 0; tries < wanted * 6 && draft.sample.turns.size() < wanted * 2; ++tries) {
    if (context.size() < 64) return;
    const Range line = line_around(context, place_near(draft, context.size() - 2));
    if (seen.insert(line.begin).second) ask_about_line(draft, line);
  }
}

}  // namespace

void make_copy(Draft& draft) {
  const float way = draft.rng.next_unit();
  if (way < 0.3f) continue_text(draft);
  if (way >= 0.5f) copy_lines(draft);
  if (!draft.sample.turns.empty()) return;
  draft.sample.layout = Layout::kChat;
  draft.sample.context.clear();
  copy_codes(draft);
}

}  // namespace mneme::tasks

// quote_line: a line of real text by its number, its beginning or a phrase of it, among lines that differ by
// a word.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/lines.h"
#include "tasks/open.h"
#include "tasks/recital.h"
#include "tasks/utf8.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Page {
  std::vector<Range> lines;   // in the context, without labels
  std::vector<size_t> twins;  // lines that are another line with a word changed
};

// The line with one of its words replaced; nothing where it has too few.
std::string twin_of(Draft& draft, std::string_view line) {
  const size_t cut = end_of_words(line, draft.between(1, 4));
  if (cut == 0 || cut >= line.size()) return {};
  const std::string_view rest = line.substr(cut);
  const size_t word_size = end_of_words(rest, is_chinese(rest) ? 2 : 1);
  if (word_size == 0) return {};
  const std::string_view gap = rest[0] == ' ' ? " " : "";
  std::string twin = std::string(line.substr(0, cut)) + std::string(gap) + word(draft, WordClass::kNoun);
  twin += rest.substr(word_size);
  return twin == line ? std::string() : twin;
}

// Wrapped noise, line by line, with twins some lines behind their originals; each with a label if label is
// given.
Page lay_lines(Draft& draft, std::string_view label, size_t room) {
  std::string& context = draft.sample.context;
  Page page;
  std::string text;
  const size_t width = draft.between(60, 110);
  Noise noise = any_noise(draft);
  const std::vector<Range> lines = append_wrapped(noise, text, room, width);
  const float twins = lines.empty() ? 0 : std::min(0.2f, 0.05f + 2.0f / static_cast<float>(lines.size()));
  const auto put = [&](std::string_view line) {
    const std::string front = fill(label, {{"number", std::to_string(page.lines.size() + 1)}});
    if (context.size() + front.size() + line.size() + 1 > room) return false;
    context += front;
    page.lines.push_back({context.size(), context.size() + line.size()});
    context += line;
    context += '\n';
    return true;
  };
  std::string twin;
  for (const Range& range : lines) {
    const std::string_view line = std::string_view(text).substr(range.begin, range.size());
    if (!put(line)) break;
    if (!twin.empty() && draft.chance(0.3f)) {
      if (!put(twin)) break;
      page.twins.push_back(page.lines.size() - 1);
      twin.clear();
    }
    if (twin.empty() && draft.chance(twins)) twin = twin_of(draft, line);
  }
  return page;
}

// The shortest beginning of the line, of whole words, that leads nowhere else; nothing where there is none.
std::string own_beginning(Draft& draft, std::string_view context, std::string_view line) {
  // line is a view of context: the byte behind it is its end, and tells it from longer ones.
  const auto begin = static_cast<size_t>(line.data() - context.data());
  const std::string_view whole = context.substr(begin, line.size() + 1);
  const size_t step = is_chinese(line) ? 4 : 1;
  for (size_t count = draft.between(3, 5) * (step == 4 ? 2 : 1); count < 40; count += step) {
    const size_t end = end_of_words(line, count);
    if (end == 0 || end * 4 > line.size() * 3) return {};
    if (always_followed(context, line.substr(0, end), whole.substr(end)))
      return std::string(line.substr(0, end));
  }
  return {};
}

// Some words of the line that stand nowhere else.
std::string own_phrase(Draft& draft, std::string_view context, std::string_view line) {
  const size_t from = end_of_words(line, draft.between(1, 4));
  if (from == 0) return {};
  const std::string_view rest = line.substr(from);
  const size_t end = end_of_words(rest, is_chinese(rest) ? draft.between(6, 10) : draft.between(3, 5));
  if (end < 10) return {};
  const std::string phrase(trimmed(rest.substr(0, end)));
  return occurs_once(context, phrase) ? phrase : std::string();
}

void ask_for_line(Draft& draft, const Page& page, size_t index, bool numbered) {
  const Range range = page.lines[index];
  const std::string_view context = draft.sample.context;
  const std::string_view line = trimmed(context.substr(range.begin, range.size()));
  if (line.size() < 24) return;
  if (numbered && draft.chance(0.8f)) {
    const std::string number = std::to_string(index + 1);
    // Its label may have a word in front of the number.
    const size_t number_at = context.rfind(number, range.begin - number.size());
    draft.ask(fill(any_wording(draft, Slot::kLineByNumber), {{"number", number}}), std::string(line), range,
              recital_from(context, number_at, range.begin, range.end));
    return;
  }
  const bool by_phrase = draft.chance(0.4f);
  const std::string part = by_phrase ? own_phrase(draft, context, line) : own_beginning(draft, context, line);
  if (part.empty()) return;
  const std::string wording = any_wording(draft, by_phrase ? Slot::kLineByPhrase : Slot::kLineByBeginning);
  draft.ask(fill(wording, {{"phrase", part}, {"beginning", part}}), std::string(line), range,
            by_phrase ? recital_back(part, recital_of(line)) : recital_of(line));
}

void quote_lines(Draft& draft, bool numbered) {
  constexpr std::string_view kLabels[] = {"{number}: ", "[{number}] ", "{number}\t", "{number} | "};
  constexpr std::string_view kLabelsHeldOut[] = {"L{number} ", "#{number} "};
  const bool open = draft.makes_up(0.5f);
  const std::string label = !numbered       ? std::string()
                            : open          ? open_label(draft, "number", false)
                            : draft.train() ? std::string(draft.any_of(kLabels))
                                            : std::string(draft.any_of(kLabelsHeldOut));
  draft.sample.form = numbered ? "numbered" : "plain";
  const size_t all = draft.request.context_bytes;
  const size_t room = all > kContextEnd.size() ? all - kContextEnd.size() : 0;
  const std::string preamble = any_preamble(draft);
  if (preamble.size() < room / 4) draft.sample.context = preamble;
  const Page page = lay_lines(draft, label, room);
  if (all >= draft.sample.context.size() + 1) draft.sample.context += '\n';
  const size_t wanted = draft.questions();
  std::unordered_set<size_t> asked;
  const auto try_line = [&](size_t index) {
    if (draft.sample.turns.size() < wanted * 2 && asked.insert(index).second) {
      ask_for_line(draft, page, index, numbered);
    }
  };
  if (draft.request.depth < 0) {
    for (const size_t i : choose_asked(draft, page.twins.size(), wanted / 2)) try_line(page.twins[i]);
  }
  for (const size_t i : choose_asked(draft, page.lines.size(), wanted * 4)) try_line(i);
}

}  // namespace

void make_quote_line(Draft& draft) {
  const bool numbered = draft.chance(0.4f);
  quote_lines(draft, numbered);
  if (numbered || !draft.sample.turns.empty()) return;
  // Text whose lines are too much alike: numbers tell them apart.
  draft.sample.context.clear();
  quote_lines(draft, true);
}

}  // namespace mneme::tasks

// symbol_definition and fill_in_middle: code of the source, as it is.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/lines.h"
#include "tasks/recital.h"
#include "tasks/utf8.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

constexpr size_t kLineMax = 120;

struct Definition {
  std::string_view name;
  Range line;
};

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view name_at(std::string_view text) {
  size_t size = 0;
  while (size < text.size() && is_name(text[size])) ++size;
  return text.substr(0, size);
}

// The name that this line defines, or nothing: behind a word that defines, or a C function's head.
std::string_view defined_name(std::string_view line) {
  constexpr std::string_view kWords[] = {
      "def ",  "async def ", "class ",     "struct ", "#define ",        "fn ", "pub fn ", "func ",
      "enum ", "function ",  "interface ", "trait ",  "export function "};
  for (const std::string_view word : kWords) {
    if (!line.starts_with(word)) continue;
    if (line.back() == ';') return {};  // a declaration
    return name_at(line.substr(word.size()));
  }
  const size_t open = line.find('(');
  if (open == std::string_view::npos || open < 5 || !is_name(line[0])) return {};
  if (line.back() != '{' && line.back() != ')') return {};
  const std::string_view head = line.substr(0, open);
  for (const std::string_view word :
       {"=", ".", "return", "if ", "for ", "while ", "switch ", "else", "\"", "'"}) {
    if (head.find(word) != std::string_view::npos) return {};
  }
  size_t begin = open;
  while (begin > 0 && is_name(line[begin - 1])) --begin;
  // A type stands in front of it, or this is a call.
  if (begin < 2 || (line[begin - 1] != ' ' && line[begin - 1] != '*' && line[begin - 1] != '&')) return {};
  return name_at(line.substr(begin));
}

// The definitions of names that have one (or several alike), in the order of the context.
std::vector<Definition> definitions_of(std::string_view context) {
  std::vector<Definition> found;
  std::unordered_map<std::string_view, std::string_view> lines;  // by name; empty where there are two
  for (size_t at = 0; at < context.size();) {
    const Range line = line_around(context, at);
    at = std::min(context.find('\n', at), context.size() - 1) + 1;
    const std::string_view text = context.substr(line.begin, line.size());
    if (text.size() < 8) continue;
    const std::string_view name = defined_name(text);
    if (name.size() < 4) continue;
    const auto [known, first] = lines.emplace(name, text);
    if (!first && known->second != text) known->second = {};
    if (text.size() <= kLineMax) found.push_back({name, line});
  }
  std::erase_if(found, [&](const Definition& one) { return lines[one.name].empty(); });
  return found;
}

size_t room_for_text(const Draft& draft) {
  const size_t all = draft.request.context_bytes;
  return all > kContextEnd.size() ? all - kContextEnd.size() : 0;
}

void lay_code(Draft& draft, const TextSource& source) {
  Draft other{draft.request, source, draft.rng, {}, {}};
  draft.sample.context = any_preamble(draft);
  const size_t room = room_for_text(draft);
  if (draft.sample.context.size() > room / 4) draft.sample.context.clear();
  Noise noise(other, TextKind::kCode, Language::kEnglish);
  noise.fill(draft.sample.context, room - draft.sample.context.size());
  if (draft.request.context_bytes >= draft.sample.context.size() + kContextEnd.size()) {
    draft.sample.context += kContextEnd;
  }
}

}  // namespace

void make_symbol_definition(Draft& draft) {
  draft.sample.form = "source";
  lay_code(draft, draft.source);
  std::vector<Definition> all = definitions_of(draft.sample.context);
  if (all.empty()) {
    draft.sample.form = "built_in";
    lay_code(draft, built_in_text());
    all = definitions_of(draft.sample.context);
  }
  // By place, not by count: definitions are dense in some files.
  std::vector<size_t> order = choose_asked(draft, all.size(), draft.questions());
  if (draft.request.depth >= 0) {
    const auto target = static_cast<size_t>(draft.request.depth *
                                            static_cast<double>(draft.sample.context.size()));
    const auto distance = [&](size_t i) {
      const size_t at = all[i].line.begin;
      return at > target ? at - target : target - at;
    };
    order.resize(all.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return distance(a) < distance(b); });
    if (order.size() > draft.questions()) order.resize(draft.questions());
  }
  for (const size_t i : order) {
    const Definition& one = all[i];
    if (!draft.used.emplace(one.name).second) continue;  // the same document came twice
    const std::string line = draft.sample.context.substr(one.line.begin, one.line.size());
    draft.ask(fill(any_wording(draft, Slot::kSymbolQuestion), {{"name", one.name}}), line, one.line,
              recital_back(one.name, line));
  }
}

// A line or two of code, or a line's end, between what stands in front and what stands behind.
void make_fill_in_middle(Draft& draft) {
  Sample& sample = draft.sample;
  sample.layout = Layout::kFillInMiddle;
  std::string text;
  Noise noise(draft, TextKind::kCode, Language::kEnglish);
  noise.fill(text, draft.request.context_bytes);
  if (text.size() < 16) return;
  for (int tries = 0; tries < 40; ++tries) {
    const Range line = line_around(text, place_near(draft, text.size() - 1));
    if (line.size() < 8) continue;
    Range middle = line;
    const size_t way = draft.below(3);
    if (way == 0) {  // from a word of the line to its end
      const size_t cut = text.find_first_of(" (.,", line.begin + line.size() / 3);
      if (cut < line.end - 3) middle.begin = cut + 1;
    } else if (way == 1 && line.end + 1 < text.size()) {  // two lines
      const Range next = line_around(text, line.end + 1);
      if (next.begin > line.end && next.size() > 0) middle.end = next.end;
    }
    // The last line may be cut.
    if (middle.size() < 3 || middle.size() > kLineMax || middle.end + 1 >= text.size()) continue;
    sample.form = way == 0 ? "line_end" : way == 1 ? "two_lines" : "line";
    sample.context = text.substr(0, middle.begin);
    sample.suffix = text.substr(middle.end);
    sample.turns.push_back({Role::kAssistant, text.substr(middle.begin, middle.size()), {}});
    return;
  }
}

}  // namespace mneme::tasks

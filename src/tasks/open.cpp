#include "tasks/open.h"

#include <unordered_set>

#include "tasks/haystack.h"
#include "tasks/utf8.h"
#include "tasks/values.h"
#include "tasks/words.h"

namespace mneme::tasks {
namespace {

constexpr size_t kStretchBytes = 2048;  // of the source at a time
constexpr size_t kStretchUses = 60;     // then another one

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_small(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// Behind the alternatives that begin at `open` (a '['): past its ']'.
size_t group_end(std::string_view pattern, size_t open) {
  int depth = 0;
  for (size_t i = open; i < pattern.size(); ++i) {
    if (pattern[i] == '[') ++depth;
    if (pattern[i] == ']' && --depth == 0) return i + 1;
  }
  return pattern.size();
}

// What stands between the '|' of "[a|b]"; those of inner groups do not count.
std::vector<std::string_view> alternatives(std::string_view group) {
  const std::string_view inside = group.substr(1, group.size() - 2);
  std::vector<std::string_view> all;
  size_t from = 0;
  int depth = 0;
  for (size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] == '[') ++depth;
    if (inside[i] == ']') --depth;
    if (inside[i] != '|' || depth > 0) continue;
    all.push_back(inside.substr(from, i - from));
    from = i + 1;
  }
  all.push_back(inside.substr(from));
  return all;
}

bool is_held_out(const std::string& word) {
  static const auto* const all = [] {
    auto* set = new std::unordered_set<std::string>;  // lives as long as the program
    for (size_t i = 0; i < kWordClasses; ++i) {
      for (const Language language : {Language::kEnglish, Language::kChinese}) {
        for (const auto word : words(static_cast<WordClass>(i), language, Split::kHeldOut)) {
          set->emplace(word);
          if (word[0] >= 'A' && word[0] <= 'Z') {
            set->insert(static_cast<char>(word[0] - 'A' + 'a') + std::string(word.substr(1)));
          }
        }
      }
    }
    return set;
  }();
  return all->contains(word);
}

std::vector<std::string> english_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end > at && end - at <= 12) words.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// Runs of Chinese characters cut into twos and threes.
std::vector<std::string> chinese_words(Draft& draft, std::string_view text) {
  std::vector<std::string> words;
  size_t from = 0, count = 0, wanted = 2;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = character_bytes(text, at);
    const bool ideograph = bytes == 3 && text[at] >= '\xE4' && text[at] <= '\xE9';
    if (!ideograph) count = 0;
    if (ideograph && count++ == 0) from = at;
    at += bytes;
    if (count < wanted) continue;
    words.emplace_back(text.substr(from, at - from));
    count = 0;
    wanted = draft.between(2, 3);
  }
  return words;
}

// Words in the order of the text, from another document after some uses.
const std::vector<std::string>& stretch(Draft& draft, Language language) {
  Draft::Stretch& own = draft.stretches[static_cast<size_t>(language)];
  if (!own.words.empty() && own.uses++ < kStretchUses) return own.words;
  own.uses = 0;
  for (int tries = 0;; ++tries) {
    const TextSource& source = tries < 4 ? draft.source : built_in_text();
    const Document document = source.pick(draft.rng, TextKind::kProse, language);
    const size_t size = std::min(document.text.size(), kStretchBytes);
    const size_t begin = floor_boundary(document.text, draft.below(document.text.size() - size + 1));
    const std::string_view text = document.text.substr(begin,
                                                       floor_boundary(document.text.substr(begin), size));
    own.words = language == Language::kEnglish ? english_words(text) : chinese_words(draft, text);
    if (own.words.size() >= 24) return own.words;
  }
}

struct Quotes {
  std::string_view open, close;
};
constexpr Quotes kQuotes[] = {{"", ""},   {"", ""},   {"", ""},   {"\"", "\""},
                              {"'", "'"}, {"`", "`"}, {"(", ")"}, {"**", "**"}};
constexpr Quotes kChineseQuotes[] = {{"“", "”"}, {"「", "」"}, {"《", "》"}, {"\"", "\""}, {"（", "）"}};

std::string quoted(Draft& draft, std::string_view field) {
  const Quotes quotes = draft.english() ? draft.any_of(kQuotes) : draft.any_of(kChineseQuotes);
  return std::string(quotes.open) + '{' + std::string(field) + '}' + std::string(quotes.close);
}

// Joins two parts: Chinese has no blanks.
void add_part(const Draft& draft, std::string& text, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty() && draft.english()) text += ' ';
  text += part;
}

// Between a key and its value.
std::string link(Draft& draft) {
  constexpr std::string_view kSigns[] = {":", "=", "->", "=>", "~", "--", "/", "::", ">"};
  if (draft.chance(0.3f)) return std::string(draft.any_of(kSigns));
  return text_clause(draft, draft.between(1, 5));
}

std::string field_in(std::string_view name, std::string_view quote) {
  return std::string(quote) + '{' + std::string(name) + '}' + std::string(quote);
}

// "w1(\"{key}\", 17) = \"{value}\";" and the like, on one line.
std::string open_line(Draft& draft) {
  constexpr std::string_view kBefore[] = {"",  "",  "  ", "- ", "* ", "+ ", "# ",
                                          "@", "$", ".",  "| ", "[",  "(",  "<"};
  constexpr std::string_view kBetween[] = {
      " = ",  "=",  ": ", " : ", " -> ", " => ", "\t", " | ", ", ",   ";",
      " is ", "] ", ") ", "::",  " ~ ",  "/",    "> ", " # ", " := ", "   "};
  constexpr std::string_view kBehind[] = {"", "", "", ";", ",", " |", ")", "]", " .", "/>", " #"};
  constexpr std::string_view kQuote[] = {"", "", "\"", "'", "`"};
  const std::string key = field_in("key", draft.any_of(kQuote));
  const std::string value = field_in("value", draft.any_of(kQuote));
  const bool value_first = draft.chance(0.15f);
  std::string line(draft.any_of(kBefore));
  if (draft.chance(0.3f)) line += open_name(draft, draft.between(1, 2)) + std::string(draft.any_of(kBetween));
  if (draft.chance(0.45f)) line += "{noise}" + std::string(draft.any_of(kBetween));
  line += value_first ? value : key;
  std::string between(draft.any_of(kBetween));
  if (draft.chance(0.3f))
    between += text_word(draft, Language::kEnglish) + std::string(draft.any_of(kBetween));
  if (draft.chance(0.15f)) between += "{noise}" + std::string(draft.any_of(kBetween));
  line += between + (value_first ? key : value);
  if (draft.chance(0.2f)) line += std::string(draft.any_of(kBetween)) + "{noise}";
  if (draft.chance(0.15f)) line += std::string(draft.any_of(kBetween)) + text_word(draft, Language::kEnglish);
  return line + std::string(draft.any_of(kBehind)) + '\n';
}

// A name and two attributes, or two elements in one.
std::string open_element(Draft& draft) {
  const auto name = [&] { return open_name(draft, 1); };
  const std::string outer = name(), first = name(), second = name();
  if (draft.chance(0.5f)) {
    return '<' + outer + ' ' + first + "=\"{key}\" " + second + "=\"{value}\"/>\n";
  }
  return '<' + outer + "><" + first + ">{key}</" + first + "><" + second + ">{value}</" + second + "></" +
         outer + ">\n";
}

// Key and value on lines of their own.
std::string open_lines(Draft& draft) {
  constexpr std::string_view kBetween[] = {": ", "=", "\t", " -> ", " | "};
  constexpr std::string_view kEnd[] = {"\n", "---\n", "end\n", "--\n", "\n"};
  const std::string_view between = draft.any_of(kBetween);
  std::string text = open_name(draft, 1) + std::string(between) + "{key}\n";
  text += open_name(draft, 1) + std::string(between) + "{value}\n";
  return text + std::string(draft.any_of(kEnd));
}

}  // namespace

std::string expand(Draft& draft, std::string_view pattern) {
  std::string text;
  while (!pattern.empty()) {
    const size_t open = pattern.find('[');
    text += pattern.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t end = group_end(pattern, open);
    text += expand(draft, draft.any_of(alternatives(pattern.substr(open, end - open))));
    pattern.remove_prefix(end);
  }
  return text;
}

std::string text_word(Draft& draft, Language language) {
  for (int tries = 0;; ++tries) {
    const std::vector<std::string>& words = stretch(draft, language);
    const std::string& word = words[draft.below(words.size())];
    if (is_held_out(word)) continue;
    if (language == Language::kChinese || tries > 40) return word;
    if (word.size() >= 3 && is_small(word)) return word;
  }
}

std::string text_clause(Draft& draft, size_t count) {
  if (count == 0) return {};
  const std::vector<std::string>& words = stretch(draft, draft.request.language);
  const size_t begin = draft.below(words.size() - std::min(words.size() - 1, count));
  std::string clause;
  for (size_t i = begin; i < std::min(words.size(), begin + count); ++i) add_part(draft, clause, words[i]);
  return clause;
}

std::string open_record(Draft& draft) {
  const bool value_first = draft.chance(0.25f);
  std::string text = text_clause(draft, draft.below(6));
  if (draft.chance(0.5f)) text = capitalised(text);
  add_part(draft, text, quoted(draft, value_first ? "value" : "key"));
  add_part(draft, text, link(draft));
  add_part(draft, text, quoted(draft, value_first ? "key" : "value"));
  if (draft.chance(0.5f)) add_part(draft, text, text_clause(draft, draft.between(1, 5)));
  return text + (draft.english() ? "." : "。");
}

std::string open_question(Draft& draft, std::string_view field) {
  constexpr std::string_view kEnds[] = {"?", "?", ".", "", ":", "!"};
  constexpr std::string_view kChineseEnds[] = {"？", "？", "。", "", "："};
  std::string text = text_clause(draft, draft.below(7));
  if (draft.chance(0.6f)) text = capitalised(text);
  add_part(draft, text, draft.chance(0.6f) ? '{' + std::string(field) + '}' : quoted(draft, field));
  if (draft.chance(0.6f)) add_part(draft, text, text_clause(draft, draft.between(1, 6)));
  return text + std::string(draft.english() ? draft.any_of(kEnds) : draft.any_of(kChineseEnds));
}

std::string blurred(Draft& draft, std::string wording) {
  // Words between blanks that are letters alone; Chinese wordings have hardly any, and stay.
  std::vector<Range> found;
  for (size_t at = 0; at < wording.size();) {
    const size_t end = std::min(wording.find(' ', at), wording.size());
    const std::string_view word = std::string_view(wording).substr(at, end - at);
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_letter)) found.push_back({at, end});
    at = end + 1;
  }
  if (found.empty()) return wording;
  const Range range = draft.any_of(found);
  return wording.replace(range.begin, range.size(), text_word(draft, draft.request.language));
}

RecordFormat open_record_format(Draft& draft) {
  const float way = draft.rng.next_unit();
  const std::string record = way < 0.75f  ? open_line(draft)
                             : way < 0.9f ? open_element(draft)
                                          : open_lines(draft);
  RecordFormat format{"open", "", record, ""};
  if (draft.chance(0.3f)) {
    format.open = open_name(draft, 1) + (draft.chance(0.5f) ? " {\n" : ":\n");
    format.close = format.open.back() == '{' ? "}\n" : "";
  }
  // The dotted pair of Lisp is held-out's.
  if (format.record.find(" . ") != std::string::npos) return open_record_format(draft);
  return format;
}

std::string open_label(Draft& draft, std::string_view field, bool own_line) {
  constexpr std::string_view kBefore[] = {"",   "(",    "<",   "@", "- ",  "~ ",  "%",
                                          "::", "=== ", "// ", "[", ">> ", "@@ ", "{"};
  constexpr std::string_view kBehind[] = {": ", ") ",  "> ", " - ", "\t", " | ", ". ",
                                          "= ", " ~ ", "] ", "} ",  " ",  "  "};
  std::string label(draft.any_of(kBefore));
  if (draft.chance(0.3f)) label += text_word(draft, Language::kEnglish) + ' ';
  label += '{' + std::string(field) + '}' + std::string(draft.any_of(kBehind));
  if (own_line) label.back() = '\n';
  return label;
}

// How a sentence says the name of a field: its words, or its first word alone, sometimes with another ending.
std::string spoken_form(Draft& draft, std::string_view name) {
  constexpr std::string_view kEndings[] = {"s", "ed", "er", "ing", "ion", "al"};
  std::string spoken(name);
  std::replace(spoken.begin(), spoken.end(), '_', ' ');
  if (!is_letter(spoken[0])) return spoken;
  if (draft.chance(0.2f)) spoken = spoken.substr(0, spoken.find(' '));
  if (draft.chance(0.2f)) spoken += draft.any_of(kEndings);
  return spoken;
}

Schema open_schema(Draft& draft) {
  constexpr FieldType kSubjects[] = {FieldType::kPerson, FieldType::kCode, FieldType::kName};
  constexpr FieldType kTypes[] = {
      FieldType::kPerson, FieldType::kCity, FieldType::kProduct, FieldType::kDate, FieldType::kCount,
      FieldType::kAmount, FieldType::kYear, FieldType::kColour,  FieldType::kName, FieldType::kCode};
  constexpr std::string_view kSaid[] = {"{k} {v}",    "{k} is {v}",   "{k} = {v}",       "{k}: {v}",
                                        "{v} as {k}", "the {k} {v}",  "a {k} of {v}",    "{k} on {v}",
                                        "{k} by {v}", "{v} {k}",      "with {v} of {k}", "for the {k} {v}",
                                        "{k} in {v}", "from {k} {v}", "{v}, the {k}",    "to {k} {v}"};
  constexpr std::string_view kChineseSaid[] = {"{k}为{v}", "{k}是{v}", "{k}：{v}", "{k}{v}", "{v}作为{k}"};
  constexpr std::string_view kJoints[] = {", ", ", ", " ", " and ", "; ", " - "};
  Schema schema{"open", {}, {}};
  std::string sentence;
  const std::string_view joint = draft.english() ? draft.any_of(kJoints) : "，";
  constexpr std::string_view kSlots[] = {"a", "b", "c", "d"};
  std::unordered_set<std::string> names;
  while (schema.fields.size() < 4) {
    const Language language = draft.chance(0.5f) ? Language::kEnglish : draft.request.language;
    const size_t words = language == Language::kEnglish ? draft.between(1, 2) : 1;
    const std::string name = words == 2 ? open_name(draft, 2) : text_word(draft, language);
    if (!names.insert(name).second) continue;
    const bool subject = schema.fields.empty();
    const std::string_view slot = kSlots[schema.fields.size()];
    schema.fields.push_back({slot, {name}, subject ? draft.any_of(kSubjects) : draft.any_of(kTypes)});
    const std::string spoken = spoken_form(draft, name);
    const std::string value = '{' + std::string(slot) + '}';
    const std::string_view said = draft.english() ? draft.any_of(kSaid) : draft.any_of(kChineseSaid);
    if (!subject) sentence += joint;
    sentence += subject && draft.chance(0.5f) ? value : fill(said, {{"k", spoken}, {"v", value}});
  }
  schema.sentences.push_back(sentence + (draft.english() ? "." : "。"));
  return schema;
}

ToolParameter open_parameter(Draft& draft) {
  constexpr std::pair<FieldType, std::string_view> kTypes[] = {
      {FieldType::kCity, "string"},    {FieldType::kDate, "string"},  {FieldType::kCount, "integer"},
      {FieldType::kPerson, "string"},  {FieldType::kFlag, "boolean"}, {FieldType::kCode, "string"},
      {FieldType::kAmount, "integer"}, {FieldType::kName, "string"},  {FieldType::kProduct, "string"}};
  const auto& [field, type] = draft.any_of(kTypes);
  const std::string name = open_name(draft, draft.between(1, 2));
  std::string spoken = name;
  std::replace(spoken.begin(), spoken.end(), '_', ' ');
  return {name, std::string(type), field, "the " + spoken, spoken};
}

std::string open_name(Draft& draft, size_t words) {
  std::string name = text_word(draft, Language::kEnglish);
  const bool underscores = draft.chance(0.7f);
  for (size_t i = 1; i < words; ++i) {
    const std::string next = text_word(draft, Language::kEnglish);
    name += underscores ? '_' + next : capitalised(next);
  }
  return name;
}

}  // namespace mneme::tasks

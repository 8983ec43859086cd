// grounded: several named files, each behind the header that `head` prints; questions say a file or ask for
// one.
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

constexpr size_t kAnswerMax = 120;

struct File {
  std::string name;
  Range range{};             // of the context, header included
  std::vector<Range> lines;  // of the context
};

struct Header {
  std::string id;
  std::string text;  // {file}
};
const Header kHeaders[] = {{"head", "==> {file} <==\n"},
                           {"markdown", "## {file}\n"},
                           {"dashes", "--- {file} ---\n"},
                           {"colon", "FILE: {file}\n"}};
const Header kHeadersHeldOut[] = {{"stars", "*** {file} ***\n"}, {"tag", "<file name=\"{file}\">\n"}};

std::string file_name(Draft& draft, TextKind kind) {
  constexpr std::string_view kProse[] = {"txt", "md", "rst", "log"};
  constexpr std::string_view kCode[] = {"py", "c", "cpp", "js", "go", "rs"};
  const Language english = Language::kEnglish;
  return fresh(draft, [&] {
    const auto nouns = words(WordClass::kNoun, english, draft.request.split);
    std::string name(draft.any_of(nouns));
    if (draft.chance(0.5f)) name += '/' + std::string(draft.any_of(nouns));
    name += '_' + std::string(draft.any_of(nouns)) + '.';
    name += kind == TextKind::kCode ? draft.any_of(kCode) : draft.any_of(kProse);
    return name;
  });
}

std::vector<File> lay_files(Draft& draft, std::string_view header, size_t room) {
  std::string& context = draft.sample.context;
  std::vector<File> files;
  const size_t share = room / draft.between(2, 6) + 1;
  const size_t low = std::min<size_t>(share, 160);
  const size_t bytes_max = std::max(low, std::min<size_t>(share, draft.between(300, 8000)));
  while (context.size() < room) {
    const TextKind kind = draft.chance(0.4f) ? TextKind::kCode : TextKind::kProse;
    const size_t bytes = draft.between(std::max(low, bytes_max / 2), bytes_max);
    File file{file_name(draft, kind), {context.size(), 0}, {}};
    const std::string head = fill(header, {{"file", file.name}});
    if (context.size() + head.size() + 40 > room) break;
    context += head;
    Noise noise(draft, kind, draft.request.language);
    const size_t body = std::min(bytes, room - context.size());
    file.lines = append_wrapped(noise, context, body, draft.between(60, 110));
    if (context.size() < room) context += '\n';
    file.range.end = context.size();
    files.push_back(std::move(file));
  }
  return files;
}

void ask_for_file(Draft& draft, const File& file) {
  const std::string_view context = draft.sample.context;
  const Range line = draft.any_of(file.lines);
  const std::string_view text = trimmed(context.substr(line.begin, line.size()));
  const size_t end = end_of_words(text, is_chinese(text) ? draft.between(7, 12) : draft.between(4, 7));
  if (end < 14) return;
  const std::string phrase(text.substr(0, end));
  if (!occurs_once(context, phrase)) return;
  draft.ask(fill(any_wording(draft, Slot::kFileByPhrase), {{"phrase", phrase}}), file.name, file.range);
}

void ask_for_first_line(Draft& draft, const File& file) {
  const Range line = file.lines[0];
  const std::string text(trimmed(std::string_view(draft.sample.context).substr(line.begin, line.size())));
  if (text.size() < 3 || text.size() > kAnswerMax) return;
  draft.ask(fill(any_wording(draft, Slot::kFirstLineOfFile), {{"file", file.name}}), text,
            {file.range.begin, line.end},
            recital(draft.text_of({file.range.begin, line.end}), file.name, text));
}

void ask_for_line(Draft& draft, const File& file) {
  const std::string_view context = draft.sample.context;
  const Range line = draft.any_of(file.lines);
  const std::string_view text = trimmed(context.substr(line.begin, line.size()));
  const size_t end = end_of_words(text, is_chinese(text) ? draft.between(4, 8) : draft.between(2, 4));
  if (end < 6 || end * 4 > text.size() * 3 || text.size() > kAnswerMax) return;
  const std::string beginning(text.substr(0, end));
  const std::string_view body = context.substr(file.range.begin, file.range.size());
  if (!always_followed(body, beginning, text.substr(end))) return;
  draft.ask(fill(any_wording(draft, Slot::kLineInFile), {{"file", file.name}, {"beginning", beginning}}),
            std::string(text), line, recital_of(text));
}

}  // namespace

void make_grounded(Draft& draft) {
  Header header = draft.train() ? draft.any_of(kHeaders) : draft.any_of(kHeadersHeldOut);
  if (draft.makes_up(0.5f)) header = {"open", open_label(draft, "file", true)};
  draft.sample.form = header.id;
  const size_t all = draft.request.context_bytes;
  const size_t room = all > kContextEnd.size() ? all - kContextEnd.size() : 0;
  std::vector<File> files = lay_files(draft, header.text, room);
  std::erase_if(files, [](const File& file) { return file.lines.empty(); });
  if (draft.sample.context.size() < all) draft.sample.context += '\n';
  const size_t wanted = draft.questions();
  // A file is asked about once for each way.
  std::unordered_set<size_t> asked;
  for (size_t round = 0; round < 6 && draft.sample.turns.size() < wanted * 2; ++round) {
    for (const size_t i : choose_asked(draft, files.size(), wanted)) {
      const size_t way = draft.below(3);
      if (draft.sample.turns.size() >= wanted * 2 || !asked.insert(i * 3 + way).second) continue;
      if (way == 0) ask_for_file(draft, files[i]);
      if (way == 1) ask_for_first_line(draft, files[i]);
      if (way == 2) ask_for_line(draft, files[i]);
    }
  }
}

}  // namespace mneme::tasks

#include "tasks/haystack.h"

#include <algorithm>
#include <numeric>

#include "tasks/utf8.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

constexpr size_t kPieceMax = size_t{1} << 15;  // of one document at a time, so that a context sees several
constexpr size_t kBreakReach = 240;            // bytes looked back for the end of a sentence or line

// Where a random start in text is moved to: behind the next line end nearby, else the next character.
size_t line_start_near(std::string_view text, size_t at) {
  if (at == 0) return 0;
  const size_t end = text.substr(at, 4096).find('\n');
  return end == std::string_view::npos ? floor_boundary(text, at) : at + end + 1;
}

// Behind the last sentence or line end in the last bytes of text, but not before `from`; where there is none,
// behind the last blank, and where there is no blank, `from`.
size_t last_break(std::string_view text, size_t from) {
  const size_t low = std::max(from, text.size() > kBreakReach ? text.size() - kBreakReach : 0);
  size_t blank = from;
  for (size_t i = text.size(); i > low; --i) {
    const char c = text[i - 1];
    if (c == '\n') return i;
    if (c == ' ' && i >= low + 2 && (text[i - 2] == '.' || text[i - 2] == '!' || text[i - 2] == '?'))
      return i;
    if (i >= low + 3 && text.substr(i - 3, 3) == "。") return i;
    if (c == ' ' && blank == from) blank = i;
  }
  // A short stretch: rather nothing than the middle of a sentence. A long one without any break (a line of
  // data, say) is cut where it is.
  if (text.size() - from < kBreakReach / 2) return from;
  return blank == from ? text.size() : blank;
}

}  // namespace

const TextSource& built_in_text() {
  static const SyntheticText source(20240607);
  return source;
}

void Noise::open_next() {
  Document document = draft_.source.pick(draft_.rng, kind_, language_);
  if (document.text.empty()) document = built_in_text().pick(draft_.rng, kind_, language_);
  const std::string_view text = document.text;
  piece_ = text.substr(line_start_near(text, draft_.chance(0.3f) ? 0 : draft_.below(text.size())));
  if (piece_.empty()) piece_ = text;
  if (piece_.size() > kPieceMax) piece_ = piece_.substr(0, floor_boundary(piece_, kPieceMax));
  at_ = 0;
}

void Noise::take(std::string& out, size_t bytes) {
  while (bytes > 0) {
    if (at_ == piece_.size()) {
      open_next();
      if (!out.empty() && out.back() != '\n') {
        out += '\n';
        --bytes;
      }
    }
    const size_t size = floor_boundary(piece_.substr(at_), bytes);
    if (size == 0) return;
    out += piece_.substr(at_, size);
    at_ += size;
    bytes -= size;
  }
}

void Noise::fill(std::string& out, size_t bytes) { take(out, bytes); }

void Noise::skip_document() { at_ = piece_.size(); }

void Noise::fill_to_break(std::string& out, size_t bytes) {
  const size_t from = out.size();
  take(out, bytes);
  const size_t cut = last_break(out, from);
  const size_t back = out.size() - cut;
  if (back <= at_) at_ -= back;  // read again, unless some of it came from the document before
  out.resize(cut);
}

Noise any_noise(Draft& draft) {
  const bool code = draft.chance(0.2f);
  const bool other = draft.chance(0.1f);
  const Language own = draft.request.language;
  const Language foreign = own == Language::kEnglish ? Language::kChinese : Language::kEnglish;
  return Noise(draft, code ? TextKind::kCode : TextKind::kProse, other && !code ? foreign : own);
}

std::string any_preamble(Draft& draft) {
  if (draft.chance(0.5f)) return {};
  return std::string(any_wording(draft, Slot::kPreamble)) + '\n';
}

void bury(Draft& draft, std::vector<Record>& records, const Burial& burial) {
  std::string& context = draft.sample.context;
  const size_t separators = 2;  // about a record: at most one byte in front, one behind
  const size_t all = draft.request.context_bytes;
  size_t room = all > burial.reserve + kContextEnd.size() ? all - burial.reserve - kContextEnd.size() : 0;
  // The first record's room counts more than the preamble's.
  const size_t first = records.empty() ? 0 : records[0].text.size() + separators;
  if (burial.before.size() + first <= room) {
    context += burial.before;
    room -= burial.before.size();
  }
  for (Record& record : records) {
    record.kept = record.text.size() + separators <= room;
    if (record.kept) room -= record.text.size() + separators;
  }
  std::vector<std::pair<size_t, size_t>> places;  // (byte of the noise, record)
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].kept) continue;
    const bool at_depth = records[i].asked && draft.request.depth >= 0;
    const double anywhere = static_cast<double>(draft.rng.next_unit());
    const double own = records[i].place >= 0 ? records[i].place : anywhere;
    const double depth = std::min(at_depth ? draft.request.depth : own, 1.0);
    places.emplace_back(static_cast<size_t>(depth * static_cast<double>(room)), i);
  }
  std::stable_sort(places.begin(), places.end(), [](auto a, auto b) { return a.first < b.first; });
  Noise noise = burial.prose ? Noise(draft, TextKind::kProse, draft.request.language) : any_noise(draft);
  const size_t start = context.size();
  size_t laid = 0;  // bytes of records and separators since start
  const auto noise_bytes = [&] { return context.size() - start - laid; };
  for (const auto& [at, index] : places) {
    if (at > noise_bytes()) noise.fill_to_break(context, at - noise_bytes());
    Record& record = records[index];
    const size_t before = context.size();
    const bool line = burial.own_lines || draft.chance(0.2f);
    if (!context.empty() && context.back() != '\n' && (line || context.back() != ' '))
      context += line ? '\n' : ' ';
    record.range = {context.size(), context.size() + record.text.size()};
    context += record.text;
    context += line ? '\n' : ' ';
    laid += context.size() - before;
  }
  const size_t limit = all - std::min(all, burial.reserve + kContextEnd.size());
  if (limit > context.size()) noise.fill(context, limit - context.size());
  if (all >= kContextEnd.size() + context.size()) context += kContextEnd;
}

std::vector<size_t> choose_asked(Draft& draft, size_t count, size_t questions) {
  const size_t asked = std::min(count, questions);
  std::vector<size_t> chosen;
  if (asked == 0) return chosen;
  const double depth = std::min(draft.request.depth, 1.0);
  if (depth >= 0) {
    const auto middle = static_cast<size_t>(depth * static_cast<double>(count - 1));
    const size_t first = std::min(middle - std::min(middle, asked / 2), count - asked);
    chosen.resize(asked);
    std::iota(chosen.begin(), chosen.end(), first);
  } else if (asked * 3 > count) {
    chosen.resize(count);
    std::iota(chosen.begin(), chosen.end(), size_t{0});
  } else {
    std::unordered_set<size_t> seen;
    while (chosen.size() < asked) {
      const size_t index = draft.below(count);
      if (seen.insert(index).second) chosen.push_back(index);
    }
  }
  draft.shuffle(chosen);
  chosen.resize(asked);
  return chosen;
}

}  // namespace mneme::tasks

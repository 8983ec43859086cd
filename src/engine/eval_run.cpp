#include "engine/eval_run.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "core/hash.h"
#include "engine/eval_prompt.h"

namespace mneme::engine {

using core::fail;
using core::pass;
using tasks::Language;

namespace {

std::optional<Language> parse_language(std::string_view name) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    if (name == tasks::name(language)) return language;
  }
  return std::nullopt;
}

std::vector<EvalCell> all_cells(const EvalGrid& grid, const EvalFamily& family) {
  std::vector<EvalCell> cells;
  for (size_t l = 0; l < grid.lengths.size(); ++l) {
    for (size_t t = 0; t < grid.tasks.size(); ++t) {
      const bool has_depth = family.has_depth(grid.tasks[t]);
      const size_t depths = has_depth ? grid.depths.size() : 1;
      const auto times = static_cast<int>(has_depth ? 1 : grid.depths.size());
      for (size_t g = 0; g < grid.languages.size(); ++g)
        for (size_t d = 0; d < depths; ++d)
          cells.push_back({l, t, g, d, grid.tasks[t], *parse_language(grid.languages[g]), grid.lengths[l],
                           !has_depth || grid.depths[d] < 0 ? kAnyDepth : grid.depths[d],
                           grid.samples * times});
    }
  }
  return cells;
}

template <class T>
bool has_twice(std::vector<T> all) {
  std::sort(all.begin(), all.end());
  return std::adjacent_find(all.begin(), all.end()) != all.end();
}

using ContextKey = std::tuple<std::string, std::string, size_t, double, int>;

ContextKey key_of(const EvalAnswer& answer) {
  return {answer.task, answer.language, answer.length, answer.depth, answer.sample};
}

class Run {
 public:
  Run(Answerer& answerer, const EvalFamily& family, const EvalGrid& grid, const EvalEvents& events)
      : answerer_(&answerer), family_(&family), grid_(&grid), events_(&events) {
    for (const EvalAnswer& answer : events.known) known_[key_of(answer)].push_back(&answer);
  }

  EvalReport run();

 private:
  void measure(const EvalCell& cell);
  Result<void> measure_context(const EvalCell& cell, int sample);
  Result<void> ask(const EvalCell& cell, int sample, const EvalSheet& sheet, std::vector<std::string>& given);
  bool take_known(const EvalCell& cell, int sample);
  const EvalAnswer* find_known(const EvalAnswer& answer) const;
  GenerateEvents generate_events();
  void add(const EvalCell& cell, EvalAnswer answer);
  void add_gap(EvalGap gap);
  ContextKey key(const EvalCell& cell, int sample) const {
    return {cell.task, std::string(tasks::name(cell.language)), cell.length, cell.depth, sample};
  }
  bool is_cancelled() {
    report_.cancelled = report_.cancelled || (events_->cancelled && events_->cancelled());
    return report_.cancelled;
  }

  Answerer* answerer_;
  const EvalFamily* family_;
  const EvalGrid* grid_;
  const EvalEvents* events_;
  std::map<ContextKey, std::vector<const EvalAnswer*>> known_;
  EvalReport report_;
  EvalWork work_;
  size_t context_tokens_ = 0;  // of the context's first prompt
  std::map<std::tuple<size_t, size_t, size_t, size_t, std::string>, EvalRow> rows_;
};

EvalReport Run::run() {
  const std::vector<EvalCell> cells = all_cells(*grid_, *family_);
  for (const EvalCell& cell : cells) work_.contexts += cell.samples;
  std::optional<size_t> too_long;  // said once, not for each of its cells
  int before = 0;
  for (size_t i = 0; i < cells.size() && !is_cancelled(); ++i) {
    work_.context = before;
    before += cells[i].samples;
    if (too_long == cells[i].length_index) continue;
    auto fits = answerer_->check_fits(cells[i].length);
    if (fits) {
      measure(cells[i]);
    } else {
      too_long = cells[i].length_index;
      add_gap({.task = {},
               .language = {},
               .length = cells[i].length,
               .depth = kAnyDepth,
               .reason = fits.error().message});
    }
  }
  for (auto& [key, row] : rows_) report_.rows.push_back(std::move(row));
  return std::move(report_);
}

void Run::measure(const EvalCell& cell) {
  const std::string_view language = tasks::name(cell.language);
  work_.task = cell.task;
  work_.language = language;
  work_.length = cell.length;
  work_.depth = cell.depth;
  for (int sample = 0; sample < cell.samples && !is_cancelled(); ++sample) {
    ++work_.context;
    if (take_known(cell, sample)) continue;
    auto measured = measure_context(cell, sample);
    if (measured) continue;
    add_gap({cell.task, std::string(language), cell.length, cell.depth, measured.error().message});
    return;
  }
}

// True where a run before has all the answers of this context.
bool Run::take_known(const EvalCell& cell, int sample) {
  const auto found = known_.find(key(cell, sample));
  if (found == known_.end()) return false;
  const auto& answers = found->second;
  if (answers.size() < static_cast<size_t>(answers[0]->questions)) return false;
  for (const EvalAnswer* answer : answers) add(cell, *answer);
  return true;
}

const EvalAnswer* Run::find_known(const EvalAnswer& answer) const {
  const auto found = known_.find(key_of(answer));
  if (found == known_.end()) return nullptr;
  for (const EvalAnswer* one : found->second) {
    if (one->question_index == answer.question_index) return one;
  }
  return nullptr;
}

Result<void> Run::measure_context(const EvalCell& cell, int sample) {
  work_.tokens = work_.tokens_all = 0;
  if (events_->on_work) events_->on_work(work_);
  auto sheet = family_->make(cell, sample);
  if (!sheet) return pass(sheet);
  answerer_->begin_context();
  std::vector<std::string> given;
  while (given.size() < (*sheet)->questions() && !is_cancelled()) {
    auto asked = ask(cell, sample, **sheet, given);
    if (!asked) return asked;
  }
  return {};
}

// Asks the next question; adds the answer, but for one that was cut short by the caller.
Result<void> Run::ask(const EvalCell& cell, int sample, const EvalSheet& sheet,
                      std::vector<std::string>& given) {
  const size_t index = given.size();
  auto prompt = sheet.prompt(index, given);
  if (!prompt) return pass(prompt);
  if (index == 0) context_tokens_ = prompt->size();
  EvalQuestion question = sheet.question(index);
  auto report = answerer_->answer({*prompt, sheet.answer_tokens_max(index), question.expected},
                                  generate_events());
  if (!report) return pass(report);
  if (report->reason == StopReason::kFull) return fail("{}", report->message);
  if (report->reason == StopReason::kCancelled) {
    report_.cancelled = true;
    return {};
  }
  given.push_back(report->text);
  EvalAnswer answer;
  answer.task = cell.task;
  answer.language = tasks::name(cell.language);
  answer.form = std::move(question.form);
  answer.length = cell.length;
  answer.depth = cell.depth;
  answer.sample = sample;
  answer.question_index = static_cast<int>(index);
  answer.questions = static_cast<int>(sheet.questions());
  answer.evidence_depth = question.evidence_depth;
  answer.question = std::move(question.text);
  answer.expected = std::move(question.expected);
  answer.stop = report->reason;
  answer.score = sheet.score(index, without_thought(report->text));
  answer.correct = answer.score >= 1;
  answer.right_keys = sheet.right_keys(index, without_thought(report->text));
  answer.given = std::move(report->text);
  answer.context_tokens = context_tokens_;
  answer.prefill_tokens = report->prompt_tokens;
  answer.prefill_s = report->prefill_s;
  answer.decode_tokens = report->generated_tokens - std::min<size_t>(report->generated_tokens, 1);
  answer.decode_s = report->decode_s;
  if (const EvalAnswer* before = find_known(answer)) {
    add(cell, *before);
    return {};
  }
  if (events_->on_answer) events_->on_answer(answer);
  add(cell, std::move(answer));
  return {};
}

GenerateEvents Run::generate_events() {
  GenerateEvents events;
  events.cancelled = [this] { return is_cancelled(); };
  events.on_prefill = [this](size_t done, size_t total) {
    work_.tokens = done;
    work_.tokens_all = total;
    if (events_->on_work) events_->on_work(work_);
  };
  return events;
}

void Run::add(const EvalCell& cell, EvalAnswer answer) {
  EvalRow& row =
      rows_[{cell.length_index, cell.task_index, cell.language_index, cell.depth_index, answer.form}];
  row.task = answer.task;
  row.language = answer.language;
  row.form = answer.form;
  row.length = answer.length;
  row.depth = answer.depth;
  ++row.questions;
  ++work_.questions;
  row.score += answer.score;
  work_.score += answer.score;
  if (answer.correct) ++row.correct;
  if (answer.right_keys) ++row.json_asked, row.right_keys += *answer.right_keys ? 1 : 0;
  if (answer.question_index == 0) {
    ++row.contexts;
    row.prefill_tokens += answer.prefill_tokens;
    row.prefill_s += answer.prefill_s;
  }
  row.decode_tokens += answer.decode_tokens;
  row.decode_s += answer.decode_s;
  report_.answers.push_back(std::move(answer));
}

void Run::add_gap(EvalGap gap) {
  if (events_->on_gap) events_->on_gap(gap);
  report_.gaps.push_back(std::move(gap));
}

}  // namespace

Result<void> check_grid(const EvalGrid& grid, const EvalFamily& family) {
  for (const std::string& task : grid.tasks) {
    if (!family.knows(task)) return fail("there is no task '{}'", task);
  }
  for (const std::string& language : grid.languages) {
    if (!parse_language(language)) return fail("'{}' is no language of the tasks: en or zh", language);
  }
  for (const double depth : grid.depths) {
    if (!(depth <= 1)) return fail("a depth of {}: 0 is the beginning of the context, 1 its end", depth);
  }
  if (grid.tasks.empty() || grid.languages.empty() || grid.lengths.empty() || grid.depths.empty())
    return fail("nothing to measure: no task, language, length or depth");
  // Answers are known by their task, language, length and depth.
  if (has_twice(grid.tasks) || has_twice(grid.languages) || has_twice(grid.lengths) || has_twice(grid.depths))
    return fail("a task, language, length or depth is there twice");
  if (grid.questions < 1 || grid.questions > tasks::kQuestionsMax)
    return fail("{} questions of a context: 1 to {}", grid.questions, tasks::kQuestionsMax);
  if (grid.samples < 1) return fail("{} samples: one at least", grid.samples);
  return {};
}

uint64_t seed_of(const EvalGrid& grid, const EvalCell& cell, uint64_t task, int sample) {
  const std::array<uint64_t, 5> parts{grid.seed, task, static_cast<uint64_t>(cell.language), cell.length,
                                      static_cast<uint64_t>(sample)};
  return core::hash64(std::as_bytes(std::span(parts)));
}

Result<EvalReport> run_eval(Answerer& answerer, const EvalFamily& family, const EvalGrid& grid,
                            const EvalEvents& events) {
  auto checked = check_grid(grid, family);
  if (!checked) return pass(checked);
  return Run(answerer, family, grid, events).run();
}

}  // namespace mneme::engine

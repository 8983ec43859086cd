#include "engine/eval_recall.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "core/hash.h"
#include "engine/eval_prompt.h"
#include "engine/eval_text.h"
#include "kv/block.h"

namespace mneme::engine {

using core::fail;
using core::pass;
using tasks::Language;
using tasks::TaskKind;

namespace {

std::optional<Language> parse_language(std::string_view name) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    if (name == tasks::name(language)) return language;
  }
  return std::nullopt;
}

Result<void> check_options(const RecallOptions& options) {
  for (const std::string& task : options.tasks) {
    if (!tasks::parse_task(task)) return fail("there is no task '{}'", task);
  }
  for (const std::string& language : options.languages) {
    if (!parse_language(language)) return fail("'{}' is no language of the tasks: en or zh", language);
  }
  for (const double depth : options.depths) {
    if (!(depth <= 1)) return fail("a depth of {}: 0 is the beginning of the context, 1 its end", depth);
  }
  if (options.tasks.empty() || options.languages.empty() || options.lengths.empty() || options.depths.empty())
    return fail("nothing to measure: no task, language, length or depth");
  if (options.questions < 1 || options.questions > tasks::kQuestionsMax)
    return fail("{} questions of a context: 1 to {}", options.questions, tasks::kQuestionsMax);
  if (options.samples < 1) return fail("{} samples: one at least", options.samples);
  return {};
}

// One task, language, length and depth; the indices are those of the options.
struct Cell {
  size_t length_index = 0, task_index = 0, language_index = 0, depth_index = 0;
  TaskKind task = TaskKind::kPasskey;
  Language language = Language::kEnglish;
  size_t length = 0;
  double depth = kAnyDepth;
};

std::vector<Cell> all_cells(const RecallOptions& options) {
  std::vector<Cell> cells;
  for (size_t l = 0; l < options.lengths.size(); ++l)
    for (size_t t = 0; t < options.tasks.size(); ++t)
      for (size_t g = 0; g < options.languages.size(); ++g)
        for (size_t d = 0; d < options.depths.size(); ++d)
          cells.push_back({l, t, g, d, *tasks::parse_task(options.tasks[t]),
                           *parse_language(options.languages[g]), options.lengths[l],
                           options.depths[d] < 0 ? kAnyDepth : options.depths[d]});
  return cells;
}

// Depths of a cell get the same samples: what differs between them is the depth.
uint64_t seed_of(const RecallOptions& options, const Cell& cell, int sample) {
  const std::array<uint64_t, 5> parts{options.seed, static_cast<uint64_t>(cell.task),
                                      static_cast<uint64_t>(cell.language), cell.length,
                                      static_cast<uint64_t>(sample)};
  return core::hash64(std::as_bytes(std::span(parts)));
}

class Recall {
 public:
  Recall(Answerer& answerer, const Text& text, const tasks::TextSource& source, const RecallOptions& options,
         const RecallEvents& events)
      : answerer_(&answerer), text_(&text), source_(&source), options_(&options), events_(&events) {}

  Result<RecallReport> run();

 private:
  void measure(const Cell& cell);
  Result<void> measure_context(const Cell& cell, int sample);
  Result<void> ask(const Cell& cell, int sample, const FittedSample& fitted,
                   std::vector<std::string>& answers);
  GenerateEvents generate_events();
  void add(const Cell& cell, const RecallAnswer& answer, const GenerateReport& report);
  void add_gap(RecallGap gap);
  RecallGap gap_of(const Cell& cell, std::string reason) const {
    return {std::string(tasks::name(cell.task)), std::string(tasks::name(cell.language)), cell.length,
            cell.depth, std::move(reason)};
  }
  bool is_cancelled() {
    report_.cancelled = report_.cancelled || (events_->cancelled && events_->cancelled());
    return report_.cancelled;
  }

  Answerer* answerer_;
  const Text* text_;
  const tasks::TextSource* source_;
  const RecallOptions* options_;
  const RecallEvents* events_;
  RecallReport report_;
  RecallWork work_;
  std::map<std::tuple<size_t, size_t, size_t, size_t, std::string>, RecallRow> rows_;
};

Result<RecallReport> Recall::run() {
  const std::vector<Cell> cells = all_cells(*options_);
  work_.contexts = static_cast<int>(cells.size()) * options_->samples;
  std::optional<size_t> too_long;  // said once, not for each of its cells
  for (size_t i = 0; i < cells.size() && !is_cancelled(); ++i) {
    work_.context = static_cast<int>(i) * options_->samples;
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

void Recall::measure(const Cell& cell) {
  work_.task = tasks::name(cell.task);
  work_.language = tasks::name(cell.language);
  work_.length = cell.length;
  work_.depth = cell.depth;
  for (int sample = 0; sample < options_->samples && !is_cancelled(); ++sample) {
    ++work_.context;
    auto measured = measure_context(cell, sample);
    if (measured) continue;
    add_gap(gap_of(cell, measured.error().message));
    return;
  }
}

Result<void> Recall::measure_context(const Cell& cell, int sample) {
  work_.tokens = work_.tokens_all = 0;
  if (events_->on_work) events_->on_work(work_);
  tasks::Request request;
  request.split = options_->held_out ? tasks::Split::kHeldOut : tasks::Split::kTrain;
  request.language = cell.language;
  request.questions = options_->questions;
  request.depth = cell.depth;
  auto fitted = fit_sample(*text_, cell.task, request, cell.length, *source_,
                           seed_of(*options_, cell, sample));
  if (!fitted) return pass(fitted);
  answerer_->begin_context();
  std::vector<std::string> answers;
  while (answers.size() < question_count(fitted->sample) && !is_cancelled()) {
    auto asked = ask(cell, sample, *fitted, answers);
    if (!asked) return asked;
  }
  return {};
}

// Asks the next question; adds the answer, but for one that was cut short by the caller.
Result<void> Recall::ask(const Cell& cell, int sample, const FittedSample& fitted,
                         std::vector<std::string>& answers) {
  std::vector<TokenId> prompt = fitted.prompt;
  if (!answers.empty()) {
    auto made = make_prompt(*text_, fitted.sample, answers);
    if (!made) return pass(made);
    prompt = std::move(*made);
  }
  const size_t turn = answer_turn(fitted.sample, answers.size());
  const tasks::Turn& expected = fitted.sample.turns[turn];
  const size_t expected_tokens =
      text_->encode(expected.text, {.add_bos_eos = false, .parse_specials = false}).size();
  const auto tokens_max = static_cast<int>(expected_tokens + expected_tokens / 2 + 16);
  auto report = answerer_->answer({fitted.sample, turn, prompt, tokens_max}, generate_events());
  if (!report) return pass(report);
  if (report->reason == StopReason::kFull) return fail("{}", report->message);
  if (report->reason == StopReason::kCancelled) {
    report_.cancelled = true;
    return {};
  }
  RecallAnswer answer;
  answer.task = tasks::name(cell.task);
  answer.language = tasks::name(cell.language);
  answer.form = fitted.sample.form;
  answer.length = cell.length;
  answer.depth = cell.depth;
  answer.sample = sample;
  answer.question_index = static_cast<int>(answers.size());
  if (expected.evidence.size() > 0) {
    answer.evidence_depth = static_cast<double>(expected.evidence.begin) /
                            static_cast<double>(fitted.sample.context.size());
  }
  if (turn > 0) answer.question = fitted.sample.turns[turn - 1].text;
  answer.expected = expected.text;
  answer.given = report->text;
  answer.stop = report->reason;
  answer.correct = tasks::correct(fitted.sample, turn, report->text);
  answer.context_tokens = fitted.prompt.size();
  add(cell, answer, *report);
  answers.push_back(std::move(answer.given));
  return {};
}

GenerateEvents Recall::generate_events() {
  GenerateEvents events;
  events.cancelled = [this] { return is_cancelled(); };
  events.on_prefill = [this](size_t done, size_t total) {
    work_.tokens = done;
    work_.tokens_all = total;
    if (events_->on_work) events_->on_work(work_);
  };
  return events;
}

void Recall::add(const Cell& cell, const RecallAnswer& answer, const GenerateReport& report) {
  RecallRow& row =
      rows_[{cell.length_index, cell.task_index, cell.language_index, cell.depth_index, answer.form}];
  row.task = answer.task;
  row.language = answer.language;
  row.form = answer.form;
  row.length = answer.length;
  row.depth = answer.depth;
  ++row.questions;
  ++work_.questions;
  if (answer.correct) ++row.correct;
  if (answer.correct) ++work_.correct;
  if (answer.question_index == 0) {
    ++row.contexts;
    row.prefill_tokens += report.prompt_tokens;
    row.prefill_s += report.prefill_s;
  }
  row.decode_tokens += report.generated_tokens - std::min<size_t>(report.generated_tokens, 1);
  row.decode_s += report.decode_s;
  if (events_->on_answer) events_->on_answer(answer);
}

void Recall::add_gap(RecallGap gap) {
  if (events_->on_gap) events_->on_gap(gap);
  report_.gaps.push_back(std::move(gap));
}

// The model itself: one session a context.
class EngineAnswerer final : public Answerer {
 public:
  explicit EngineAnswerer(Engine& engine) : engine_(&engine) {}

  Result<void> check_fits(size_t tokens) const override {
    const size_t blocks = (tokens + kv::kBlockTokens - 1) / kv::kBlockTokens;
    const uint64_t needed = blocks * kv::kBlockTokens * engine_->info().kv_token_bytes;
    if (needed <= engine_->kv_bytes_max()) return {};
    return fail("{} MiB of keys and values are needed, the budget is {} MiB (raise --kv)", (needed >> 20) + 1,
                engine_->kv_bytes_max() >> 20);
  }
  void begin_context() override {
    session_.reset();  // its blocks are free before the next one takes any
    session_ = engine_->new_session();
  }
  Result<GenerateReport> answer(const Question& question, const GenerateEvents& events) override {
    const auto held = session_->tokens();
    const auto prompt = question.prompt;
    const auto end = std::mismatch(held.begin(), held.end(), prompt.begin(), prompt.end()).first;
    session_->truncate(static_cast<size_t>(end - held.begin()));
    auto appended = session_->append(prompt.subspan(session_->tokens().size()));
    if (!appended) return pass(appended);
    GenerateOptions options;
    options.tokens_max = question.tokens_max;
    options.sampling.temperature = 0;
    return generate(*engine_, *session_, options, events);
  }

 private:
  Engine* engine_;
  std::unique_ptr<Session> session_;
};

// Enough built-in text that a context does not repeat it, within reason.
size_t synthetic_bytes(const RecallOptions& options) {
  const size_t longest = *std::max_element(options.lengths.begin(), options.lengths.end());
  return std::clamp<size_t>(longest * 4, size_t{1} << 18, size_t{1} << 23);
}

}  // namespace

Result<RecallReport> recall_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                                 const RecallOptions& options, const RecallEvents& events) {
  auto checked = check_options(options);
  if (!checked) return pass(checked);
  return Recall(answerer, text, source, options, events).run();
}

}  // namespace mneme::engine

namespace mneme {

std::span<const std::string_view> recall_tasks() {
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (const tasks::TaskKind task : tasks::all_tasks()) all.push_back(tasks::name(task));
    return all;
  }();
  return names;
}

Result<RecallReport> recall(Engine& engine, const RecallOptions& options, const RecallEvents& events) {
  auto checked = engine::check_options(options);
  if (!checked) return core::pass(checked);
  std::unique_ptr<tasks::TextSource> source;
  if (options.text_paths.empty()) {
    source = std::make_unique<tasks::SyntheticText>(options.seed, engine::synthetic_bytes(options));
  } else {
    auto documents = engine::load_documents(options.text_paths, engine.text());
    if (!documents) return core::pass(documents);
    source = std::move(*documents);
  }
  engine::EngineAnswerer answerer(engine);
  return engine::recall_over(answerer, engine.text(), *source, options, events);
}

}  // namespace mneme

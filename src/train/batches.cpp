#include "train/batches.h"

#include <algorithm>
#include <cmath>

#include "tasks/utf8.h"

namespace mneme::train {

namespace {

using model::TokenId;
using tasks::Language;

// A stream for each (seed, batch, row): nearby numbers must not give nearby streams.
uint64_t mixed(uint64_t seed, uint64_t number, uint64_t row) {
  uint64_t x = seed * 0x9E3779B97F4A7C15ull + number * 0xBF58476D1CE4E5B9ull + row * 0x94D049BB133111EBull +
               1;
  x ^= x >> 31;
  x *= 0xD6E8FEB86659FD93ull;
  return x ^ (x >> 32);
}

// A question and its answer, about, and what is recited before it.
constexpr double kTurnBytes = 110, kRecitalBytes = 70;

double unit(core::Rng& rng) { return static_cast<double>(rng.next_unit()); }

}  // namespace

// tokens[i] is learned with weights[i] from the tokens before it.
struct RowMaker::Row {
  size_t limit;  // T + 1
  std::vector<TokenId> tokens;
  std::vector<float> weights;
  size_t room() const { return limit - tokens.size(); }
  void push(TokenId token, double weight) {
    if (tokens.size() == limit) return;
    tokens.push_back(token);
    weights.push_back(static_cast<float>(weight));
  }
};

RowMaker::RowMaker(const model::Tokenizer& tokenizer, const tasks::TextSource& text, RowOptions options)
    : tokenizer_(tokenizer), text_(text), options_(std::move(options)) {
  core::Rng rng(1);
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const tasks::Document document = text_.pick(rng, tasks::TextKind::kProse, language);
    const std::string_view part = document.text.substr(0, 20000);
    const size_t count = tokenizer_.encode(part, {false, false}).size();
    if (count > 0)
      bytes_per_token_[static_cast<size_t>(language)] = static_cast<double>(part.size()) /
                                                        static_cast<double>(count);
  }
  marks_ = find_marks(tokenizer_);
}

RowMaker::Marks RowMaker::find_marks(const model::Tokenizer& tokenizer) {
  const auto find = [&](const char* name) {
    const auto token = tokenizer.find_token(name);
    MNEME_CHECK(token.has_value(), "the vocabulary has no {}", name);
    return *token;
  };
  return {find("<|endoftext|>"),  find("<|im_start|>"),   find("<|im_end|>"), find("<|fim_prefix|>"),
          find("<|fim_suffix|>"), find("<|fim_middle|>"), find("<think>"),    find("</think>")};
}

Batch RowMaker::make(uint64_t seed, uint64_t number, int rows) const {
  const int64_t tokens = options_.tokens;
  Batch batch{torch::empty({rows, tokens}, torch::kInt64), torch::empty({rows, tokens}, torch::kInt64),
              torch::empty({rows, tokens}, torch::kFloat32)};
  for (int i = 0; i < rows; ++i) {
    core::Rng rng(mixed(seed, number, static_cast<uint64_t>(i)));
    Row row{static_cast<size_t>(tokens) + 1, {}, {}};
    fill(row, rng);
    for (int64_t t = 0; t < tokens; ++t) {
      const auto at = static_cast<size_t>(t);
      batch.tokens.data_ptr<int64_t>()[i * tokens + t] = row.tokens[at];
      batch.targets.data_ptr<int64_t>()[i * tokens + t] = row.tokens[at + 1];
      batch.weights.data_ptr<float>()[i * tokens + t] = row.weights[at + 1];
    }
  }
  return batch;
}

void RowMaker::fill(Row& row, core::Rng& rng) const {
  const bool plain = unit(rng) >= options_.task_share;
  while (row.room() > 0) {
    if (plain || row.room() < 96) {
      add_text(row, rng, options_.text_weight);
    } else {
      if (options_.bare_share > 0 && unit(rng) < options_.bare_share) add_bare(row, rng);
      if (options_.tools_share > 0 && unit(rng) < options_.tools_share) add_tools(row, rng);
      add_sample(row, rng);
    }
  }
}

tasks::TaskKind RowMaker::draw_task(core::Rng& rng) const {
  if (options_.mixture.empty()) {
    const auto all = tasks::all_tasks();
    return all[rng.next_below(static_cast<uint32_t>(all.size()))];
  }
  double sum = 0;
  for (const auto& [task, weight] : options_.mixture) sum += weight;
  double left = unit(rng) * sum;
  for (const auto& [task, weight] : options_.mixture) {
    left -= weight;
    if (left < 0) return task;
  }
  return options_.mixture.back().first;
}

void RowMaker::add_tokens(Row& row, std::string_view text, double weight) const {
  for (const TokenId token : tokenizer_.encode(text, {false, false})) row.push(token, weight);
}

// Text in which the marks of tool calls are tokens of their own.
void RowMaker::add_marked(Row& row, std::string_view text, double weight) const {
  constexpr std::string_view kMarks[] = {"<tool_call>", "</tool_call>", "<tool_response>",
                                         "</tool_response>"};
  while (!text.empty()) {
    size_t at = text.size();
    std::string_view mark;
    for (const std::string_view one : kMarks) {
      if (const size_t found = text.find(one); found < at) at = found, mark = one;
    }
    if (at > 0) add_tokens(row, text.substr(0, at), weight);
    if (!mark.empty()) row.push(*tokenizer_.find_token(mark), weight);
    text.remove_prefix(at + mark.size());
  }
}

// What the options say of every sample, in a language that is drawn.
tasks::Request RowMaker::draw_request(core::Rng& rng) const {
  tasks::Request request;
  request.split = options_.split;
  request.variety = options_.variety;
  request.backwards = options_.backwards;
  request.language = unit(rng) < options_.chinese_share ? Language::kChinese : Language::kEnglish;
  return request;
}

// One sample that ends within the row; a piece of text where none fits.
void RowMaker::add_sample(Row& row, core::Rng& rng) const {
  tasks::Request request = draw_request(rng);
  // Most contexts take all the room, some are shorter.
  double share = 0.95 * (rng.next_below(5) > 0 ? 1.0 : std::exp(-2.5 * unit(rng)));
  const tasks::TaskKind task = draw_task(rng);
  for (int attempt = 0; attempt < 6; ++attempt, share *= 0.7) {
    const double bytes = share * static_cast<double>(row.room()) *
                         bytes_per_token_[static_cast<size_t>(request.language)];
    const int questions = static_cast<int>(bytes / options_.question_bytes);
    request.questions = std::clamp(questions, 1, options_.questions_max);
    const double turn_bytes = kTurnBytes + (options_.recitals ? kRecitalBytes : 0);
    const double context_bytes = std::max(100.0, bytes - turn_bytes * request.questions);
    request.context_bytes = static_cast<size_t>(0.9 * context_bytes);
    const tasks::Sample sample = tasks::generate(task, request, text_, rng);
    if (sample.turns.empty()) continue;
    if (add_whole(row, sample, draw_thoughts(rng))) return;
  }
  add_text(row, rng, options_.text_weight);
}

// False, and nothing is added, where the sample does not fit. The first token that is learned counts `first`
// times.
bool RowMaker::add_whole(Row& row, const tasks::Sample& sample, Thoughts thoughts, float first) const {
  Row copy{row.room(), {}, {}};
  if (!add_turns(copy, sample, thoughts)) return false;
  const auto learned = std::find(copy.weights.begin(), copy.weights.end(), 1.0f);
  if (learned != copy.weights.end()) *learned *= first;
  row.tokens.insert(row.tokens.end(), copy.tokens.begin(), copy.tokens.end());
  row.weights.insert(row.weights.end(), copy.weights.begin(), copy.weights.end());
  return true;
}

// A question of one turn about a sentence or two; mostly about nothing but the record that answers, as people
// ask who have little to show. No turns where there was no room for a record.
tasks::Sample RowMaker::draw_bare(core::Rng& rng) const {
  constexpr tasks::TaskKind kTasks[] = {tasks::TaskKind::kPasskey, tasks::TaskKind::kMultiNeedle,
                                        tasks::TaskKind::kKeyValue, tasks::TaskKind::kParaphrase,
                                        tasks::TaskKind::kExtraction};
  constexpr std::string_view kBetween[] = {" ", " ", " ", "\n", "\n\n"};
  tasks::Request request = draw_request(rng);
  request.questions = 1;
  request.context_bytes = 60 + rng.next_below(240);
  const bool alone = rng.next_below(3) > 0;
  tasks::Sample sample = tasks::generate(kTasks[rng.next_below(std::size(kTasks))], request, text_, rng);
  if (sample.turns.size() < 2) return {};
  sample.turns.resize(2);
  if (alone && sample.turns[1].evidence.size() > 0) {
    const tasks::Range record = sample.turns[1].evidence;
    const std::string_view all = sample.context;
    sample.context = std::string(tasks::trimmed(all.substr(record.begin, record.size())));
    sample.context += kBetween[rng.next_below(std::size(kBetween))];
  }
  return sample;
}

// The question without its text, which is told so.
tasks::Sample RowMaker::without_text(const tasks::Sample& asked) {
  tasks::Sample sample = asked;
  sample.context.clear();
  const bool chinese = sample.language == Language::kChinese;
  sample.turns[1].text = chinese ? "没有可以查找的文本。" : "There is no text to look in.";
  sample.turns[1].recital.clear();
  return sample;
}

// A quarter stands behind the same question without its text: between the two lies nothing but the text, and
// what tells them apart is the answer's first token.
void RowMaker::add_bare(Row& row, core::Rng& rng) const {
  constexpr float kFirst = 4;
  const tasks::Sample sample = draw_bare(rng);
  if (sample.turns.empty()) return;
  if (rng.next_below(4) == 0) add_whole(row, without_text(sample), draw_thoughts(rng), kFirst);
  add_whole(row, sample, draw_thoughts(rng), kFirst);
}

// With tools in the system message, calls and what rests on them; a quarter asks something that no tool is
// needed for. There are no thoughts: the template says so (corpus/chat_template.cpp).
void RowMaker::add_tools(Row& row, core::Rng& rng) const {
  tasks::Request request = draw_request(rng);
  request.questions = 1 + static_cast<int>(rng.next_below(2));
  request.context_bytes = 300 + rng.next_below(1500);
  tasks::Sample sample = tasks::generate_tool_chat(request, text_, rng);
  if (rng.next_below(4) == 0) {
    tasks::Sample bare = draw_bare(rng);
    if (bare.turns.empty()) return;
    if (rng.next_below(4) == 0) bare = without_text(bare);
    sample.turns = bare.turns;
    sample.turns[0].text = bare.context + bare.turns[0].text;
  }
  add_whole(row, sample, Thoughts::kNone);
}

// Mostly every answer has its thought. Sometimes only the last one has: clients do not send thoughts back.
// And sometimes the prompt has thought already, of nothing.
RowMaker::Thoughts RowMaker::draw_thoughts(core::Rng& rng) const {
  const double way = options_.recitals ? unit(rng) : 1;
  return way < 0.8 ? Thoughts::kAll : way < 0.88 ? Thoughts::kLast : Thoughts::kNone;
}

// What stands between "assistant" and the end of the turn. An answer that lost its thought is not learned.
void RowMaker::add_answer(Row& row, const tasks::Turn& turn, Thoughts thoughts, bool last) const {
  const bool lost = thoughts == Thoughts::kLast && !last && !turn.recital.empty();
  if (thoughts == Thoughts::kNone) {
    if (options_.recitals) row.push(marks_.think, 0), row.push(marks_.think_end, 0);
  } else if (!turn.recital.empty() && !lost) {
    row.push(marks_.think, 1);
    add_tokens(row, turn.recital, 1);
    row.push(marks_.think_end, 1);
  }
  add_marked(row, turn.text, lost ? 0 : 1);
  row.push(marks_.im_end, lost ? 0 : 1);
}

// <|im_start|>ROLE \n TEXT <|im_end|> \n for each turn; the context is part of the first one, or of its own.
void RowMaker::add_chat(Row& row, const tasks::Sample& sample, Thoughts thoughts) const {
  const bool tools = sample.layout == tasks::Layout::kTools;
  const auto begin = [&](std::string_view role) {
    row.push(marks_.im_start, 0);
    add_tokens(row, role, 0);
    add_tokens(row, "\n", 0);
  };
  const auto end = [&] {
    row.push(marks_.im_end, 0);
    add_tokens(row, "\n", 0);
  };
  if (tools) {
    begin("system");
    add_tokens(row, sample.context, options_.context_weight);
    end();
  }
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    const tasks::Turn& turn = sample.turns[i];
    if (turn.role == tasks::Role::kAssistant) {
      begin("assistant");
      add_answer(row, turn, thoughts, i + 1 == sample.turns.size());
      add_tokens(row, "\n", 0);
      continue;
    }
    begin(turn.role == tasks::Role::kTool ? "tool" : "user");
    if (i == 0 && !tools) add_tokens(row, sample.context, options_.context_weight);
    turn.role == tasks::Role::kTool ? add_marked(row, turn.text, 0)
                                    : add_tokens(row, turn.text, options_.context_weight);
    end();
  }
}

// False where the sample does not fit.
bool RowMaker::add_turns(Row& row, const tasks::Sample& sample, Thoughts thoughts) const {
  const double context = options_.context_weight;
  if (sample.layout == tasks::Layout::kContinuation) {
    add_tokens(row, sample.context, context);
    add_tokens(row, sample.turns[0].text, 1);
  } else if (sample.layout == tasks::Layout::kFillInMiddle) {
    row.push(marks_.fim_prefix, 0);
    add_tokens(row, sample.context, context);
    row.push(marks_.fim_suffix, 0);
    add_tokens(row, sample.suffix, context);
    row.push(marks_.fim_middle, 0);
    add_tokens(row, sample.turns[0].text, 1);
  } else {
    add_chat(row, sample, thoughts);
  }
  const bool chat = sample.layout == tasks::Layout::kChat || sample.layout == tasks::Layout::kTools;
  row.push(marks_.end_of_text, chat ? 0 : 1);
  return row.room() > 0;
}

// A stretch of a document, from a random line on.
void RowMaker::add_text(Row& row, core::Rng& rng, double weight) const {
  const auto language = unit(rng) < options_.chinese_share ? Language::kChinese : Language::kEnglish;
  const auto kind = rng.next_below(5) < 3 ? tasks::TextKind::kProse : tasks::TextKind::kCode;
  const tasks::Document document = text_.pick(rng, kind, language);
  size_t begin = rng.next_below(static_cast<uint32_t>(document.text.size() + 1));
  begin = begin == 0 ? 0 : document.text.find('\n', begin);
  begin = begin == std::string_view::npos ? 0 : begin;
  const std::string_view rest = document.text.substr(begin);
  // Bytes enough for the room: 16 is the longest token.
  std::string_view part = rest.substr(0, row.room() * 16);
  if (part.size() < rest.size()) part = part.substr(0, std::max<size_t>(part.rfind('\n') + 1, 1));
  add_tokens(row, part, weight);
  row.push(marks_.end_of_text, weight);
}

}  // namespace mneme::train

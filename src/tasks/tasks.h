// tasks: seeded samples that teach and measure what a small model is to do with a long context: find it,
// quote it, copy it, take it apart, call a tool with it. English and Chinese.
//
//   text.h        TextSource: natural text and code for haystacks; given documents or built-in sentences
//   words.h       vocabulary, every list cut into train and held-out
//   wordings.h    the sentences of records and questions, cut the same way
//   values.h      random keys and values, and neighbours that differ by a character
//   haystack.h    records laid into noise, to a number of bytes and at a depth
//   draft.h       what every task's generator is given; the table of generators is in tasks.cpp
//   ruler.h       a family of its own, measured only: tasks in the style of RULER
//   json.h        just enough strict JSON to judge an answer
//   recital.h     what of the context leads to an answer, for models that say it first
//   judge.cpp     correct(): each task's own judge
//
// A sample is a context and turns over it. Only assistant turns are learned and checked. Every question of a
// sample asks another record. Train and held-out share no wording, no record format, no word of a key and no
// random value: lists are written twice, and random strings belong to the side that their hash says.
//
// generate() is a pure function of the request, the source and the generator's state, linear in
// context_bytes; it may run on any number of threads with an Rng each. The context never exceeds
// context_bytes; it falls short by at most 3 % and one record. Where not one record fits, the sample has no
// turns: the caller draws again.
//
// Includes: core, and core only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "tasks/text.h"

namespace mneme::tasks {

enum class TaskKind : uint8_t {
  kPasskey,           // one sentence in noise
  kMultiNeedle,       // several, among sentences with nearly the same key
  kKeyValue,          // JSON, INI, CSV, log, YAML, table, prose, shell, TSV ...
  kParaphrase,        // the question uses other words than the record
  kQuoteLine,         // a line by its beginning, a phrase of it or its number
  kCopy,              // go on from a beginning, exactly
  kSymbolDefinition,  // the line that defines a name in code
  kVariableTracking,  // chains of assignments (RULER, Hsieh et al. 2024)
  kFrequentWords,     // the most frequent coded words (RULER)
  kExtraction,        // prose to JSON with given keys
  kToolCall,          // tool schemas and a request to a JSON call
  kFillInMiddle,      // lines of code between a prefix and a suffix
  kSvg,               // described shapes to SVG
  kGrounded,          // questions about named files
  kSeveral,           // all values of a key, or those of several keys
};

enum class Split : uint8_t { kTrain, kHeldOut };
enum class Role : uint8_t { kUser, kAssistant, kTool };

enum class Layout : uint8_t {
  kChat,          // context + turns[0] is the first user turn's text; then turns alternate
  kContinuation,  // no chat: context, then turns[0] (assistant) directly
  kFillInMiddle,  // no chat: context is the prefix, suffix the suffix, turns[0] (assistant) the middle
  kTools,         // chat: context is the system message; the marks of calls and responses are written out
};

// Bytes [begin, end) of Sample::context.
struct Range {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
};

struct Turn {
  Role role = Role::kUser;
  std::string text;
  Range evidence{};  // assistant: the record that the answer rests on, the first of several; empty where it
                     // rests on all of the context
  std::string recital{};  // assistant: what of the context leads to the answer (recital.h; a tool's name and
                          // parameters); may be empty
};

struct Sample {
  TaskKind task = TaskKind::kPasskey;
  Language language = Language::kEnglish;
  Split split = Split::kTrain;
  Layout layout = Layout::kChat;
  std::string form;     // the record format or the variant, for tables of results
  std::string context;  // ends in a blank line where the layout is kChat; UTF-8
  std::string suffix;   // kFillInMiddle only
  std::vector<Turn> turns;
};

inline constexpr int kQuestionsMax = 1024;

struct Request {
  Split split = Split::kTrain;
  Language language = Language::kEnglish;
  size_t context_bytes = 4096;  // context and suffix together: never more
  int questions = 8;     // 1 .. kQuestionsMax; fewer where there is no room; kContinuation and kFillInMiddle:
                         // one
  double depth = -1.0;   // in [0,1]: where the asked records lie; negative: anywhere
  double variety = 1.0;  // in [0,1], of train: how much is made up on the spot (open.h); 0: lists alone
  double backwards = -1.0;  // in [0,1], of train's lookups: the share whose answer stands in front of what
                            // the question names; negative: as it comes
};

Sample generate(TaskKind task, const Request& request, const TextSource& source, core::Rng& rng);

// A short conversation with tools, of kToolCall, in the layout kTools: for each question a call, what the
// tool gave, and an answer. For training: correct() does not judge it. context_bytes is aimed at, not kept.
Sample generate_tool_chat(const Request& request, const TextSource& source, core::Rng& rng);

// Whether output answers turns[turn] (an assistant turn). Blanks around it do not count. Lists of names
// compare as sets, JSON by its keys and values (whatever their order), a continuation by its first bytes.
bool correct(const Sample& sample, size_t turn, std::string_view output);

// Of tasks whose answers are JSON, whatever the values: whether output is JSON with the objects and keys of
// turns[turn]. Nothing for other tasks.
std::optional<bool> has_right_keys(const Sample& sample, size_t turn, std::string_view output);

std::span<const TaskKind> all_tasks();
std::string_view name(TaskKind task);  // "multi_needle"
std::optional<TaskKind> parse_task(std::string_view name);
std::string_view name(Language language);  // "en", "zh"
std::string_view name(Split split);        // "train", "held_out"

}  // namespace mneme::tasks

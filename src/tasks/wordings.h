// The sentences of the tasks: what records say and what questions ask, in both languages, each slot written
// twice: for train and for held-out. {name} is a field that fill() replaces.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tasks/draft.h"

namespace mneme::tasks {

enum class Slot : uint8_t {
  kPreamble,
  kNeedleRecord,      // {type} {key} {value}
  kNeedleQuestion,    // {type} {key}
  kValueQuestion,     // {key}
  kKeyQuestion,       // {value}
  kProseRecord,       // {key} {value}
  kCopyWords,         // {beginning} {count}
  kCopyLine,          // {beginning}
  kCopyCode,          // {beginning}
  kLineByBeginning,   // {beginning}
  kLineByPhrase,      // {phrase}
  kLineByNumber,      // {number}
  kSymbolQuestion,    // {name}
  kVariableQuestion,  // {value}
  kFrequentQuestion,  // {count}
  kMostFrequent,
  kExtractQuestion,  // {subject} {keys}
  kToolPreamble,
  kToolQuestion,         // {what} {arguments}
  kToolArgument,         // {name} {value}
  kSvgRecord,            // {name} {shapes}
  kSvgQuestion,          // {name}
  kSvgCircle,            // {colour} {x} {y} {r}
  kSvgRect,              // {colour} {x} {y} {w} {h}
  kSvgLine,              // {colour} {x} {y} {x2} {y2}
  kFileByPhrase,         // {phrase}
  kFirstLineOfFile,      // {file}
  kLineInFile,           // {file} {beginning}
  kAllValuesQuestion,    // {type} {key}
  kSeveralKeysQuestion,  // {type} {keys}
};
inline constexpr size_t kSlots = static_cast<size_t>(Slot::kSeveralKeysQuestion) + 1;

std::span<const std::string_view> wordings(Slot slot, Language language, Split split);
// One of them, expanded (open.h); for train also words that none of them has, where the slot bears it.
std::string any_wording(Draft& draft, Slot slot);

// One slot as it is written.
struct Wordings {
  Slot slot;
  std::vector<std::string_view> train;
  std::vector<std::string_view> held_out;
};
const std::vector<Wordings>& wordings_written_english();
const std::vector<Wordings>& more_wordings_english();
const std::vector<Wordings>& wordings_written_chinese();

}  // namespace mneme::tasks

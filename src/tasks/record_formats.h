// The formats of key_value's records, train and held-out.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tasks/draft.h"

namespace mneme::tasks {

struct RecordFormat {
  std::string id;      // "ini"
  std::string open;    // in front of all records
  std::string record;  // {key} {value} {noise} {number}; ends in its separator
  std::string close;   // behind all records
};

std::span<const RecordFormat> record_formats(Split split);

}  // namespace mneme::tasks

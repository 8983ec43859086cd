// Bodies of /infill and of Tabby's completions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/editors.h"

namespace mneme::serve {

struct EditRequest {
  std::string model;  // "auto" where none is named
  EditPlace place;
  GenerateOptions generate;
  double predict_max_s = 0;  // from the first token on; 0: no limit
  bool stream = false;
  bool warm_only = false;                  // the prompt is only read, to be found again
  std::vector<std::string> answer_fields;  // paths ("timings/prompt_n"); empty: all
};

tl::expected<EditRequest, Failure> read_infill(const Json& body);
tl::expected<EditRequest, Failure> read_tabby(const Json& body);

}  // namespace mneme::serve

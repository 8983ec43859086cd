// What a model answers where JSON is asked for: the judge's own form of it is its own form.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tasks/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using mneme::tasks::canonical_json;
  const auto json = canonical_json({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  const auto again = canonical_json(*json);
  if (!again || *again != *json) std::abort();
  return 0;
}

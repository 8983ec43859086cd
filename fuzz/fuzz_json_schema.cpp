// Any text as a JSON schema: it is refused with one line, or what is drawn from its masks is JSON. The first
// byte chooses the options.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "fuzz_draw.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto grammar = mneme::grammar::Grammar::from_schema(
      text,
      {.strict = (data[0] & 1) != 0, .spaces = static_cast<mneme::grammar::JsonSpaces>(data[0] / 2 % 3)});
  if (!grammar) {
    MNEME_CHECK(!grammar.error().message.empty());
    return 0;
  }
  mneme::fuzz::draw(*grammar, data[0], [](std::string_view json) {
    MNEME_CHECK(nlohmann::json::accept(json), "'{}' is not JSON", json);
  });
  return 0;
}

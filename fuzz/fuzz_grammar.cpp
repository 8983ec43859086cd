// Any text as a grammar (or, by its first byte, as a regular expression): it is refused with one line, or
// what is drawn from its masks is one of its texts.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "fuzz_draw.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using mneme::grammar::Grammar;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto grammar = data[0] % 2 == 0 ? Grammar::from_text(text) : Grammar::from_regex(text);
  if (!grammar) {
    MNEME_CHECK(!grammar.error().message.empty());
    return 0;
  }
  mneme::fuzz::draw(*grammar, data[0], [](std::string_view) {});
  return 0;
}

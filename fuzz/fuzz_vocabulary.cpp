// A vocabulary file: refused, or the same when written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "corpus/vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using mneme::corpus::Vocabulary;
  const auto vocabulary = Vocabulary::parse({reinterpret_cast<const char*>(data), size}, "fuzz.bpe");
  if (!vocabulary) return 0;
  const auto again = Vocabulary::parse(vocabulary->to_text(), "again.bpe");
  if (!again || again->to_text() != vocabulary->to_text()) std::abort();
  return 0;
}

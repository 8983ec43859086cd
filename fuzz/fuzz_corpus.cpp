// What packages hold, as text: web pages, manual pages, info files. The first byte chooses the reader.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "corpus/clean.h"
#include "corpus/html.h"
#include "corpus/troff.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mneme::corpus;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!is_text(text)) return 0;
  std::string plain;
  switch (data[0] % 4) {
    case 0:
      plain = html_to_text(text);
      break;
    case 1:
      plain = troff_to_text(text);
      break;
    case 2:
      plain = info_to_text(text);
      break;
    default:
      plain = clean_lines(text, data[0] < 128 ? Kind::kProse : Kind::kCode);
  }
  if (!is_text(plain) && !plain.empty()) std::abort();  // text in, text out
  return 0;
}

// Any bytes as an answer's text: it is read back the same however it is cut, calls are paired, and nothing is
// lost of a text without calls. The first byte chooses the family and the cutting.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "serve/chat_reader.h"

namespace {

using namespace mneme;
using namespace mneme::serve;

class Told final : public ReaderEvents {
 public:
  void on_text(std::string_view piece, size_t) override { add('t', piece); }
  void on_reasoning(std::string_view piece) override { add('r', piece); }
  void on_tool_begin(const std::string& name) override {
    MNEME_CHECK(!open);
    open = true;
    add('(', name);
  }
  void on_tool_arguments(std::string_view piece) override {
    MNEME_CHECK(open);
    add('a', piece);
  }
  void on_tool_end() override {
    MNEME_CHECK(open);
    open = false;
    add(')', "");
  }
  std::string all;
  bool open = false;

 private:
  void add(char kind, std::string_view piece) {
    if (kind != kind_ || kind == '(' || kind == ')') all += kind;
    kind_ = kind;
    all += piece;
  }
  char kind_ = 0;
};

std::string read(const ReaderOptions& options, std::string_view answer, size_t step) {
  Told told;
  ChatReader reader(options, told);
  for (size_t at = 0; at < answer.size(); at += step) reader.push(answer.substr(at, step));
  reader.finish();
  MNEME_CHECK(!told.open);
  return told.all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view answer(reinterpret_cast<const char*>(data + 1), size - 1);
  static const std::vector<ToolSpec> kTools = {
      {.name = "f",
       .description = "",
       .parameters = R"({"type":"object","properties":{"s":{"type":"string"},"n":{"type":"integer"}}})"}};
  ToolDialect dialect;
  switch (data[0] % 5) {
    case 0: break;
    case 1: dialect.on_lines = false; break;
    case 2: dialect.family = ToolFamily::kXml; break;
    case 3:
      dialect.family = ToolFamily::kMistral;
      dialect.open = "[TOOL_CALLS]", dialect.close = "";
      break;
    default: dialect.family = ToolFamily::kBare; dialect.open = "<|python_tag|>", dialect.close = "";
  }
  const ReaderOptions options{.dialect = dialect,
                              .tools = kTools,
                              .reasoning = (data[0] & 32) != 0,
                              .reasoning_open = (data[0] & 64) != 0};
  const std::string whole = read(options, answer, answer.size() + 1);
  MNEME_CHECK(read(options, answer, 1) == whole);
  MNEME_CHECK(read(options, answer, 2 + data[0] % 7) == whole);
  // Without tools and reasoning every byte is text.
  const std::string plain = read({.dialect = dialect}, answer, 3);
  MNEME_CHECK(plain == (answer.empty() ? "" : "t" + std::string(answer)));
  return 0;
}

// Any bytes as a chat template: compiling and rendering them may fail, but must not crash, hang, leak or
// exhaust memory. What follows the first zero byte, if there is one, is read as the JSON of the context; else
// a fixed context is used.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/chat_template.h"
#include "model/jinja_json.h"

namespace {

constexpr std::string_view kContext = R"({
  "messages": [
    {"role": "system", "content": "You are helpful.\n"},
    {"role": "user", "content": "你好 <b>\"x\"</b> {{ 1 }}"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes", "reasoning_content": null,
     "tool_calls": [{"id": "call_1", "type": "function",
                     "function": {"name": "look", "arguments": {"x": 1, "y": [1.5, true]}}}]},
    {"role": "tool", "content": "42", "name": "look"},
    {"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}
  ],
  "tools": [{"type": "function", "function": {"name": "look", "description": "looks", "parameters":
    {"type": "object", "required": ["x"],
     "properties": {"x": {"type": "integer"}, "y": {"type": "array", "items": {"type": "number"}}}}}}],
  "add_generation_prompt": true, "enable_thinking": false, "bos_token": "<s>", "eos_token": "</s>",
  "n": 7, "f": -2.5, "d": {"a": 1, "b": {"c": []}}, "l": [3, 1, 2], "s": "Hello, World"
})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mneme::model;
  static const JinjaValue fixed_context = *parse_json(kContext);
  std::string_view input(reinterpret_cast<const char*>(data), size);
  size_t zero = input.find('\0');
  auto compiled = ChatTemplate::compile(input.substr(0, zero));
  JinjaValue context = fixed_context;
  if (zero != std::string_view::npos) {
    auto parsed = parse_json(input.substr(zero + 1));
    if (parsed && parsed->is_dict()) context = *parsed;
  }
  if (!compiled) return 0;
  ChatRenderOptions options;
  options.now_unix_s = 1'700'000'000;
  options.limits.steps_max = 20'000;  // so that a run takes milliseconds
  options.limits.output_bytes_max = size_t{1} << 20;
  options.limits.allocated_bytes_max = size_t{8} << 20;
  (void)compiled->render(context, options);
  return 0;
}

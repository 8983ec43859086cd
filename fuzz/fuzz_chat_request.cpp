// Any text as the body of a chat or text completion: it is refused with a message, or becomes a prompt.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "serve/byte_text_for_test.h"
#include "serve/openai_chat_request.h"
#include "serve/openai_completions.h"
#include "serve/tool_grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mneme::serve;
  static const ByteText kText("{% if tools %}<tool_call>{{% endif %}<think>");
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!json) {
    MNEME_CHECK(!json.error().message.empty());
    return 0;
  }
  RequestErrors wrong;
  (void)read_completion(Fields(*json, "", wrong), kText);
  RequestErrors errors;
  const OpenAiChatRequest request = read_openai_chat(Fields(*json, "", errors), kText);
  if (errors.any()) {
    MNEME_CHECK(errors.failure().kind == FailureKind::kInvalid && !errors.failure().message.empty());
    return 0;
  }
  MNEME_CHECK(!request.chat.messages.empty());
  (void)render_prompt(kText, request.chat);
  ConstraintCache cache;
  const auto constraint = answer_constraint(cache, kText, request.chat, dialect_of(kText),
                                            Reasoning::kMayBegin);
  if (!constraint) MNEME_CHECK(!constraint.error().message.empty());
  return 0;
}

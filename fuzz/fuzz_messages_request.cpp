// Any body at the readers of /v1/messages, /v1/responses, /infill and Tabby's completions: it is refused with
// a sentence, or read as something a model can be asked. The first byte chooses the reader.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "serve/anthropic_request.h"
#include "serve/editors_request.h"
#include "serve/responses_request.h"

namespace {

using namespace mneme::serve;

void check_chat(const ChatRequest& chat) {
  for (const auto& message : chat.messages) {
    const bool known = message.role == "system" || message.role == "user" || message.role == "assistant" ||
                       message.role == "tool";
    MNEME_CHECK(known, "'{}' is no role", message.role);
    MNEME_CHECK(message.tool_calls.empty() || message.role == "assistant");
  }
  MNEME_CHECK(!chat.messages.empty() && chat.generate.tokens_max >= -1);
}

// What was read, or whether the failure says why not.
template <class Request>
const Request* read_or_null(const tl::expected<Request, Failure>& request) {
  if (request) return &*request;
  MNEME_CHECK(request.error().kind == FailureKind::kInvalid && !request.error().message.empty());
  return nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto body = parse_json({reinterpret_cast<const char*>(data + 1), size - 1});
  if (!body) return 0;
  if (data[0] % 5 <= 1) {
    const auto purpose = data[0] % 5 == 0 ? MessagesPurpose::kAnswer : MessagesPurpose::kCount;
    const auto request = read_messages(*body, purpose);
    if (const auto* read = read_or_null(request)) {
      check_chat(read->chat);
      for (const auto& message : read->chat.messages)
        for (const auto& call : message.tool_calls)
          MNEME_CHECK(Json::accept(call.arguments), "'{}' is not JSON", call.arguments);
    }
  } else if (data[0] % 5 == 2) {
    const auto request = read_responses(*body);
    if (const auto* read = read_or_null(request)) check_chat(read->chat);
  } else {
    const auto request = data[0] % 5 == 3 ? read_infill(*body) : read_tabby(*body);
    if (const auto* read = read_or_null(request))
      MNEME_CHECK(read->generate.tokens_max >= -1 && read->generate.sampling.temperature >= 0);
  }
  return 0;
}

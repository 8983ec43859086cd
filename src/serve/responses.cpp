// POST /v1/responses.
#include <memory>
#include <utility>

#include "serve/call_parts.h"
#include "serve/json_fields.h"
#include "serve/responses_answer.h"
#include "serve/responses_request.h"

namespace mneme::serve {

namespace {

tl::expected<void, Failure> answer_responses(const Call& call, Models& models) {
  const auto body = parse_json(call.request->body);
  if (!body) return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = body.error().message});
  auto request = read_responses(*body);
  if (!request) return tl::unexpected(request.error());
  const auto backend = models.find(request->model, call.request->body.size());
  if (!backend) return tl::unexpected(backend.error());
  request->chat.from = origin_of(call, request->cache_key, request->session);
  ResponsesAnswer::Setup setup{.model = model_name(request->model, **backend),
                               .stream = request->stream,
                               .summarise = request->summarise,
                               .custom_tools = std::move(request->custom_tools),
                               .echo = std::move(request->echo),
                               .account = account_of(call, **backend)};
  const auto listener = std::make_shared<ResponsesAnswer>(call.answer, std::move(setup));
  const std::shared_ptr<ChatListener> listeners[] = {listener};
  auto ids = start_chat(**backend, request->chat, listeners);
  if (!ids) {
    if (ids.error().param == "messages") ids.error().param = "input";  // as it is called here
    listener->on_failure(ids.error());
    return {};
  }
  cancel_when_gone(*call.answer, *backend, std::move(*ids));
  listener->open();
  return {};
}

tl::expected<void, Failure> count_tokens(const Call& call, Models& models) {
  const auto body = parse_json(call.request->body);
  if (!body) return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = body.error().message});
  const auto request = read_responses(*body);
  if (!request) return tl::unexpected(request.error());
  const auto backend = models.find(request->model, call.request->body.size());
  if (!backend) return tl::unexpected(backend.error());
  const auto tokens = encode_prompt((*backend)->text(), request->chat);
  if (!tokens) return tl::unexpected(tokens.error());
  call.answer->send(200, "application/json",
                    json_text({{"object", "response.input_tokens"}, {"input_tokens", tokens->size()}}));
  return {};
}

}  // namespace

void add_responses(Router& router, Models& models) {
  add_post(router, models, "/v1/responses", Surface::kOpenAi, answer_responses);
  add_post(router, models, "/v1/responses/input_tokens", Surface::kOpenAi, count_tokens);
}

}  // namespace mneme::serve

// POST /v1/messages and /v1/messages/count_tokens.
#include <memory>
#include <utility>

#include "serve/anthropic_answer.h"
#include "serve/anthropic_request.h"
#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

tl::expected<MessagesRequest, Failure> read_call(const Call& call, MessagesPurpose purpose) {
  const auto body = parse_json(call.request->body);
  if (!body) return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = body.error().message});
  auto request = read_messages(*body, purpose);
  if (!request) return request;
  request->chat.from = origin_of(call, request->user, request->session);
  return request;
}

tl::expected<void, Failure> answer_messages(const Call& call, Models& models) {
  auto request = read_call(call, MessagesPurpose::kAnswer);
  if (!request) return tl::unexpected(request.error());
  const auto backend = models.find(request->model, call.request->body.size());
  if (!backend) return tl::unexpected(backend.error());
  MessagesAnswer::Setup setup{.model = model_name(request->model, **backend),
                              .stream = request->stream,
                              .show_thinking = request->show_thinking,
                              .omit_thinking = request->omit_thinking,
                              .request_id = call.request->id,
                              .ping_every_s = EventStream::kPingEvery_s,
                              .account = account_of(call, **backend)};
  const auto listener = std::make_shared<MessagesAnswer>(call.answer, std::move(setup));
  const std::shared_ptr<ChatListener> listeners[] = {listener};
  auto ids = start_chat(**backend, request->chat, listeners);
  if (!ids) return tl::unexpected(ids.error());
  cancel_when_gone(*call.answer, *backend, std::move(*ids));
  listener->open();
  return {};
}

tl::expected<void, Failure> count_tokens(const Call& call, Models& models) {
  const auto request = read_call(call, MessagesPurpose::kCount);
  if (!request) return tl::unexpected(request.error());
  const auto backend = models.find(request->model, call.request->body.size());
  if (!backend) return tl::unexpected(backend.error());
  const auto tokens = encode_prompt((*backend)->text(), request->chat);
  if (!tokens) return tl::unexpected(tokens.error());
  call.answer->send(200, "application/json", json_text({{"input_tokens", tokens->size()}}),
                    {{"request-id", call.request->id}});
  return {};
}

}  // namespace

void add_anthropic(Router& router, Models& models) {
  add_post(router, models, "/v1/messages", Surface::kAnthropic, answer_messages);
  add_post(router, models, "/v1/messages/count_tokens", Surface::kAnthropic, count_tokens);
}

}  // namespace mneme::serve

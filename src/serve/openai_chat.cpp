// POST /v1/chat/completions.
#include <utility>

#include "serve/call_parts.h"
#include "serve/openai_chat_answer.h"
#include "serve/openai_chat_request.h"

namespace mneme::serve {

namespace {

void complete_chat(const Call& call, Models& models) {
  auto body = read_openai_body(call, models);
  if (!body) return;
  RequestErrors errors;
  const Fields fields(body->json, "", errors);
  OpenAiChatRequest request = read_openai_chat(fields, body->backend->text());
  request.chat.from = origin_of(call, fields.text("prompt_cache_key"), fields.text("session"));
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());

  const OpenAiChatAnswer answer = answer_openai_chat(call, request, body->model);
  auto ids = start_chat(*body->backend, request.chat, answer.listeners);
  if (!ids) return send_failure(*call.answer, Surface::kOpenAi, ids.error());
  answer.begin();
  cancel_when_gone(*call.answer, body->backend, std::move(*ids));
}

// The tokens of the conversation as it would be read.
void count_tokens(const Call& call, Models& models) {
  const auto body = read_openai_body(call, models);
  if (!body) return;
  RequestErrors errors;
  const OpenAiChatRequest request = read_openai_chat(Fields(body->json, "", errors), body->backend->text());
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());
  const auto tokens = encode_prompt(body->backend->text(), request.chat);
  if (!tokens) return send_failure(*call.answer, Surface::kOpenAi, tokens.error());
  call.answer->send(
      200, "application/json",
      json_text({{"object", "chat.completion.input_tokens"}, {"input_tokens", tokens->size()}}));
}

}  // namespace

void add_openai_chat(Router& router, Models& models) {
  const auto endpoint = [&models](const Call& call) { complete_chat(call, models); };
  router.add("POST", "/v1/chat/completions", endpoint);
  router.add("POST", "/chat/completions", endpoint);
  const auto count = [&models](const Call& call) { count_tokens(call, models); };
  router.add("POST", "/v1/chat/completions/input_tokens", count);
  router.add("POST", "/chat/completions/input_tokens", count);
}

}  // namespace mneme::serve

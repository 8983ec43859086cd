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
  request.chat.context_tokens_max = call.caller.tokens_max;
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());

  const OpenAiChatAnswer answer = answer_openai_chat(call, request, body->model);
  auto ids = start_chat(*body->backend, request.chat, answer.listeners);
  if (!ids) return send_failure(*call.answer, Surface::kOpenAi, ids.error());
  answer.begin();
  cancel_when_gone(*call.answer, body->backend, std::move(*ids));
}

}  // namespace

void add_openai_chat(Router& router, Models& models) {
  const auto endpoint = [&models](const Call& call) { complete_chat(call, models); };
  router.add("POST", "/v1/chat/completions", endpoint);
  router.add("POST", "/chat/completions", endpoint);
}

}  // namespace mneme::serve

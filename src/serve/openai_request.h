// What requests of the OpenAI family share: sampling, stops, who asks for which conversation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/call_parts.h"
#include "serve/chat.h"
#include "serve/json_fields.h"

namespace mneme::serve {

// temperature, top_p, top_k, min_p, penalties, logit_bias, seed (a fresh one where there is none), stop.
void read_sampling(const Fields& fields, const Text& text, GenerateOptions& generate);
// The first of these fields that is there; -1: as much as fits.
int read_tokens_max(const Fields& fields, std::initializer_list<std::string_view> keys);

// The body and the model that it names; nothing: the failure was sent.
struct OpenAiBody {
  Json json;
  std::shared_ptr<Backend> backend;
  std::string model;  // as the client calls it
};
std::optional<OpenAiBody> read_openai_body(const Call& call, Models& models);

struct TokenUsage {
  size_t prompt = 0, found = 0, generated = 0, reasoning = 0;
  double prefill_s = 0, decode_s = 0;
};
Json usage_json(const TokenUsage& usage);
Json timings_json(const TokenUsage& usage);
// Of JSON, which has no infinity.
double finite_logprob(float logprob);
std::string sound_text(std::string_view bytes);  // what is no UTF-8 becomes U+FFFD

}  // namespace mneme::serve

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
// logit_bias is {"TOKEN or text": BIAS} or [[TOKEN or "text", BIAS], ...]: that of a text is that of each of
// its tokens, and false forbids as -100 does.
void read_sampling(const Fields& fields, const Text& text, GenerateOptions& generate);
// The first of these fields that is there; -1: as much as fits.
int read_tokens_max(const Fields& fields, std::initializer_list<std::string_view> keys);

// response_format, or one of json_schema, grammar and regex by itself.
void read_format(const Fields& fields, FormatRequest& format);

// What a stream tells beside its text.
struct StreamOptions {
  bool on = false;             // else the answer comes as a whole
  bool include_usage = false;  // a last chunk with the usage
  bool progress = false;       // return_progress: how much of the prompt is read
  bool timings = false;        // timings_per_token: with every piece
};
StreamOptions read_stream_options(const Fields& fields);

// The body and the model that it names; nothing: the failure was sent.
struct OpenAiBody {
  Json json;
  std::shared_ptr<Backend> backend;
  std::string model;  // as the client calls it
};
std::optional<OpenAiBody> read_openai_body(const Call& call, Models& models);

struct TokenUsage {
  size_t prompt = 0, found = 0, generated = 0, reasoning = 0;
  size_t answers = 1;  // that the generated tokens belong to
  double prefill_s = 0;
  double decode_s = 0;  // since the first token, which comes with the prompt
};
Json usage_json(const TokenUsage& usage);
// Finite, whatever was measured.
Json timings_json(const TokenUsage& usage);
// Of JSON, which has no infinity.
double finite_logprob(float logprob);
std::string sound_text(std::string_view bytes);  // what is no UTF-8 becomes U+FFFD

}  // namespace mneme::serve

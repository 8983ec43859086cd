#include "serve/openai_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace mneme::serve {

namespace {

constexpr size_t kStopsMax = 16;

void read_logit_bias(const Fields& fields, const Text& text, SamplingOptions& sampling) {
  const Json* biases = fields.find("logit_bias");
  if (!biases || (biases->is_array() && biases->empty())) return;
  const std::string path = fields.path_of("logit_bias");
  if (!biases->is_object()) return fields.errors().wrong_type(path, "an object", *biases);
  for (const auto& [key, bias] : biases->items()) {
    TokenId token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool whole = error == std::errc() && end == key.data() + key.size();
    if (!whole || token < 0 || token >= text.vocab_size())
      return fields.errors().wrong_value(path, fmt::format("'{}' is no token of this model", key));
    if (!bias.is_number()) return fields.errors().wrong_type(path + "." + key, "a number", bias);
    const double value = bias.get<double>();
    if (!(value >= -100 && value <= 100))
      return fields.errors().wrong_value(path + "." + key, "a bias is between -100 and 100");
    // -100 forbids, as the protocol means it.
    const bool never = value <= -100;
    sampling.logit_bias.emplace_back(
        token, never ? -std::numeric_limits<float>::infinity() : static_cast<float>(value));
  }
}

float number(const Fields& fields, std::string_view key, float otherwise, NumberRange range) {
  return static_cast<float>(fields.number(key, otherwise, range));
}

}  // namespace

void read_sampling(const Fields& fields, const Text& text, GenerateOptions& generate) {
  SamplingOptions& sampling = generate.sampling;
  sampling.temperature = number(fields, "temperature", sampling.temperature, {0, 2});
  sampling.top_p = number(fields, "top_p", sampling.top_p, {0, 1});
  sampling.min_p = number(fields, "min_p", sampling.min_p, {0, 1});
  const int64_t top_k = fields.whole("top_k", sampling.top_k, {-1, INT32_MAX});
  sampling.top_k = static_cast<int>(std::max<int64_t>(top_k, 0));
  sampling.presence_penalty = number(fields, "presence_penalty", 0, {-2, 2});
  sampling.frequency_penalty = number(fields, "frequency_penalty", 0, {-2, 2});
  const char* const repetition = fields.has("repetition_penalty") ? "repetition_penalty" : "repeat_penalty";
  sampling.repetition_penalty = number(fields, repetition, 1, {0.01, 10});
  if (fields.has("seed")) {
    sampling.seed = static_cast<uint64_t>(fields.whole("seed", 0));
  } else {
    sampling.seed = fresh_seed();
  }
  read_logit_bias(fields, text, sampling);
  for (std::string& stop : fields.texts("stop", kStopsMax))
    if (!stop.empty()) generate.stop.push_back(std::move(stop));
}

int read_tokens_max(const Fields& fields, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!fields.has(key)) continue;
    const int64_t tokens = fields.whole(key, -1, {-1, std::numeric_limits<int64_t>::max()});
    if (tokens == 0) fields.errors().wrong_value(fields.path_of(key), "at least one token is generated");
    return static_cast<int>(std::min<int64_t>(tokens, INT32_MAX));
  }
  return kAnswerTokensMax;
}

std::optional<OpenAiBody> read_openai_body(const Call& call, Models& models) {
  auto json = parse_json(call.request->body);
  if (!json) {
    send_refusal(*call.answer, Surface::kOpenAi, {.status = 400, .message = json.error().message});
    return std::nullopt;
  }
  RequestErrors errors;
  const Fields fields(*json, "", errors);
  OpenAiBody body{.json = {}, .backend = nullptr, .model = fields.text("model")};
  if (errors.any()) {
    send_failure(*call.answer, Surface::kOpenAi, errors.failure());
    return std::nullopt;
  }
  auto backend = models.find(body.model, call.request->body.size());
  if (!backend) {
    send_failure(*call.answer, Surface::kOpenAi, backend.error());
    return std::nullopt;
  }
  body.backend = std::move(*backend);
  body.model = model_name(body.model, *body.backend);
  body.json = std::move(*json);
  return body;
}

Json usage_json(const TokenUsage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.generated},
          {"total_tokens", usage.prompt + usage.generated},
          {"prompt_tokens_details", {{"cached_tokens", usage.found}, {"audio_tokens", 0}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", usage.reasoning},
            {"audio_tokens", 0},
            {"accepted_prediction_tokens", 0},
            {"rejected_prediction_tokens", 0}}}};
}

Json timings_json(const TokenUsage& usage) {
  const auto rate = [](size_t count, double time_s) {
    return time_s > 0 ? static_cast<double>(count) / time_s : 0;
  };
  const size_t computed = usage.prompt - std::min(usage.prompt, usage.found);
  return {{"prompt_n", computed},
          {"prompt_ms", usage.prefill_s * 1000},
          {"prompt_per_second", rate(computed, usage.prefill_s)},
          {"predicted_n", usage.generated},
          {"predicted_ms", usage.decode_s * 1000},
          {"predicted_per_second", rate(usage.generated, usage.decode_s)},
          {"cache_n", usage.found}};
}

double finite_logprob(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

std::string sound_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t valid = core::utf8_valid_prefix(bytes);
    text += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    text += core::kReplacementCharacter;
    bytes.remove_prefix(core::decode_utf8(bytes).length);
  }
  return text;
}

}  // namespace mneme::serve

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

// Nothing: it is wrong, and told.
std::optional<float> read_bias(const Json& value, const std::string& path, RequestErrors& errors) {
  constexpr double kNever = -100;  // forbids, as the protocol means it
  const bool never = value.is_boolean() && !value.get<bool>();
  if (!never && !value.is_number()) {
    errors.wrong_type(path, "a number", value);
    return std::nullopt;
  }
  const double bias = never ? kNever : value.get<double>();
  if (!(bias >= kNever && bias <= 100)) {
    errors.wrong_value(path, "a bias is between -100 and 100");
    return std::nullopt;
  }
  return bias <= kNever ? -std::numeric_limits<float>::infinity() : static_cast<float>(bias);
}

std::optional<int64_t> number_in(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class BiasReader {
 public:
  BiasReader(const Fields& fields, const Text& text, SamplingOptions& sampling)
      : errors_(&fields.errors()), text_(&text), sampling_(&sampling), path_(fields.path_of("logit_bias")) {}

  void read(const Json& biases) {
    if (biases.is_array()) return read_pairs(biases);
    if (!biases.is_object()) return errors_->wrong_type(path_, "an object or a list of pairs", biases);
    for (const auto& [key, bias] : biases.items()) {
      const std::string path = path_ + "." + key;
      if (const auto token = number_in(key)) {
        add_token(*token, bias, path);
      } else {
        add_text(key, bias, path);
      }
    }
  }

 private:
  void read_pairs(const Json& pairs) {
    for (size_t i = 0; i < pairs.size(); ++i) {
      const std::string path = fmt::format("{}[{}]", path_, i);
      const Json& pair = pairs[i];
      if (!pair.is_array() || pair.size() != 2) {
        errors_->wrong_type(path, "a pair of a token or text and its bias", pair);
      } else if (pair[0].is_string()) {
        add_text(pair[0].get<std::string>(), pair[1], path);
      } else if (const auto token = whole_number(pair[0])) {
        add_token(*token, pair[1], path);
      } else {
        errors_->wrong_type(path, "a token or a text", pair[0]);
      }
    }
  }
  void add_token(int64_t token, const Json& bias, const std::string& path) {
    if (token < 0 || token >= text_->vocab_size())
      return errors_->wrong_value(path, fmt::format("{} is no token of this model", token));
    add({static_cast<TokenId>(token)}, bias, path);
  }
  void add_text(const std::string& words, const Json& bias, const std::string& path) {
    if (words.empty()) return errors_->wrong_value(path, "a text has at least one token");
    add(text_->encode(words, {.add_bos_eos = false}), bias, path);
  }
  void add(const std::vector<TokenId>& tokens, const Json& value, const std::string& path) {
    const auto bias = read_bias(value, path, *errors_);
    if (!bias) return;
    for (const TokenId token : tokens) sampling_->logit_bias.emplace_back(token, *bias);
  }

  RequestErrors* errors_;
  const Text* text_;
  SamplingOptions* sampling_;
  std::string path_;
};

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
  if (const Json* biases = fields.find("logit_bias")) BiasReader(fields, text, sampling).read(*biases);
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

StreamOptions read_stream_options(const Fields& fields) {
  StreamOptions stream{.on = fields.flag("stream", false)};
  if (const auto options = fields.object("stream_options"))
    stream.include_usage = options->flag("include_usage", false);
  stream.progress = fields.flag("return_progress", false) && stream.on;
  stream.timings = fields.flag("timings_per_token", false) && stream.on;
  return stream;
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
  const auto each_ms = [](size_t count, double time_s) {
    return count > 0 ? time_s * 1000 / static_cast<double>(count) : 0;
  };
  const size_t computed = usage.prompt - std::min(usage.prompt, usage.found);
  const size_t steps = usage.generated - std::min(usage.generated, usage.answers);
  return {{"prompt_n", computed},
          {"prompt_ms", usage.prefill_s * 1000},
          {"prompt_per_token_ms", each_ms(computed, usage.prefill_s)},
          {"prompt_per_second", rate(computed, usage.prefill_s)},
          {"predicted_n", usage.generated},
          {"predicted_ms", usage.decode_s * 1000},
          {"predicted_per_token_ms", each_ms(steps, usage.decode_s)},
          {"predicted_per_second", rate(steps, usage.decode_s)},
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

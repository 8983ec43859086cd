// POST /v1/embeddings.
#include <bit>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "serve/answer_room.h"
#include "serve/call_parts.h"
#include "serve/openai_completions.h"

namespace mneme::serve {

namespace {

constexpr size_t kTextsMax = 2048;  // the protocol's

static_assert(std::endian::native == std::endian::little, "vectors are sent as little-endian floats");

std::string base64(std::span<const float> values) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  const size_t count = values.size_bytes();
  std::string out;
  for (size_t i = 0; i < count; i += 3) {
    uint32_t group = uint32_t{bytes[i]} << 16;
    if (i + 1 < count) group |= uint32_t{bytes[i + 1]} << 8;
    if (i + 2 < count) group |= bytes[i + 2];
    out += kLetters[group >> 18];
    out += kLetters[group >> 12 & 63];
    out += i + 1 < count ? kLetters[group >> 6 & 63] : '=';
    out += i + 2 < count ? kLetters[group & 63] : '=';
  }
  return out;
}

// The first so many numbers, of length 1 again.
void shorten(std::vector<float>& vector, size_t dimensions) {
  if (dimensions == 0 || dimensions >= vector.size()) return;
  vector.resize(dimensions);
  double sum = 0;
  for (const float x : vector) sum += double{x} * double{x};
  const double length = std::sqrt(sum);
  if (length > 0)
    for (float& x : vector) x = static_cast<float>(x / length);
}

struct EmbeddingRequest {
  std::vector<std::vector<TokenId>> texts;
  bool as_base64 = false;
  size_t dimensions = 0, tokens = 0;
};

EmbeddingRequest read_embedding(const Fields& fields, const Backend& backend, uint64_t tokens_max) {
  EmbeddingRequest request;
  auto prompts = read_prompts(fields, "input", backend.text(), kTextsMax);
  for (size_t i = 0; i < prompts.size(); ++i) {
    auto& tokens = prompts[i].tokens;
    if (tokens.empty()) fields.errors().wrong_value("input", "a text has at least one token");
    if (tokens_max > 0 && tokens.size() > tokens_max)
      fields.errors().wrong_value(
          "input", fmt::format("text {} has {} tokens, at most {} fit", i, tokens.size(), tokens_max));
    request.tokens += tokens.size();
    request.texts.push_back(std::move(tokens));
  }
  request.as_base64 = fields.one_of("encoding_format", {"float", "base64"}, "float") == "base64";
  const int dim = backend.info().dim;
  request.dimensions = static_cast<size_t>(fields.whole("dimensions", 0, {1, dim > 0 ? dim : INT32_MAX}));
  return request;
}

void embed(const Call& call, Models& models) {
  auto body = read_openai_body(call, models);
  if (!body) return;
  RequestErrors errors;
  const Fields fields(body->json, "", errors);
  EmbeddingRequest request = read_embedding(
      fields, *body->backend, context_tokens_max(*body->backend, origin_of(call).context_tokens_max));
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());
  const auto done = [answer = call.answer, account = call.account, model = body->model,
                     as_base64 = request.as_base64, dimensions = request.dimensions,
                     tokens = request.tokens](auto vectors) {
    if (!vectors) return send_failure(*answer, Surface::kOpenAi, vectors.error());
    Json data = Json::array();
    for (std::vector<float>& vector : *vectors) {
      shorten(vector, dimensions);
      Json embedding = as_base64 ? Json(base64(vector)) : Json(vector);
      data.push_back({{"object", "embedding"}, {"index", data.size()}, {"embedding", std::move(embedding)}});
    }
    if (account) account(model, tokens, 0);
    answer->send(200, "application/json",
                 json_text({{"object", "list"},
                            {"data", std::move(data)},
                            {"model", model},
                            {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}}));
  };
  body->backend->embed(std::move(request.texts), call.caller.owner, done);
}

}  // namespace

void add_openai_embeddings(Router& router, Models& models) {
  const auto endpoint = [&models](const Call& call) { embed(call, models); };
  router.add("POST", "/v1/embeddings", endpoint);
  router.add("POST", "/embeddings", endpoint);
}

}  // namespace mneme::serve

#include "serve/editors_request.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

// Code is completed by the likeliest tokens unless an editor asks for something else.
constexpr double kTemperature = 0;
constexpr int kInfillTokens = 128, kTabbyTokens = 64;

void read_pieces(const Fields& fields, std::string_view key, EditPlace& place) {
  const auto text_of = [](const Fields& piece, std::initializer_list<std::string_view> names) {
    for (const auto name : names)
      if (piece.has(name)) return piece.text(name);
    return std::string();
  };
  fields.each(key, [&](const Json& item, const std::string& path) {
    const Fields piece(item, path, fields.errors());
    if (!piece.has("text") && !piece.has("body") && !fields.errors().any())
      fields.errors().missing(piece.path_of("text"));
    place.pieces.push_back(
        {.file = text_of(piece, {"filename", "filepath"}), .text = text_of(piece, {"text", "body"})});
  });
}

// A sampler that is not in the list is off.
void turn_off_samplers(const Fields& body, SamplingOptions& sampling) {
  const Json* list = body.find("samplers");
  if (!list || !list->is_array()) return;  // letters, a short way to say it: as the options are
  const auto listed = [&](std::string_view name) {
    return std::any_of(list->begin(), list->end(), [&](const Json& one) { return one == name; });
  };
  if (!listed("top_k")) sampling.top_k = 0;
  if (!listed("top_p")) sampling.top_p = 1;
  if (!listed("min_p")) sampling.min_p = 0;
  if (!listed("penalties")) sampling.repetition_penalty = 1;
}

void read_sampling(const Fields& body, SamplingOptions& sampling) {
  sampling.temperature = static_cast<float>(body.number("temperature", kTemperature, {-1, 100}));
  sampling.temperature = std::max(sampling.temperature, 0.0f);
  sampling.top_k = static_cast<int>(body.whole("top_k", sampling.top_k, {-1, 1 << 20}));
  sampling.top_k = std::max(sampling.top_k, 0);
  sampling.top_p = static_cast<float>(body.number("top_p", sampling.top_p, {0, 1}));
  sampling.min_p = static_cast<float>(body.number("min_p", sampling.min_p, {0, 1}));
  sampling.repetition_penalty = static_cast<float>(body.number("repeat_penalty", 1, {0.01, 100}));
  sampling.presence_penalty = static_cast<float>(body.number("presence_penalty", 0, {-100, 100}));
  sampling.frequency_penalty = static_cast<float>(body.number("frequency_penalty", 0, {-100, 100}));
  // -1, as clients of this protocol write "any".
  const int64_t seed = body.whole("seed", -1, {-1, std::numeric_limits<int64_t>::max()});
  sampling.seed = seed < 0 ? fresh_seed() : static_cast<uint64_t>(seed);
  turn_off_samplers(body, sampling);
}

}  // namespace

tl::expected<EditRequest, Failure> read_infill(const Json& json) {
  RequestErrors errors;
  const Fields body(json, "", errors);
  EditRequest request;
  request.model = body.text("model", "auto");
  if (!body.has("input_prefix") && !body.has("input_suffix") && !body.has("prompt"))
    errors.missing("input_prefix");
  request.place.prefix = body.text("input_prefix") + body.text("prompt");
  request.place.suffix = body.text("input_suffix");
  request.place.file = body.text("filename");
  request.place.repository = body.text("repository");
  read_pieces(body, "input_extra", request.place);
  constexpr int kMost = std::numeric_limits<int32_t>::max();
  const auto count = body.whole("n_predict", body.whole("max_tokens", kInfillTokens, {-1, kMost}),
                                {-1, kMost});
  request.warm_only = count == 0;
  request.generate.tokens_max = static_cast<int>(count);
  request.generate.stop = body.texts("stop", 64);
  std::erase(request.generate.stop, "");
  request.generate.ignore_end = body.flag("ignore_eos", false);
  read_sampling(body, request.generate.sampling);
  request.predict_max_s = body.number("t_max_predict_ms", 0) / 1000;
  request.stream = body.flag("stream", false);
  request.answer_fields = body.texts("response_fields", 256);
  if (errors.any()) return tl::unexpected(errors.failure());
  return request;
}

tl::expected<EditRequest, Failure> read_tabby(const Json& json) {
  RequestErrors errors;
  const Fields body(json, "", errors);
  EditRequest request;
  request.model = body.text("model", "auto");
  body.require("segments");
  if (const auto segments = body.object("segments")) {
    EditPlace& place = request.place;
    place.prefix = segments->required_text("prefix");
    place.suffix = segments->text("suffix");
    place.file = segments->text("filepath");
    place.repository = segments->text("git_url");
    read_pieces(*segments, "relevant_snippets_from_recently_opened_files", place);
    read_pieces(*segments, "relevant_snippets_from_changed_files", place);
    read_pieces(*segments, "declarations", place);
  }
  request.generate.tokens_max = kTabbyTokens;
  request.generate.stop = {"\n\n", "\r\n\r\n"};  // a completion is a paragraph of code
  read_sampling(body, request.generate.sampling);
  if (errors.any()) return tl::unexpected(errors.failure());
  return request;
}

}  // namespace mneme::serve

// POST /infill, as llama.vim and its relatives ask.
#include <string>
#include <utility>

#include "serve/call_parts.h"
#include "serve/editors_answer.h"
#include "serve/json_fields.h"
#include "serve/openai_request.h"

namespace mneme::serve {

namespace {

const char* stop_type(StopReason reason) {
  switch (reason) {
    case StopReason::kEnd: return "eos";
    case StopReason::kStopText: return "word";
    case StopReason::kLength:
    case StopReason::kFull: return "limit";
    default: return "none";
  }
}

Json timings_of(const GenerateReport& report) {
  return timings_json({.prompt = report.prompt_tokens + report.found_tokens,
                       .found = report.found_tokens,
                       .generated = report.generated_tokens,
                       .prefill_s = report.prefill_s,
                       .decode_s = report.decode_s});
}

// Only what the paths ("timings/prompt_n") lead to, under the paths' own names.
Json fields_of(const Json& whole, const std::vector<std::string>& paths) {
  Json chosen = Json::object();
  for (const std::string& path : paths) {
    const Json* at = &whole;
    for (size_t begin = 0; at && begin <= path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      const auto found = at->is_object() ? at->find(path.substr(begin, end - begin)) : at->end();
      at = at->is_object() && found != at->end() ? &*found : nullptr;
      begin = end + 1;
    }
    if (at) chosen[path] = *at;
  }
  return chosen;
}

struct InfillAnswer {
  std::string model;
  Json settings;
  std::vector<std::string> fields;
  bool cut = false;

  Json operator()(std::string_view text, const GenerateReport* report) const {
    Json whole = {{"index", 0}, {"content", text}, {"stop", report != nullptr}, {"model", model}};
    if (report) {
      const size_t prompt = report->prompt_tokens + report->found_tokens;
      whole.update({{"tokens_predicted", report->generated_tokens},
                    {"tokens_evaluated", prompt},
                    {"tokens_cached", prompt + report->generated_tokens},
                    {"generation_settings", settings},
                    {"has_new_line", report->text.find('\n') != std::string::npos},
                    {"truncated", cut || report->reason == StopReason::kFull},
                    {"stop_type", stop_type(report->reason)},
                    {"timings", timings_of(*report)}});
    }
    return fields.empty() ? whole : fields_of(whole, fields);
  }
};

tl::expected<void, Failure> answer_infill(const Call& call, Models& models) {
  const auto body = parse_json(call.request->body);
  if (!body) return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = body.error().message});
  auto request = read_infill(*body);
  if (!request) return tl::unexpected(request.error());
  const auto backend = models.find(request->model, call.request->body.size());
  if (!backend) return tl::unexpected(backend.error());
  auto prompt = edit_prompt(**backend, request->place, prompt_tokens_max(call, **backend, *request));
  if (!prompt) return tl::unexpected(prompt.error());
  const SamplingOptions& sampling = request->generate.sampling;
  InfillAnswer write{.model = (*backend)->info().name,
                     .settings = {{"n_predict", request->generate.tokens_max},
                                  {"seed", sampling.seed},
                                  {"temperature", short_number(sampling.temperature)},
                                  {"top_k", sampling.top_k},
                                  {"top_p", short_number(sampling.top_p)},
                                  {"min_p", short_number(sampling.min_p)},
                                  {"stop", request->generate.stop}},
                     .fields = std::move(request->answer_fields),
                     .cut = prompt->cut};
  return start_edit(call, *backend, std::move(*request), std::move(prompt->tokens),
                    {.write = std::move(write), .surface = Surface::kOwn});
}

}  // namespace

void add_infill(Router& router, Models& models) {
  add_post(router, models, "/infill", Surface::kOwn, answer_infill);
}

}  // namespace mneme::serve

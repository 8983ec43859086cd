// What the server says of itself: GET /, /health, /props, /openapi.json.
#include "mneme/version.h"

#include "core/error.h"
#include "serve/api.h"
#include "serve/openapi.h"
#include "serve/server.h"

namespace mneme::serve {
namespace {

void send_json(Answer& answer, const Json& value) { answer.send(200, "application/json", json_text(value)); }

// For people who open the server's address.
void send_root(const Call& call, const Models& models) {
  std::string text = fmt::format("mneme {}\n", kVersion);
  if (call.caller.is_admin) text += "\nmodels:\n";
  for (const ModelEntry& entry : models.list()) {
    if (call.caller.is_admin)
      text += "  " + entry.name + (entry.role.empty() ? "" : " (" + entry.role + ")") + "\n";
  }
  text +=
      "\nOpenAI:    POST /v1/chat/completions /v1/completions /v1/responses /v1/embeddings, GET /v1/models\n"
      "Anthropic: POST /v1/messages /v1/messages/count_tokens\n"
      "more:      GET /openapi.json\n";
  call.answer->send(200, "text/plain; charset=utf-8", std::move(text));
}

Json state_json(const BackendState& state) {
  const TierReport& tiers = state.tiers;
  Json out = {{"running", state.running},
              {"waiting", state.waiting},
              {"requests", state.requests},
              {"failures", state.failures},
              {"cancelled", state.cancelled},
              {"prompt_tokens", state.prompt_tokens},
              {"found_tokens", state.found_tokens},
              {"generated_tokens", state.generated_tokens},
              {"prefill_s", state.prefill_s},
              {"decode_s", state.decode_s},
              {"kv_bytes_used", state.kv_bytes_used},
              {"kv_bytes_max", state.kv_bytes_max}};
  out["tiers"] = {{"on", tiers.on},
                  {"hot_bytes", tiers.bytes_hot},
                  {"warm_bytes", tiers.bytes_warm},
                  {"passing_bytes", tiers.bytes_passing},
                  {"hits", tiers.hits_hot + tiers.hits_warm + tiers.hits_ahead},
                  {"misses", tiers.misses},
                  {"read_bytes", tiers.bytes_read},
                  {"written_bytes", tiers.bytes_written}};
  return out;
}

Json model_json(const ModelEntry& entry, Models& models) {
  Json out = {{"name", entry.name}, {"role", entry.role}, {"loaded", entry.loaded}};
  if (!entry.loaded) return out;
  const auto backend = models.find(entry.name, 0);
  if (!backend) return out;
  const ModelInfo& info = (*backend)->info();
  out["architecture"] = info.architecture;
  out["parameters"] = info.parameters;
  out["context_length"] = info.context_length;
  out["context_tokens_max"] = (*backend)->limits().context_tokens_max;
  out["vocab_size"] = info.vocab_size;
  out["embedding_size"] = info.dim;
  out["kv_token_bytes"] = info.kv_token_bytes;
  out["threads"] = info.threads;
  out["isa"] = info.isa;
  out["state"] = state_json((*backend)->state());
  return out;
}

void send_props(const Call& call, Models& models) {
  Json list = Json::array();
  for (const ModelEntry& entry : models.list()) list.push_back(model_json(entry, models));
  send_json(*call.answer, {{"version", kVersion}, {"models", list}});
}

}  // namespace

void add_own(Router& router, Models& models) {
  router.add("GET", "/", [&models](const Call& call) { send_root(call, models); });
  router.add("GET", "/health", [](const Call& call) { send_json(*call.answer, {{"status", "ok"}}); });
  router.add("GET", "/props", [&models](const Call& call) { send_props(call, models); });
  router.add("GET", "/openapi.json", [](const Call& call) {
    static const std::string text = json_text(openapi_document());
    call.answer->send(200, "application/json", text);
  });
}

void add_endpoints(Router& router, Models& models) {
  add_own(router, models);
  add_sessions(router, models);
  add_openai_models(router, models);
  add_openai_chat(router, models);
  add_openai_completions(router, models);
  add_openai_embeddings(router, models);
  add_responses(router, models);
  add_anthropic(router, models);
  add_editors(router, models);
  add_text(router, models);
}

}  // namespace mneme::serve

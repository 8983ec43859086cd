// GET /v1/models and /v1/models/{id}.
#include "core/error.h"
#include "serve/api.h"

namespace mneme::serve {

namespace {

Json model_json(const ModelEntry& model) {
  Json json = {{"id", model.name},
               {"object", "model"},
               {"created", model.created_unix_s},
               {"owned_by", "mneme"},
               {"loaded", model.loaded}};
  if (!model.role.empty()) json["role"] = model.role;
  return json;
}

}  // namespace

void add_openai_models(Router& router, Models& models) {
  const auto list = [&models](const Call& call) {
    Json data = Json::array();
    for (const ModelEntry& model : models.list()) data.push_back(model_json(model));
    call.answer->send(200, "application/json", json_text({{"object", "list"}, {"data", std::move(data)}}));
  };
  // Names may have slashes.
  const auto show = [&models](const Call& call) {
    const auto found = call.parameters.find("id");
    const std::string name = found == call.parameters.end() ? "" : found->second;
    for (const ModelEntry& model : models.list())
      if (model.name == name) return call.answer->send(200, "application/json", json_text(model_json(model)));
    send_refusal(*call.answer, Surface::kOpenAi,
                 {.status = 404,
                  .message = fmt::format("The model '{}' does not exist.", name),
                  .code = "model_not_found",
                  .param = "model"});
  };
  router.add("GET", "/v1/models", list);
  router.add("GET", "/models", list);
  router.add("GET", "/v1/models/{id...}", show);
}

}  // namespace mneme::serve

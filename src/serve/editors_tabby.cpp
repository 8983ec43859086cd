// Tabby's protocol: GET /v1/health, GET /v1beta/server_setting, POST /v1/events, and its completions, which
// come in at /v1/completions.
#include <sys/utsname.h>

#include <thread>
#include <utility>

#include "mneme/version.h"
#include "serve/call_parts.h"
#include "serve/editors_answer.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

void answer_health(const Call& call, Models& models) {
  Json model = nullptr;
  for (const ModelEntry& entry : models.list())
    if (model.is_null()) model = entry.name;
  utsname machine = {};
  ::uname(&machine);
  const Json body = {
      {"model", model},
      {"chat_model", model},
      {"device", "cpu"},
      {"arch", machine.machine},
      {"cpu_info", ""},
      {"cpu_count", std::thread::hardware_concurrency()},
      {"cuda_devices", Json::array()},
      {"version",
       {{"build_date", ""}, {"build_timestamp", ""}, {"git_sha", ""}, {"git_describe", kVersion}}}};
  call.answer->send(200, "application/json", json_text(body));
}

}  // namespace

bool is_tabby_completion(const Json& body) {
  return body.is_object() && body.contains("segments") && !body.contains("prompt");
}

void answer_tabby_completion(Call call, const std::shared_ptr<Backend>& backend, const Json& body) {
  const auto serve = [&]() -> tl::expected<void, Failure> {
    auto request = read_tabby(body);
    if (!request) return tl::unexpected(request.error());
    auto prompt = edit_prompt(*backend, request->place, prompt_tokens_max(call, *backend, *request));
    if (!prompt) return tl::unexpected(prompt.error());
    const auto write = [id = random_id("cmpl-")](std::string_view text, const GenerateReport*) {
      return Json{{"id", id}, {"choices", Json::array({{{"index", 0}, {"text", text}}})}};
    };
    return start_edit(call, backend, std::move(*request), std::move(prompt->tokens),
                      {.write = write, .surface = Surface::kOpenAi});
  };
  if (const auto served = serve(); !served) send_failure(*call.answer, Surface::kOpenAi, served.error());
}

void add_tabby(Router& router, Models& models) {
  for (const char* method : {"GET", "POST"})  // older agents post
    router.add(method, "/v1/health", [&models](Call call) { answer_health(call, models); });
  router.add("GET", "/v1beta/server_setting", [](Call call) {
    call.answer->send(200, "application/json", R"({"disable_client_side_telemetry":true})");
  });
  // What an editor's user took or dismissed: heard, and not kept.
  router.add("POST", "/v1/events", [](Call call) { call.answer->send(200, "application/json", "{}"); });
}

void add_editors(Router& router, Models& models) {
  add_infill(router, models);
  add_tabby(router, models);
}

}  // namespace mneme::serve

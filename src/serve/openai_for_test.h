// The OpenAI endpoints over a scripted backend, asked without HTTP.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "serve/answer_for_test.h"
#include "serve/backend_for_test.h"
#include "serve/json_fields.h"

namespace mneme::serve {

class OneModel final : public Models {
 public:
  explicit OneModel(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}
  std::vector<ModelEntry> list() const override {
    return {{.name = "scripted", .role = "lite", .loaded = true, .created_unix_s = 17},
            {.name = "org/other", .role = "", .loaded = false, .created_unix_s = 18}};
  }
  tl::expected<std::shared_ptr<Backend>, Failure> find(std::string_view name, size_t) override {
    if (name == "missing")
      return tl::unexpected(
          Failure{.kind = FailureKind::kInvalid, .message = "no such model", .param = "model"});
    return backend_;
  }

 private:
  std::shared_ptr<Backend> backend_;
};

// Aborts where an answer does not come, or has another status.
class OpenAiEndpoints {
 public:
  explicit OpenAiEndpoints(std::string template_words = "{% if tools %}<tool_call>{{% endif %}<think>")
      : backend(std::make_shared<ScriptedBackend>("Hello!", std::make_shared<ByteText>(template_words))),
        models(backend) {
    add_openai_chat(router, models);
    add_openai_completions(router, models);
    add_openai_models(router, models);
    add_openai_embeddings(router, models);
    add_text(router, models);
  }

  std::shared_ptr<KeptAnswer> begin(const std::string& method, const std::string& path, std::string body,
                                    Headers headers = {}) {
    auto request = std::make_shared<HttpRequest>();
    request->method = method, request->path = path, request->body = std::move(body);
    request->headers = std::move(headers);
    auto answer = std::make_shared<KeptAnswer>();
    const Router::Found found = router.find(method, path);
    MNEME_CHECK(found.endpoint != nullptr, "{} {}", method, path);
    Call call;
    call.request = request, call.answer = answer, call.caller = caller, call.parameters = found.parameters;
    call.account = [this](std::string_view model, uint64_t prompt, uint64_t generated) {
      accounts.push_back(std::string(model) + " " + std::to_string(prompt) + " " + std::to_string(generated));
    };
    (*found.endpoint)(std::move(call));
    return answer;
  }
  std::shared_ptr<KeptAnswer> ask(const std::string& path, std::string body, Headers headers = {}) {
    auto answer = begin("POST", path, std::move(body), std::move(headers));
    MNEME_CHECK(answer->wait() && backend->wait_until_idle());
    return answer;
  }
  Json json_of(const std::string& path, std::string body, int status = 200) {
    const auto answer = ask(path, std::move(body));
    MNEME_CHECK(answer->status() == status, "{}: {}", answer->status(), answer->body());
    return answer->json();
  }
  // The chunks of a stream that ends with [DONE].
  std::vector<Json> chunks_of(const std::string& path, std::string body) {
    const auto answer = ask(path, std::move(body));
    MNEME_CHECK(answer->status() == 200, "{}: {}", answer->status(), answer->body());
    std::vector<Json> chunks;
    auto events = events_of(answer->body());
    MNEME_CHECK(!events.empty() && events.back().second == "[DONE]", "{}", answer->body());
    events.pop_back();
    for (const auto& [name, data] : events) chunks.push_back(Json::parse(data));
    return chunks;
  }
  // A body of two fields and more: {"model": "m", "messages": [...], MORE}.
  static std::string chat(const std::string& more = "", const std::string& content = "hi") {
    return R"({"model":"m","messages":[{"role":"user","content":")" + content + "\"}]" +
           (more.empty() ? "" : "," + more) + "}";
  }
  std::string param_of(const std::string& path, std::string body) {
    const Json json = json_of(path, std::move(body), 400);
    MNEME_CHECK(json["error"]["type"] == "invalid_request_error" && !json["error"]["message"].empty());
    return json["error"]["param"].is_string() ? json["error"]["param"].get<std::string>() : "";
  }

  std::vector<std::string> accounts;  // outlives the backend, whose thread may still write to it
  std::shared_ptr<ScriptedBackend> backend;
  OneModel models;
  Router router;
  Caller caller;
};

}  // namespace mneme::serve

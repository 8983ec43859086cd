// Endpoints without a server: one scripted model behind a router, requests in, kept answers out.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "serve/answer_for_test.h"
#include "serve/backend_for_test.h"

namespace mneme::serve {

class ScriptedModels final : public Models {
 public:
  explicit ScriptedModels(std::shared_ptr<ScriptedBackend> backend) : backend_(std::move(backend)) {}
  std::vector<ModelEntry> list() const override {
    return {{.name = "scripted", .role = "", .loaded = true, .created_unix_s = 1}};
  }
  tl::expected<std::shared_ptr<Backend>, Failure> find(std::string_view name, size_t) override {
    asked.emplace_back(name);
    return backend_;
  }
  std::vector<std::string> asked;

 private:
  std::shared_ptr<ScriptedBackend> backend_;
};

class ProtocolServer {
 public:
  // What tells how calls are written: as ByteText does it.
  static constexpr const char* kTemplate = "{% if tools %}<tool_call>{{% endif %}";

  explicit ProtocolServer(std::vector<void (*)(Router&, Models&)> parts,
                          std::shared_ptr<const Text> text = std::make_shared<ByteText>(kTemplate))
      : backend(std::make_shared<ScriptedBackend>("Hello!", std::move(text))), models(backend) {
    for (const auto add : parts) add(router, models);
    backend->set_limits({.context_tokens_max = 100'000});
  }

  // Starts a request; the answer may still be growing.
  std::shared_ptr<KeptAnswer> start(const std::string& method, const std::string& path, std::string body,
                                    Headers headers = {}) {
    auto request = std::make_shared<HttpRequest>();
    request->id = "req-1";
    request->method = method;
    request->path = path.substr(0, path.find('?'));
    if (path.size() > request->path.size()) request->query = path.substr(request->path.size() + 1);
    request->headers = std::move(headers);
    request->body = std::move(body);
    auto answer = std::make_shared<KeptAnswer>();
    const auto found = router.find(method, request->path);
    if (!found.endpoint) {
      answer->send(404, "text/plain", "no such path");
      return answer;
    }
    const auto account = [this](std::string_view model, uint64_t prompt, uint64_t generated) {
      accounts.push_back({std::string(model), prompt, generated});
    };
    (*found.endpoint)({.request = request,
                       .answer = answer,
                       .caller = caller,
                       .parameters = found.parameters,
                       .account = account});
    return answer;
  }
  // Waits for the end.
  std::shared_ptr<KeptAnswer> call(const std::string& method, const std::string& path, std::string body,
                                   Headers headers = {}) {
    auto answer = start(method, path, std::move(body), std::move(headers));
    answer->wait();
    backend->wait_until_idle();
    return answer;
  }
  std::shared_ptr<KeptAnswer> post(const std::string& path, const Json& body, Headers headers = {}) {
    return call("POST", path, body.dump(), std::move(headers));
  }

  struct Account {
    std::string model;
    uint64_t prompt_tokens, generated_tokens;
  };
  std::vector<Account> accounts;  // outlives the backend, whose thread may still write to it
  std::shared_ptr<ScriptedBackend> backend;
  ScriptedModels models;
  Router router;
  Caller caller;
};

// Data of a stream's events as JSON; a name that differs from the data's type becomes "NAME?".
inline std::vector<Json> json_events(const KeptAnswer& answer) {
  std::vector<Json> all;
  for (const auto& [name, data] : events_of(answer.body())) {
    all.push_back(Json::parse(data, nullptr, false));
    if (!name.empty() && all.back().value("type", "") != name) all.back()["type"] = name + "?";
  }
  return all;
}

// "message_start content_block_start ...": the same type in a row once.
inline std::string types_of(const std::vector<Json>& events) {
  std::string text, last;
  for (const Json& event : events) {
    const std::string type = event.value("type", "");
    if (type != last) text += (text.empty() ? "" : " ") + type;
    last = type;
  }
  return text;
}

}  // namespace mneme::serve

#include "serve/server.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "serve/browser.h"
#include "serve/http_text.h"
#include "serve/key_limits.h"
#include "serve/keys.h"
#include "serve/meters.h"
#include "serve/server_answer.h"

namespace mneme::serve {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// Says nothing about models, sessions and their owners to those who show no key.
bool is_public(std::string_view pattern) {
  return pattern == "/" || pattern == "/health" || pattern == "/openapi.json";
}

// Over all owners.
bool is_for_admins(std::string_view pattern) { return pattern == "/metrics"; }

// What counts as a generation, for the number that a key may have at one time.
bool generates(std::string_view method, std::string_view pattern) {
  if (method != "POST" || pattern.starts_with("/v1/sessions")) return false;
  return pattern != "/tokenize" && pattern != "/detokenize" && pattern != "/apply-template" &&
         pattern != "/v1/health" && pattern != "/v1/events" && !pattern.ends_with("/count_tokens") &&
         !pattern.ends_with("/input_tokens");
}

// Keys that a request shows: some clients send two of these headers, one of them with a placeholder.
std::vector<std::string_view> shown_keys(const HttpRequest& request) {
  std::vector<std::string_view> keys;
  std::string_view bearer = trimmed(request.header("authorization"));
  if (bearer.size() >= 6 && equal_ignoring_case(bearer.substr(0, 6), "bearer")) {
    bearer = trimmed(bearer.substr(6));
    if (!bearer.empty()) keys.push_back(bearer);
  }
  for (const char* name : {"x-api-key", "api-key"}) {
    const std::string_view key = trimmed(request.header(name));
    if (!key.empty()) keys.push_back(key);
  }
  return keys;
}

RequestRecord record_of(const HttpRequest& request) {
  RequestRecord record;
  record.id = request.id;
  record.method = request.method;
  record.path = request.path;
  record.peer = request.peer;
  return record;
}

// Shared with answers that end after the server does.
struct Shared {
  RateLimits limits;
  Meters meters;
  LogSink log;
};

class RunningServer : public Server {
 public:
  explicit RunningServer(const ServerOptions& options, std::shared_ptr<Models> models)
      : models_(std::move(models)) {
    shared_->log = options.log;
    rules_ = {options.cors_origins, !options.keys_path.empty(), options.http.host};
    add_endpoints(router_, *models_);
    if (options.more) options.more(router_);
    router_.add("GET", "/metrics", [this](const Call& call) { send_metrics(call); });
  }
  ~RunningServer() override {
    if (http_) http_->stop(std::chrono::milliseconds(0));
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  Result<void> listen(const ServerOptions& options);
  uint16_t port() const override { return http_->port(); }
  const Router& router() const override { return router_; }
  Result<void> reread_keys() override { return keys_ ? keys_->reread() : Result<void>(); }
  bool stop(std::chrono::milliseconds within) override { return http_->stop(within); }

 private:
  struct Admitted {
    std::shared_ptr<const Key> key;  // null: no keys
    std::optional<Refusal> refusal;
  };

  void answer(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Answer> answer);
  bool answer_options(const HttpRequest& request, Answer& answer, const Router::Found& found) const;
  Admitted authenticate(const HttpRequest& request) const;
  Admitted admit(const HttpRequest& request, const Router::Found& found, WatchedAnswer& watched) const;
  void call_endpoint(std::shared_ptr<const HttpRequest> request, Router::Found found, WatchedAnswer watched,
                     std::shared_ptr<const Key> key);
  void send_metrics(const Call& call) const;
  std::string describe_refusal(int status, const std::string& reason, const HttpRequest& request) const;

  std::shared_ptr<Models> models_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::unique_ptr<Keys> keys_;  // null: no keys
  BrowserRules rules_;
  Router router_;
  std::unique_ptr<HttpServer> http_;
};

Result<void> RunningServer::listen(const ServerOptions& options) {
  if (!options.keys_path.empty()) {
    auto keys = Keys::open(options.keys_path);
    if (!keys) return core::pass(keys);
    keys_ = std::move(*keys);
  }
  HttpOptions http = options.http;
  http.describe_refusal = [this](int status, const std::string& reason, const HttpRequest& request) {
    return describe_refusal(status, reason, request);
  };
  auto started = HttpServer::start(
      http, [this](auto request, auto reply) { this->answer(std::move(request), std::move(reply)); });
  if (!started) return core::pass(started);
  http_ = std::move(*started);
  return {};
}

std::string RunningServer::describe_refusal(int status, const std::string& reason,
                                            const HttpRequest& request) const {
  shared_->meters.refused(status);
  RequestRecord record = record_of(request);
  record.status = status;
  if (shared_->log) shared_->log(log_line(record));
  return json_text(error_body(surface_of(request.path), Refusal{status, reason}, request.id));
}

void RunningServer::answer(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Answer> inner) {
  const Surface surface = surface_of(request->path);
  Headers headers = cors_headers(rules_, *request);
  headers.emplace_back("x-request-id", request->id);
  if (surface == Surface::kAnthropic) headers.emplace_back("request-id", request->id);
  shared_->meters.begin();
  WatchedAnswer watched = watch_answer(std::move(inner), record_of(*request), std::move(headers),
                                       [shared = shared_](const RequestRecord& done) {
                                         shared->meters.end(done);
                                         if (shared->log) shared->log(log_line(done));
                                       });
  const Router::Found found = router_.find(request->method, request->path);
  const std::string not_for_pages = browser_refusal(rules_, *request);
  if (!not_for_pages.empty()) return send_refusal(*watched.answer, surface, {403, not_for_pages});
  if (answer_options(*request, *watched.answer, found)) return;
  const Admitted admitted = admit(*request, found, watched);
  if (admitted.refusal) return send_refusal(*watched.answer, surface, *admitted.refusal);
  call_endpoint(std::move(request), found, std::move(watched), admitted.key);
}

bool RunningServer::answer_options(const HttpRequest& request, Answer& answer,
                                   const Router::Found& found) const {
  if (request.method != "OPTIONS") return false;
  if (is_preflight(request)) {
    Headers headers = preflight_headers(rules_, request);
    // Those of every answer are added to it anyway.
    const Headers known = cors_headers(rules_, request);
    headers.erase(headers.begin(), headers.begin() + static_cast<std::ptrdiff_t>(known.size()));
    answer.send(204, "", "", std::move(headers));
    return true;
  }
  if (found.methods.empty() && request.path != "*") return false;
  answer.send(204, "", "",
              {{"Allow", found.methods.empty() ? "GET, HEAD, POST, DELETE, OPTIONS"
                                               : joined(found.methods) + ", OPTIONS"}});
  return true;
}

RunningServer::Admitted RunningServer::authenticate(const HttpRequest& request) const {
  const auto shown = shown_keys(request);
  const Headers how = {{"WWW-Authenticate", "Bearer"}};
  for (const std::string_view text : shown) {
    const auto found = keys_->find(text, request.peer);
    if (found.verdict == Keys::Verdict::kKnown) return {found.key, {}};
    if (found.verdict == Keys::Verdict::kTooManyTries)
      return {nullptr, Refusal{429, "too many wrong API keys: wait a minute", "", "", 60}};
  }
  if (shown.empty())
    return {nullptr,
            Refusal{401, "no API key was sent: Authorization: Bearer KEY, or x-api-key", "", "", 0, how}};
  return {nullptr, Refusal{401, "the API key is not known here", "", "", 0, how}};
}

// Who asks, and whether they may.
RunningServer::Admitted RunningServer::admit(const HttpRequest& request, const Router::Found& found,
                                             WatchedAnswer& watched) const {
  Admitted admitted;
  if (keys_ && !is_public(found.pattern)) {
    admitted = authenticate(request);
    if (admitted.refusal) return admitted;
  }
  watched.assign(admitted.key ? admitted.key->id : "", found.pattern);
  if (found.endpoint == nullptr && found.methods.empty()) {
    admitted.refusal = Refusal{404, "there is no endpoint " + request.path};
  } else if (found.endpoint == nullptr) {
    admitted.refusal = Refusal{405,
                               request.path + " takes " + joined(found.methods) + ", not " + request.method};
    admitted.refusal->more = {{"Allow", joined(found.methods) + ", OPTIONS"}};
  } else if (admitted.key && is_for_admins(found.pattern) && !admitted.key->limits.is_admin) {
    admitted.refusal = Refusal{403, "this key is not an admin's"};
  } else if (admitted.key) {
    const auto decision = shared_->limits.take(*admitted.key);
    watched.add_headers(decision.headers);
    if (!decision.message.empty())
      admitted.refusal = Refusal{429, decision.message, "", "", decision.retry_after_s};
  }
  return admitted;
}

void RunningServer::call_endpoint(std::shared_ptr<const HttpRequest> request, Router::Found found,
                                  WatchedAnswer watched, std::shared_ptr<const Key> key) {
  const Surface surface = surface_of(request->path);
  Call call;
  call.request = request;
  call.answer = watched.answer;
  call.parameters = std::move(found.parameters);
  call.account = watched.account;
  call.caller.is_admin = !keys_;
  if (key) {
    call.caller.owner = key->id;
    call.caller.is_admin = key->limits.is_admin;
    call.caller.tokens_max = key->limits.tokens_max;
    call.caller.sessions_max = key->limits.sessions_max;
    call.caller.priority = key->limits.priority;
    call.account = [shared = shared_, key, account = watched.account](std::string_view model, uint64_t prompt,
                                                                      uint64_t generated) {
      shared->limits.spend_tokens(*key, prompt + generated);
      account(model, prompt, generated);
    };
    if (generates(request->method, found.pattern)) {
      if (!shared_->limits.enter(*key))
        return send_refusal(*watched.answer, surface,
                            {429, "too many generations of this key at once", "", "", 1});
      watched.hold(
          std::shared_ptr<void>(nullptr, [shared = shared_, key](void*) { shared->limits.leave(*key); }));
    }
  }
  const auto answer = call.answer;
  watched = {};
  try {
    (*found.endpoint)(std::move(call));
  } catch (const std::exception& error) {
    if (shared_->log) shared_->log(log_event("exception", error.what()));
    send_refusal(*answer, surface, {500, "the server failed to answer"});
  }
}

void RunningServer::send_metrics(const Call& call) const {
  std::vector<ModelMeter> meters;
  for (const ModelEntry& entry : models_->list()) {
    if (!entry.loaded) continue;
    const auto backend = models_->find(entry.name, 0);
    if (backend) meters.push_back({entry.name, (*backend)->state(), (*backend)->sessions().size()});
  }
  call.answer->send(200, "text/plain; version=0.0.4; charset=utf-8",
                    metrics_of_models(meters) + shared_->meters.text());
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, std::shared_ptr<Models> models) {
  auto server = std::make_unique<RunningServer>(options, std::move(models));
  if (auto listening = server->listen(options); !listening) return core::pass(listening);
  return server;
}

}  // namespace mneme::serve

// Where protocols meet HTTP: a Router hands a Call (who asks, what, and where the answer goes) to the
// endpoint of its path. Each protocol is a file that adds its endpoints: add_openai(), add_anthropic(), ...
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "serve/backend.h"
#include "serve/http.h"

namespace mneme::serve {

using Json = nlohmann::ordered_json;

// Who asks. Without keys everybody is the same caller with an empty owner.
struct Caller {
  std::string owner;     // id of the key; empty: no keys
  bool is_admin = true;  // may see every owner's sessions, and what the server is
  // Limits of the key; 0: none.
  uint64_t tokens_max = 0;    // of one prompt and answer
  uint64_t sessions_max = 0;  // named ones
  Priority priority = Priority::kNormal;
};

struct ModelEntry {
  std::string name;
  std::string role;  // "lite", "large", or empty
  bool loaded = false;
  int64_t created_unix_s = 0;
};

// The models that a server offers. Thread safe.
class Models {
 public:
  virtual ~Models() = default;
  virtual std::vector<ModelEntry> list() const = 0;
  // The model of this name, loaded where it is not yet (which takes a while). "auto" chooses by the length of
  // the request; names that are unknown get the first model, unless the server is strict about names.
  virtual tl::expected<std::shared_ptr<Backend>, Failure> find(std::string_view name, size_t body_bytes) = 0;
};

struct Call {
  std::shared_ptr<const HttpRequest> request;
  std::shared_ptr<Answer> answer;
  Caller caller;
  std::map<std::string, std::string, std::less<>> parameters;  // of the path: "id" of "/v1/sessions/{id}"
  // Called once by an endpoint that knows: for the log and the meters.
  std::function<void(std::string_view model, uint64_t prompt_tokens, uint64_t generated_tokens)> account;
};

using Endpoint = std::function<void(Call call)>;

class Router {
 public:
  // `pattern`: "/v1/models/{id}"; a parameter is one segment, or with {id...} all the rest.
  void add(std::string method, std::string pattern, Endpoint endpoint);
  // The endpoint and its parameters; without one, the methods that the path has (empty: unknown path).
  struct Found {
    const Endpoint* endpoint = nullptr;
    std::map<std::string, std::string, std::less<>> parameters;
    std::vector<std::string> methods;
    std::string pattern;  // of the endpoint
  };
  Found find(std::string_view method, std::string_view path) const;
  // Every "METHOD /pattern", for the OpenAPI document's test.
  std::vector<std::pair<std::string, std::string>> patterns() const;

 private:
  struct Route {
    std::string method, pattern;
    std::vector<std::string> segments;
    Endpoint endpoint;
  };
  std::vector<Route> routes_;
};

// Text of a JSON document; the error names line, column and what was expected. Deep nesting (over 200) is
// refused.
Result<Json> parse_json(std::string_view text);
// Never throws: bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& value);

// A failure in the words of a protocol family. The surface is told by the path (error_body()).
enum class Surface : uint8_t { kOpenAi, kAnthropic, kOwn };
Surface surface_of(std::string_view path);
int http_status(const Failure& failure);
Json error_body(Surface surface, const Failure& failure);
// The whole error answer, Retry-After included.
void send_failure(Answer& answer, Surface surface, const Failure& failure);

// What is refused for other reasons than a Backend's: keys, paths, rates, unknown names.
struct Refusal {
  int status = 400;
  std::string message;
  std::string code = {};   // OpenAI's: "invalid_api_key", "model_not_found"; empty: by the status
  std::string param = {};  // the field that is wrong; empty: none
  double retry_after_s = 0;
  Headers more = {};
};
Json error_body(Surface surface, const Refusal& refusal, std::string_view request_id);
void send_refusal(Answer& answer, Surface surface, const Refusal& refusal);

// Endpoints, each in its own file. `models` outlives the router.
void add_openai_models(Router& router, Models& models);       // /v1/models
void add_openai_chat(Router& router, Models& models);         // /v1/chat/completions
void add_openai_completions(Router& router, Models& models);  // /v1/completions
void add_openai_embeddings(Router& router, Models& models);   // /v1/embeddings
void add_responses(Router& router, Models& models);           // /v1/responses
void add_anthropic(Router& router, Models& models);           // /v1/messages, count_tokens
void add_editors(Router& router, Models& models);             // /infill, Tabby's three
void add_text(Router& router, Models& models);                // /tokenize, /detokenize, /apply-template
void add_sessions(Router& router, Models& models);            // /v1/sessions
void add_own(Router& router, Models& models);                 // /, /health, /props, /openapi.json

}  // namespace mneme::serve

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
  uint64_t tokens_max = 0;  // of one prompt and answer
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

// A failure in the words of a protocol family. The surface is told by the path (error_body()).
enum class Surface : uint8_t { kOpenAi, kAnthropic, kOwn };
Surface surface_of(std::string_view path);
int http_status(const Failure& failure);
Json error_body(Surface surface, const Failure& failure);
// The whole error answer, Retry-After included.
void send_failure(Answer& answer, Surface surface, const Failure& failure);

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

}  // namespace mneme::serve

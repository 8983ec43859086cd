// The server's own endpoints: sessions and whose they are, and that the OpenAPI document is true.
#include <gtest/gtest.h>

#include <set>

#include "serve/schema_check_for_test.h"
#include "serve/server_for_test.h"

namespace mneme::serve {
namespace {

std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

SessionState session(std::string id, std::string owner, bool named = true) {
  SessionState state;
  state.id = std::move(id);
  state.owner = std::move(owner);
  state.named = named;
  state.tokens = 600;
  return state;
}

class OwnEndpoints : public testing::Test, protected ServerUnderTest {
 protected:
  // Sends the request, and holds the answer to the document.
  Json checked(std::string_view method, const std::string& path, const std::string& pattern, int status,
               std::string_view headers = {}, std::string_view body = {}) {
    const RawAnswer answer = ask(method, path, headers, body);
    EXPECT_EQ(answer.status, status) << path << ": " << answer.body;
    std::string small(method);
    for (char& c : small) c = static_cast<char>(c - 'A' + 'a');
    const Json document = ask_json("GET", "/openapi.json");
    const Json& responses = document.at("paths").at(pattern).at(small).at("responses");
    EXPECT_TRUE(responses.contains(std::to_string(status))) << pattern << " " << status;
    if (!responses.contains(std::to_string(status))) return {};
    const Json& content = resolved(document, responses.at(std::to_string(status))).at("content");
    const std::string type = answer.header("content-type").substr(0, answer.header("content-type").find(';'));
    EXPECT_TRUE(content.contains(type)) << pattern << " " << type;
    if (type != "application/json") return answer.body;
    const Json value = Json::parse(answer.body);
    EXPECT_EQ(schema_fault(document, content.at(type).at("schema"), value), "") << pattern;
    return value;
  }
};

TEST_F(OwnEndpoints, EveryEndpointIsInTheDocument) {
  start();
  const Json document = ask_json("GET", "/openapi.json");
  std::set<std::string> served, documented;
  for (auto [method, pattern] : server_->router().patterns()) {
    if (const size_t dots = pattern.find("...}"); dots != std::string::npos) pattern.erase(dots, 3);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    served.insert(method + " " + pattern);
  }
  for (const auto& [path, item] : document["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (method == "parameters") continue;
      documented.insert(method + " " + path);
      EXPECT_TRUE(operation.contains("summary")) << method << " " << path;
      EXPECT_TRUE(operation.contains("responses")) << method << " " << path;
    }
  }
  EXPECT_EQ(served, documented);
}

TEST_F(OwnEndpoints, ReferencesOfTheDocumentLeadSomewhere) {
  start();
  const Json document = ask_json("GET", "/openapi.json");
  std::set<std::string> used;
  const std::string text = document.dump();
  const std::string mark = "\"$ref\":\"#";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1))
    used.insert(text.substr(at + mark.size(), text.find('"', at + mark.size()) - at - mark.size()));
  for (const std::string& place : used) EXPECT_TRUE(document.contains(Json::json_pointer(place))) << place;
  for (const char* kind : {"schemas", "responses"}) {
    EXPECT_FALSE(document["components"][kind].empty());
    for (const auto& [name, part] : document["components"][kind].items())
      EXPECT_TRUE(used.contains(std::string("/components/") + kind + "/" + name)) << name << " is not used";
  }
  EXPECT_EQ(document["openapi"], "3.1.0");
}

TEST_F(OwnEndpoints, AnswersAreAsDocumented) {
  backend_->set_sessions({session("a", ""), session("b", "", false)});
  start();
  EXPECT_NE(checked("GET", "/", "/", 200).get<std::string>().find("scripted"), std::string::npos);
  EXPECT_EQ(checked("GET", "/health", "/health", 200)["status"], "ok");
  const Json props = checked("GET", "/props", "/props", 200);
  EXPECT_EQ(props["models"][0]["name"], "scripted");
  EXPECT_EQ(props["models"][0]["context_tokens_max"], 4096);
  EXPECT_EQ(props["models"][1]["loaded"], false);
  checked("GET", "/metrics", "/metrics", 200);
  checked("GET", "/openapi.json", "/openapi.json", 200);
  EXPECT_EQ(checked("GET", "/v1/sessions", "/v1/sessions", 200)["data"].size(), 2u);
  const Json one = checked("GET", "/v1/sessions/a", "/v1/sessions/{id}", 200);
  EXPECT_EQ(one["map"]["extents"]["hot"], 2);
  EXPECT_EQ(one["map"]["rows"], Json({"h", "h"}));
  const std::string fork = "/v1/sessions/{id}/fork";
  EXPECT_EQ(checked("POST", "/v1/sessions/a/fork", fork, 201, "", R"({"name":"c"})")["id"], "c");
  EXPECT_EQ(checked("POST", "/v1/sessions/a/fork", fork, 201)["id"], "a-fork");
  const std::string pin = "/v1/sessions/{id}/pin";
  EXPECT_EQ(checked("POST", "/v1/sessions/a/pin", pin, 200)["pinned"], true);
  EXPECT_EQ(checked("POST", "/v1/sessions/a/pin", pin, 200, "", R"({"pinned":false})")["pinned"], false);
  EXPECT_EQ(checked("GET", "/v1/sessions/a/export", "/v1/sessions/{id}/export", 200), "session a");
  EXPECT_EQ(checked("DELETE", "/v1/sessions/a", "/v1/sessions/{id}", 200)["deleted"], true);
  EXPECT_EQ(checked("DELETE", "/v1/sessions/a", "/v1/sessions/{id}", 404)["error"]["code"],
            "session_not_found");
  EXPECT_EQ(checked("GET", "/v1/sessions/%2e%2e%2fx", "/v1/sessions/{id}", 404)["error"]["type"],
            "invalid_request_error");
}

TEST_F(OwnEndpoints, AnswersOfTheProtocolsAreAsDocumented) {
  start();
  const std::string messages = R"({"model":"scripted","messages":[{"role":"user","content":"hi"}],)"
                               R"("max_tokens":9})";
  const std::string input = R"({"model":"scripted","input":"hi"})";
  for (const std::string path : {"/v1/chat/completions", "/chat/completions"}) {
    EXPECT_EQ(checked("POST", path, path, 200, "", messages)["timings"]["predicted_n"], 7);
    const std::string count = path + "/input_tokens";
    EXPECT_GT(checked("POST", count, count, 200, "", messages)["input_tokens"], 2);
    checked("POST", count, count, 400, "", "{");
  }
  for (const std::string path : {"/v1/completions", "/completions"})
    EXPECT_EQ(
        checked("POST", path, path, 200, "", R"({"model":"scripted","prompt":"hi"})")["timings"]["prompt_n"],
        2);
  for (const std::string path : {"/v1/embeddings", "/embeddings"})
    EXPECT_EQ(checked("POST", path, path, 200, "", input)["data"].size(), 1u);
  for (const std::string path : {"/v1/models", "/models"})
    EXPECT_EQ(checked("GET", path, path, 200)["data"].size(), 2u);
  checked("POST", "/v1/responses", "/v1/responses", 200, "", input);
  checked("POST", "/v1/responses/input_tokens", "/v1/responses/input_tokens", 200, "", input);
  checked("POST", "/v1/messages", "/v1/messages", 200, "", messages);
  checked("POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", 200, "", messages);
  checked("POST", "/infill", "/infill", 200, "", R"({"model":"scripted","input_prefix":"a"})");
  checked("POST", "/tokenize", "/tokenize", 200, "",
          R"({"model":"scripted","content":"hi","with_pieces":true})");
  checked("POST", "/detokenize", "/detokenize", 200, "", R"({"model":"scripted","tokens":[72]})");
  checked("POST", "/apply-template", "/apply-template", 200, "", messages);
}

TEST_F(OwnEndpoints, WrongBodiesAreNamed) {
  backend_->set_sessions({session("a", "")});
  start();
  const auto message = [&](const std::string& path, std::string_view body) {
    const RawAnswer answer = ask("POST", path, "", body);
    EXPECT_EQ(answer.status, 400);
    return Json::parse(answer.body)["error"]["message"].get<std::string>();
  };
  EXPECT_EQ(message("/v1/sessions/a/fork", R"({"name":1})"), "'name' is no text");
  EXPECT_EQ(message("/v1/sessions/a/pin", R"({"pinned":"yes"})"), "'pinned' is neither true nor false");
  EXPECT_EQ(message("/v1/sessions/a/pin", "[]"), "the body is no JSON object");
  EXPECT_EQ(message("/v1/sessions/a/pin", "{").substr(0, 20), "the body is no JSON:");
}

TEST_F(OwnEndpoints, AnotherOwnersSessionsAreNotThere) {
  ServerOptions options;
  const auto keys = make_keys(options, {{}, {}, {.is_admin = true}});
  backend_->set_sessions(
      {session("alices", owners_[0]), session("both", owners_[0]), session("both", owners_[1])});
  start(options);
  const auto ids = [&](const std::string& key) {
    std::vector<std::string> out;
    const Json list = ask_json("GET", "/v1/sessions", bearer(key));
    for (const Json& one : list["data"]) {
      out.push_back(one["id"].get<std::string>() + (one.contains("owner") ? "!" : ""));
    }
    return out;
  };
  EXPECT_EQ(ids(keys[0]), (std::vector<std::string>{"alices", "both"}));
  EXPECT_EQ(ids(keys[1]), (std::vector<std::string>{"both"}));
  EXPECT_EQ(ids(keys[2]), (std::vector<std::string>{"alices!", "both!", "both!"}));
  const std::string bob = bearer(keys[1]);
  EXPECT_EQ(ask("GET", "/v1/sessions/alices", bob).status, 404);
  EXPECT_EQ(ask("GET", "/v1/sessions/alices/export", bob).status, 404);
  EXPECT_EQ(ask("POST", "/v1/sessions/alices/fork", bob).status, 404);
  EXPECT_EQ(ask("POST", "/v1/sessions/alices/pin", bob).status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/sessions/alices", bob).status, 404);
  EXPECT_EQ(ask("GET", "/v1/sessions/both?owner=" + owners_[0], bob).status, 404);
  // The same answer as for one that nobody has.
  EXPECT_EQ(ask("GET", "/v1/sessions/nobodys", bob).body,
            "{\"error\":{\"message\":\"there is no session 'nobodys'\",\"type\":\"invalid_request_error\","
            "\"param\":null,\"code\":\"session_not_found\"}}");
  EXPECT_EQ(ask("DELETE", "/v1/sessions/both", bob).status, 200);  // his own
  EXPECT_EQ(ids(keys[0]), (std::vector<std::string>{"alices", "both"}));
  EXPECT_EQ(ask("GET", "/v1/sessions/alices", bearer(keys[2])).status, 200);
}

TEST_F(OwnEndpoints, SessionsOfAKeyHaveALimit) {
  ServerOptions options;
  const auto keys = make_keys(options, {{.sessions_max = 2}});
  backend_->set_sessions({session("a", owners_[0]), session("unnamed", owners_[0], false)});
  start(options);
  const std::string key = bearer(keys[0]);
  EXPECT_EQ(ask("POST", "/v1/sessions/a/fork", key, R"({"name":"b"})").status, 201);
  const RawAnswer refused = ask("POST", "/v1/sessions/a/fork", key, R"({"name":"c"})");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(Json::parse(refused.body)["error"]["code"], "sessions_max");
  EXPECT_EQ(ask("POST", "/v1/sessions/a/fork", key).status, 201);  // unnamed
}

}  // namespace
}  // namespace mneme::serve

// Texts and tokens as requests give them: prompts and inputs in every form, counts, and the text endpoints
// with the default model's vocabulary.
#include <gtest/gtest.h>

#include <filesystem>

#include "serve/openai_for_test.h"
#include "serve/protocols_for_test.h"

namespace mneme::serve {
namespace {

struct Prompts {
  const char* json;
  std::vector<const char*> texts;
};

class OpenAiPrompts : public ::testing::TestWithParam<Prompts>, public OpenAiEndpoints {};

TEST_P(OpenAiPrompts, AreCompleted) {
  const Json json = json_of("/v1/completions", R"({"prompt":)" + std::string(GetParam().json) + "}");
  ASSERT_EQ(json["choices"].size(), GetParam().texts.size());
  ASSERT_EQ(backend->requests().size(), GetParam().texts.size());
  size_t tokens = 0;
  for (size_t i = 0; i < GetParam().texts.size(); ++i) {
    const auto prompt = backend->requests()[i].prompt;
    EXPECT_EQ(backend->text().decode(prompt, true), GetParam().texts[i]);
    EXPECT_EQ(json["choices"][i]["index"], i);
    tokens += prompt.size();
  }
  EXPECT_EQ(json["usage"]["prompt_tokens"], tokens);
}

TEST_P(OpenAiPrompts, AreEmbedded) {
  const Json json = json_of("/v1/embeddings", R"({"input":)" + std::string(GetParam().json) + "}");
  ASSERT_EQ(json["data"].size(), GetParam().texts.size());
  size_t tokens = 0;
  for (size_t i = 0; i < GetParam().texts.size(); ++i) {
    EXPECT_EQ(json["data"][i]["index"], i);
    EXPECT_EQ(json["data"][i]["object"], "embedding");
    EXPECT_EQ(json["data"][i]["embedding"].size(), 4u);
    EXPECT_EQ(backend->text().decode(backend->embeddings()[0][i], true), GetParam().texts[i]);
    tokens += backend->embeddings()[0][i].size();
  }
  EXPECT_EQ(json["usage"], (Json{{"prompt_tokens", tokens}, {"total_tokens", tokens}}));
}

INSTANTIATE_TEST_SUITE_P(All, OpenAiPrompts,
                         ::testing::Values(Prompts{R"("text")", {"text"}}, Prompts{"[72,105]", {"Hi"}},
                                           Prompts{R"([72,"el",108,111])", {"Hello"}},
                                           Prompts{R"(["a",258,"b"])", {"a<|fim_prefix|>b"}},
                                           Prompts{R"(["one","two"])", {"one", "two"}},
                                           Prompts{R"(["one",[72,105]])", {"one", "Hi"}},
                                           Prompts{R"([[72,105],"one"])", {"Hi", "one"}},
                                           Prompts{R"([[72,105],[72,105]])", {"Hi", "Hi"}},
                                           Prompts{R"([[72,105],[72,"ey"]])", {"Hi", "Hey"}},
                                           Prompts{R"([["only text"]])", {"only text"}}));

class OpenAiPromptsAlike : public ::testing::Test, public OpenAiEndpoints {};

TEST_F(OpenAiPromptsAlike, TokensAreTheirText) {
  const Json tokens = json_of("/tokenize", R"({"content":"the same","add_special":true})")["tokens"];
  json_of("/v1/completions", R"({"prompt":"the same"})");
  json_of("/v1/completions", R"({"prompt":)" + tokens.dump() + "}");
  json_of("/v1/completions", R"({"prompt":[)" + tokens.dump() + R"(,"the same"]})");
  const auto requests = backend->requests();
  ASSERT_EQ(requests.size(), 4u);
  for (const auto& request : requests) EXPECT_EQ(request.prompt, requests[0].prompt);
}

TEST_F(OpenAiPromptsAlike, TheSameTextHasTheSameVector) {
  const Json data = json_of("/v1/embeddings", R"({"input":["a b","a b","a b",[97,32,98]]})")["data"];
  ASSERT_EQ(data.size(), 4u);
  for (const Json& one : data) EXPECT_EQ(one["embedding"], data[0]["embedding"]);
}

TEST_F(OpenAiPromptsAlike, TooLongATextIsNotEmbedded) {
  backend->set_limits({.context_tokens_max = 8});
  const Json error = json_of("/v1/embeddings", R"({"input":["short","much too long"]})", 400)["error"];
  EXPECT_EQ(error["param"], "input");
  EXPECT_NE(error["message"].get<std::string>().find("13 tokens, at most 8"), std::string::npos) << error;
  EXPECT_TRUE(backend->embeddings().empty());
}

// --- Counting ---

struct Counted {
  const char *path, *body;
};

class Counting : public ::testing::TestWithParam<Counted> {
 protected:
  ProtocolServer server_{{add_openai_chat, add_responses, add_anthropic}};
};

TEST_P(Counting, CountsWhatIsThenRead) {
  const bool anthropic = GetParam().path == std::string_view("/v1/messages");
  const std::string path = std::string(GetParam().path) + (anthropic ? "/count_tokens" : "/input_tokens");
  for (int round = 0; round < 2; ++round) {
    const auto counted = server_.call("POST", path, GetParam().body);
    ASSERT_EQ(counted->status(), 200) << counted->body();
    EXPECT_EQ(server_.backend->requests().size(), static_cast<size_t>(round)) << "counting generates nothing";
    Json body = Json::parse(GetParam().body);
    if (anthropic) body["max_tokens"] = 5;
    ASSERT_EQ(server_.post(GetParam().path, body)->status(), 200);
    EXPECT_EQ(counted->json()["input_tokens"], server_.backend->requests().back().prompt.size());
    if (!anthropic) {
      EXPECT_TRUE(counted->json()["object"].get<std::string>().ends_with(".input_tokens"));
    }
  }
}

constexpr const char* kChatPath = "/v1/chat/completions";

INSTANTIATE_TEST_SUITE_P(
    All, Counting,
    ::testing::Values(
        Counted{kChatPath, R"({"messages":[{"role":"user","content":"hi"}]})"},
        Counted{kChatPath, R"({"messages":[{"role":"system","content":"Book"},{"role":"user","content":[
                {"type":"text","text":"What is"},{"type":"text","text":" the best"}]}],"stream":true})"},
        Counted{kChatPath, R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function",
                "function":{"name":"f","parameters":{"type":"object"}}}]})"},
        Counted{kChatPath, R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],
                "continue_final_message":true})"},
        Counted{"/chat/completions", R"({"messages":[{"role":"user","content":"hi"}]})"},
        Counted{"/v1/responses", R"({"input":"hi","instructions":"Be kind."})"},
        Counted{"/v1/responses", R"({"input":[{"role":"user","content":"a"}],"tools":[{"type":"function",
                "name":"f","parameters":{"type":"object"}}]})"},
        Counted{"/v1/messages", R"({"messages":[{"role":"user","content":"hi"}]})"},
        Counted{"/v1/messages", R"({"system":[{"type":"text","text":"S"}],"messages":[{"role":"user",
                "content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})"},
        Counted{"/v1/messages",
                R"({"messages":[{"role":"user","content":"fix"},{"role":"assistant","content":[
                {"type":"thinking","thinking":"a long thought","signature":"s"},
                {"type":"tool_use","id":"t1","name":"ls","input":{}}]},
                {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"a.py"}]}],
                "tools":[{"name":"ls","input_schema":{"type":"object"}}]})"}));

TEST(CountingMore, MoreIsMore) {
  ProtocolServer server{{add_openai_chat, add_responses, add_anthropic}};
  const auto count = [&](const char* path, const char* body) {
    const auto answer = server.call("POST", path, body);
    EXPECT_EQ(answer->status(), 200) << answer->body();
    return answer->json()["input_tokens"].get<int>();
  };
  const char* messages = "/v1/messages/count_tokens";
  EXPECT_GT(count(messages, R"({"system":"S","messages":[{"role":"user","content":"hi"}]})"),
            count(messages, R"({"messages":[{"role":"user","content":"hi"}]})"));
  EXPECT_GT(count(messages, R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"thought","signature":"s"},{"type":"text","text":"a"}]},
        {"role":"user","content":"b"}]})"),
            count(messages, R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[
        {"type":"text","text":"a"}]},{"role":"user","content":"b"}]})"));
}

TEST(CountingMore, WrongBodiesAreNamed) {
  ProtocolServer server{{add_openai_chat, add_responses}};
  for (const auto& [path, body, param] :
       {std::tuple("/v1/chat/completions/input_tokens", "{}", "messages"),
        std::tuple("/v1/chat/completions/input_tokens", R"({"messages":[{"role":"king","content":"x"}]})",
                   "messages[0].role"),
        std::tuple("/v1/responses/input_tokens", "{}", "input"),
        std::tuple("/v1/responses/input_tokens", "[", "")}) {
    const auto answer = server.call("POST", path, body);
    EXPECT_EQ(answer->status(), 400) << path;
    const Json error = answer->json()["error"];
    EXPECT_EQ(error["type"], "invalid_request_error");
    if (*param) {
      EXPECT_EQ(error["param"], param) << path;
    }
  }
}

// --- With the default model's vocabulary ---

const std::string kDefault = std::string(MNEME_SOURCE_DIR) + "/models/mneme-default.gguf";

class DefaultModelText : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kDefault)) GTEST_SKIP() << kDefault << " is missing";
    auto text = Text::open(kDefault);
    ASSERT_TRUE(text) << text.error().message;
    text_ = std::move(*text);
    server_.emplace(std::vector<void (*)(Router&, Models&)>{add_text}, text_);
  }
  Json ask(const char* path, const Json& body) { return server_->post(path, body)->json(); }

  std::shared_ptr<const Text> text_;
  std::optional<ProtocolServer> server_;
};

TEST_P(DefaultModelText, GoesToTokensAndBack) {
  const Json tokens = ask("/tokenize", {{"content", GetParam()}})["tokens"];
  EXPECT_EQ(ask("/detokenize", {{"tokens", tokens}})["content"], GetParam());
  EXPECT_EQ(ask("/tokenize", {{"content", GetParam()}})["count"], tokens.size());
}

TEST_P(DefaultModelText, PiecesAreTheText) {
  std::string joined;
  Json ids = Json::array();
  const Json tokens = ask("/tokenize", {{"content", GetParam()}, {"with_pieces", true}})["tokens"];
  for (const Json& token : tokens) {
    ids.push_back(token["id"]);
    EXPECT_FALSE(token["piece"].empty());
    if (token["piece"].is_string()) {
      joined += token["piece"].get<std::string>();
    } else {
      for (const Json& byte : token["piece"]) joined += static_cast<char>(byte.get<int>());
    }
  }
  EXPECT_EQ(joined, GetParam());
  EXPECT_EQ(ids, ask("/tokenize", {{"content", GetParam()}})["tokens"]);
}

TEST_P(DefaultModelText, SpecialTokensAreAddedWhereAskedFor) {
  const Json tokens = ask("/tokenize", {{"content", GetParam()}, {"add_special", true}})["tokens"];
  EXPECT_EQ(tokens.get<std::vector<TokenId>>(), text_->encode(GetParam(), {.add_bos_eos = true}));
}

INSTANTIATE_TEST_SUITE_P(All, DefaultModelText,
                         ::testing::Values("", " ", "What is the capital of France ?",
                                           "unicode \xE5\xAA\xBD and emoji \xF0\x9F\xA4\x97", "\n\n\t  x\r\n",
                                           "int main() { return 0; }", "<|im_start|>user\nhi<|im_end|>",
                                           "na\xC3\xAFve \xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 12345678"));

}  // namespace
}  // namespace mneme::serve

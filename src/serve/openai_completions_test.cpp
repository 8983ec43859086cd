// /v1/completions, /v1/models, /v1/embeddings and the text endpoints over a scripted backend.
#include <gtest/gtest.h>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kPath = "/v1/completions";

class OpenAiCompletions : public ::testing::Test, public OpenAiEndpoints {};

TEST_F(OpenAiCompletions, Whole) {
  const Json json = json_of(kPath, R"({"model":"m","prompt":"Once"})");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["choices"][0]["text"], "Hello!");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(json["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(json["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(backend->last_prompt(), "Once");
  EXPECT_EQ(backend->requests().back().generate.tokens_max, 16);
}

TEST_F(OpenAiCompletions, PromptsOfEveryKind) {
  json_of(kPath, R"({"prompt":[72,105]})");
  EXPECT_EQ(backend->last_prompt(), "Hi");
  backend->push_answer("a");
  backend->push_answer("b");
  Json json = json_of(kPath, R"({"prompt":["x","yy"]})");
  ASSERT_EQ(json["choices"].size(), 2u);
  EXPECT_EQ(json["choices"][1]["text"], "b");
  EXPECT_EQ(json["choices"][1]["index"], 1);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 3);
  json = json_of(kPath, R"({"prompt":[[72],[105,106]],"n":2})");
  EXPECT_EQ(json["choices"].size(), 4u);
}

TEST_F(OpenAiCompletions, Streamed) {
  std::string text;
  const auto chunks = chunks_of(
      kPath, R"({"prompt":"Once","stream":true,"echo":true,"stream_options":{"include_usage":true}})");
  for (const Json& chunk : chunks)
    if (!chunk["choices"].empty()) text += chunk["choices"][0]["text"].get<std::string>();
  EXPECT_EQ(text, "OnceHello!");
  EXPECT_EQ(chunks[chunks.size() - 2]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(chunks.back()["usage"]["completion_tokens"], 7);
}

TEST_F(OpenAiCompletions, Echo) {
  EXPECT_EQ(json_of(kPath, R"({"prompt":"Once","echo":true,"max_tokens":0})")["choices"][0]["text"], "Once");
}

TEST_F(OpenAiCompletions, Logprobs) {
  backend->set_answer("aé!");
  const Json logprobs = json_of(kPath, R"({"prompt":"Once","logprobs":2})")["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"].size(), 4u);  // é is two bytes
  EXPECT_EQ(logprobs["tokens"][0], "a");
  EXPECT_EQ(logprobs["token_logprobs"][0], -0.5);
  EXPECT_EQ(logprobs["top_logprobs"][0].size(), 2u);
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0,1,2,2]"));
}

TEST_F(OpenAiCompletions, LogprobsStreamed) {
  std::string tokens;
  size_t last = 0;
  for (const Json& chunk : chunks_of(kPath, R"({"prompt":"Once","logprobs":0,"stream":true})")) {
    const Json& logprobs = chunk["choices"][0]["logprobs"];
    if (logprobs.is_null()) continue;
    for (const Json& token : logprobs["tokens"]) tokens += token.get<std::string>();
    last = logprobs["text_offset"].back().get<size_t>();
  }
  EXPECT_EQ(tokens, "Hello!");
  EXPECT_EQ(last, 5u);
}

TEST_F(OpenAiCompletions, EchoWithLogprobs) {
  Json choice = json_of(kPath, R"({"prompt":"aé b","echo":true,"logprobs":1,"max_tokens":0})")["choices"][0];
  EXPECT_EQ(choice["text"], "aé b");
  EXPECT_EQ(choice["finish_reason"], "length");
  Json logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"].size(), 5u);
  EXPECT_EQ(logprobs["tokens"][4], "b");
  EXPECT_EQ(logprobs["token_logprobs"], Json::parse("[null,-0.5,-1.0,-1.5,-2.0]"));
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["top_logprobs"][4], Json::parse(R"({"b":-2.0})"));
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0,1,2,2,3]"));
  EXPECT_TRUE(backend->requests().back().generate.score_prompt);

  // The answer's follow; of several choices the first scores the prompt for all.
  const Json body = Json::parse(R"({"prompt":["xy",[60,122]],"echo":true,"logprobs":0,"n":2})");
  const Json choices = json_of(kPath, body.dump())["choices"];
  ASSERT_EQ(choices.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(choices[i]["text"], i < 2 ? "xyHello!" : "<zHello!");
    EXPECT_EQ(choices[i]["logprobs"]["tokens"].size(), 8u);
    EXPECT_EQ(choices[i]["logprobs"]["token_logprobs"][1], -0.5);
    EXPECT_EQ(choices[i]["logprobs"]["token_logprobs"][2], -0.5);
    EXPECT_EQ(choices[i]["logprobs"]["text_offset"], Json::parse("[0,1,2,3,4,5,6,7]"));
  }
  size_t scored = 0;
  for (const GenerationRequest& request : backend->requests()) scored += request.generate.score_prompt;
  EXPECT_EQ(scored, 3u);

  // Special tokens keep their places in the lists.
  logprobs = json_of(
      kPath,
      R"({"prompt":"<|im_start|>a","echo":true,"logprobs":0,"max_tokens":0})")["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::parse(R"(["<|im_start|>","a"])"));
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0,12]"));
}

TEST_F(OpenAiCompletions, EchoWithLogprobsStreamed) {
  std::string text, tokens;
  Json logprobs = Json::array(), offsets = Json::array();
  for (const Json& chunk : chunks_of(kPath, R"({"prompt":"Once","echo":true,"logprobs":0,"stream":true})")) {
    const Json& choice = chunk["choices"][0];
    text += choice["text"].get<std::string>();
    if (choice["logprobs"].is_null()) continue;
    for (const Json& token : choice["logprobs"]["tokens"]) tokens += token.get<std::string>();
    for (const Json& value : choice["logprobs"]["token_logprobs"]) logprobs.push_back(value);
    for (const Json& value : choice["logprobs"]["text_offset"]) offsets.push_back(value);
  }
  EXPECT_EQ(text, "OnceHello!");
  EXPECT_EQ(tokens, text);
  EXPECT_EQ(logprobs.size(), 10u);
  EXPECT_TRUE(logprobs[0].is_null());
  EXPECT_EQ(offsets, Json::parse("[0,1,2,3,4,5,6,7,8,9]"));
}

TEST_F(OpenAiCompletions, BestOf) {
  backend->push_answer("aaaaaaaa");  // its tokens are less likely
  backend->push_answer("b");
  const Json json = json_of(kPath, R"({"prompt":"x","best_of":2})");
  ASSERT_EQ(json["choices"].size(), 1u);
  EXPECT_EQ(json["choices"][0]["text"], "b");
  EXPECT_TRUE(json["choices"][0]["logprobs"].is_null());
}

TEST_F(OpenAiCompletions, FillsInTheMiddle) {
  json_of(kPath, R"({"prompt":"int f() {","suffix":"}"})");
  EXPECT_EQ(backend->last_prompt(), "<|fim_prefix|>int f() {<|fim_suffix|>}<|fim_middle|>");
}

TEST_F(OpenAiCompletions, Wrong) {
  const auto param = [&](const char* body) { return param_of(kPath, body); };
  EXPECT_EQ(param(R"({})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":5})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":""})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":[]})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":[1,{}]})"), "prompt[1]");
  EXPECT_EQ(param(R"({"prompt":[999999]})"), "prompt[0]");
  EXPECT_EQ(param(R"({"prompt":["x",{}]})"), "prompt[1]");
  EXPECT_EQ(param(R"({"prompt":"x","n":3,"best_of":2})"), "best_of");
  EXPECT_EQ(param(R"({"prompt":"x","best_of":2,"stream":true})"), "best_of");
  EXPECT_EQ(param(R"({"prompt":"x","logprobs":99})"), "logprobs");
  EXPECT_EQ(param(R"({"prompt":"x","suffix":5})"), "suffix");
  EXPECT_EQ(param(R"({"prompt":"x","max_tokens":-2})"), "max_tokens");
  EXPECT_EQ(param(R"({"prompt":"x","suffix":"y","echo":true,"logprobs":1})"), "echo");
  const Json many = {{"prompt", std::string(20000, 'x')}, {"echo", true}, {"logprobs", 20}};
  EXPECT_EQ(param(many.dump().c_str()), "logprobs");
  const Json often = {{"prompt", std::string(20000, 'x')}, {"echo", true}, {"logprobs", 0}, {"n", 16}};
  EXPECT_EQ(param(often.dump().c_str()), "logprobs");
  caller.tokens_max = 3;
  EXPECT_EQ(json_of(kPath, R"({"prompt":"Once"})", 400)["error"]["code"], "context_length_exceeded");
}

TEST_F(OpenAiCompletions, ClientsThatLeaveCancel) {
  backend->set_held(true);
  const auto answer = begin("POST", kPath, R"({"prompt":"x"})");
  answer->leave();
  EXPECT_EQ(backend->cancelled(), std::vector<GenerationId>{1});
}

TEST_F(OpenAiCompletions, Models) {
  const auto list = begin("GET", "/v1/models", "")->json();
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][0]["id"], "scripted");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["created"], 17);
  EXPECT_EQ(begin("GET", "/v1/models/scripted", "")->json()["id"], "scripted");
  EXPECT_EQ(begin("GET", "/v1/models/org/other", "")->json()["id"], "org/other");
  const auto missing = begin("GET", "/v1/models/none", "");
  EXPECT_EQ(missing->status(), 404);
  EXPECT_EQ(missing->json()["error"]["code"], "model_not_found");
}

class OpenAiEmbeddings : public ::testing::Test, public OpenAiEndpoints {};

TEST_F(OpenAiEmbeddings, Floats) {
  const Json json = json_of("/v1/embeddings", R"({"model":"m","input":["ab","c"]})");
  ASSERT_EQ(json["data"].size(), 2u);
  EXPECT_EQ(json["data"][0]["embedding"], Json::parse("[0.0,0.0,1.0,0.0]"));
  EXPECT_EQ(json["data"][1]["index"], 1);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(json["model"], "m");
}

TEST_F(OpenAiEmbeddings, Base64TokensAndDimensions) {
  EXPECT_EQ(json_of("/v1/embeddings", R"({"input":"ab","encoding_format":"base64"})")["data"][0]["embedding"],
            "AAAAAAAAAAAAAIA/AAAAAA==");
  EXPECT_EQ(json_of("/v1/embeddings", R"({"input":[1,2],"dimensions":3})")["data"][0]["embedding"],
            Json::parse("[0.0,0.0,1.0]"));
  json_of("/v1/embeddings", R"({"input":[[1,2],[3]]})");
  EXPECT_EQ(backend->embeddings().back(), (std::vector<std::vector<TokenId>>{{1, 2}, {3}}));
}

TEST_F(OpenAiEmbeddings, Wrong) {
  const auto param = [&](const char* body) { return param_of("/v1/embeddings", body); };
  EXPECT_EQ(param("{}"), "input");
  EXPECT_EQ(param(R"({"input":""})"), "input");
  EXPECT_EQ(param(R"({"input":"x","encoding_format":"hex"})"), "encoding_format");
  EXPECT_EQ(param(R"({"input":"x","dimensions":0})"), "dimensions");
  EXPECT_EQ(param(R"({"input":"x","dimensions":9})"), "dimensions");
  backend->push_failure({.kind = FailureKind::kStopping, .message = "stopping"});
  EXPECT_EQ(ask("/v1/embeddings", R"({"input":"x"})")->status(), 503);
  caller.tokens_max = 3;  // of the key
  EXPECT_EQ(param(R"({"input":"xxxx"})"), "input");
  EXPECT_EQ(ask("/v1/embeddings", R"({"input":"xxx"})")->status(), 200);
}

class TextEndpoints : public ::testing::Test, public OpenAiEndpoints {};

TEST_F(TextEndpoints, Tokenize) {
  EXPECT_EQ(json_of("/tokenize", R"({"content":"Hi<|im_end|>"})")["tokens"], Json::parse("[72,105,257]"));
  EXPECT_EQ(json_of("/tokenize", R"({"content":"<|im_end|>","parse_special":false})")["count"], 10);
  EXPECT_EQ(json_of("/tokenize", R"({"content":"aé","with_pieces":true})")["tokens"],
            Json::parse(R"([{"id":97,"piece":"a"},{"id":195,"piece":[195]},{"id":169,"piece":[169]}])"));
  EXPECT_EQ(param_of("/tokenize", "{}"), "content");
  EXPECT_EQ(param_of("/tokenize", R"({"content":1})"), "content");
}

TEST_F(TextEndpoints, Detokenize) {
  EXPECT_EQ(json_of("/detokenize", R"({"tokens":[72,105,257]})")["content"], "Hi<|im_end|>");
  EXPECT_EQ(json_of("/detokenize", R"({"tokens":[195]})")["content"], "\xEF\xBF\xBD");
  EXPECT_EQ(param_of("/detokenize", "{}"), "tokens");
  EXPECT_EQ(param_of("/detokenize", R"({"tokens":[-1]})"), "tokens[0]");
  EXPECT_EQ(param_of("/detokenize", R"({"tokens":["a"]})"), "tokens[0]");
}

TEST_F(TextEndpoints, ApplyTemplate) {
  EXPECT_EQ(json_of("/apply-template", chat())["prompt"],
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(param_of("/apply-template", "{}"), "messages");
}

}  // namespace
}  // namespace mneme::serve

// Formats that answers are held to, biases, and how prompts end: each in every form that clients write it in.
#include <gtest/gtest.h>

#include <limits>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kText = "/v1/completions";

struct Format {
  const char* more;
  const char *good, *bad;
};

class OpenAiFormat : public ::testing::TestWithParam<Format>, public OpenAiEndpoints {};

TEST_P(OpenAiFormat, HoldsChatsAndCompletions) {
  for (const auto& [path, body] :
       {std::pair(kChat, chat(GetParam().more)),
        std::pair(kText, R"({"prompt":"x",)" + std::string(GetParam().more) + "}")}) {
    json_of(path, body);
    const auto constraint = backend->requests().back().generate.constraint;
    ASSERT_NE(constraint, nullptr) << path;
    EXPECT_TRUE(constraint->grammar().matches(GetParam().good)) << path;
    EXPECT_FALSE(constraint->grammar().matches(GetParam().bad)) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, OpenAiFormat,
    ::testing::Values(
        Format{R"("response_format":{"type":"json_object"})", R"({"a": [1, null]})", "John"},
        Format{R"("response_format":{"type":"json_object","schema":{"const":"42"}})", R"("42")", R"("43")"},
        Format{R"("response_format":{"type":"json_object","schema":{"type":"array",
                "items":{"type":"integer"}}})",
               "[-3000, 2]", "[0.5]"},
        Format{R"("response_format":{"type":"json_schema","json_schema":{"schema":{"const":"foo"}}})",
               R"("foo")", R"("fo")"},
        Format{R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":
                {"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],
                 "additionalProperties":false}}})",
               R"({"ok": true})", "{}"},
        Format{R"("json_schema":{"const":"42"})", R"("42")", "42"},
        Format{R"("json_schema":{"enum":["red","green"]})", R"("green")", R"("blue")"},
        Format{R"("grammar":"root ::= \"a\"{5,5}")", "aaaaa", "aaaa"},
        Format{R"("response_format":{"type":"grammar","grammar":"root ::= \"yes\" | \"no\""})", "no",
               "maybe"},
        Format{R"("regex":"[0-9]{3}")", "123", "12"},
        Format{R"("response_format":{"type":"regex","pattern":"(ab)+"})", "abab", "aba"},
        Format{R"("response_format":{"type":"text"},"json_schema":{"type":"null"})", "null", "x"}));

struct WrongFormat {
  const char* more;
  const char* param;
};

class OpenAiWrongFormat : public ::testing::TestWithParam<WrongFormat>, public OpenAiEndpoints {};

TEST_P(OpenAiWrongFormat, IsNamed) {
  EXPECT_EQ(param_of(kChat, chat(GetParam().more)), GetParam().param);
  EXPECT_EQ(param_of(kText, R"({"prompt":"x",)" + std::string(GetParam().more) + "}"), GetParam().param);
  EXPECT_TRUE(backend->requests().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, OpenAiWrongFormat,
    ::testing::Values(
        WrongFormat{R"("response_format":{"type":"sound"})", "response_format.type"},
        WrongFormat{R"("response_format":{"type":"json_object","schema":123})", "response_format.schema"},
        WrongFormat{R"("response_format":{"type":"json_object","schema":{"type":123}})", "response_format"},
        WrongFormat{R"("response_format":{"type":"json_object","schema":{"type":"hiccup"}})",
                    "response_format"},
        WrongFormat{R"("json_schema":"x")", "json_schema"},
        WrongFormat{R"("json_schema":{"type":"hiccup"})", "response_format"},
        WrongFormat{R"("grammar":"root ::= this is (not a grammar")", "response_format"},
        WrongFormat{R"("grammar":5)", "grammar"}, WrongFormat{R"("regex":"(")", "response_format"}));

struct Bias {
  const char* json;
  std::vector<std::pair<TokenId, float>> biases;
};
constexpr float kNever = -std::numeric_limits<float>::infinity();

class OpenAiBias : public ::testing::TestWithParam<Bias>, public OpenAiEndpoints {};

TEST_P(OpenAiBias, IsOfTokensOrTexts) {
  const std::string more = "\"logit_bias\":" + std::string(GetParam().json);
  json_of(kChat, chat(more));
  EXPECT_EQ(backend->requests().back().generate.sampling.logit_bias, GetParam().biases);
  json_of(kText, R"({"prompt":"x",)" + more + "}");
  EXPECT_EQ(backend->requests().back().generate.sampling.logit_bias, GetParam().biases);
}

INSTANTIATE_TEST_SUITE_P(All, OpenAiBias,
                         ::testing::Values(Bias{R"({})", {}}, Bias{R"([])", {}},
                                           Bias{R"({"65":2.5})", {{65, 2.5f}}},
                                           Bias{R"({"65":-100,"66":false})", {{65, kNever}, {66, kNever}}},
                                           Bias{R"([[65,2.5],[66,-100]])", {{65, 2.5f}, {66, kNever}}},
                                           Bias{R"([[65,false]])", {{65, kNever}}},
                                           Bias{R"({" a":-3})", {{32, -3}, {97, -3}}},
                                           Bias{R"([["ab",1],[67,2]])", {{97, 1}, {98, 1}, {67, 2}}},
                                           Bias{R"([["65",1]])", {{54, 1}, {53, 1}}},
                                           Bias{R"({"<|im_end|>":-100})", {{257, kNever}}}));

TEST(OpenAiWrongBias, IsNamed) {
  OpenAiEndpoints endpoints;
  const auto param = [&](const std::string& bias) {
    return endpoints.param_of(kChat, endpoints.chat("\"logit_bias\":" + bias));
  };
  EXPECT_EQ(param(R"([[65]])"), "logit_bias[0]");
  EXPECT_EQ(param(R"([[65,1],[65,1,1]])"), "logit_bias[1]");
  EXPECT_EQ(param(R"([[0.5,1]])"), "logit_bias[0]");
  EXPECT_EQ(param(R"([[-1,1]])"), "logit_bias[0]");
  EXPECT_EQ(param(R"([["",1]])"), "logit_bias[0]");
  EXPECT_EQ(param(R"([["x",true]])"), "logit_bias[0]");
  EXPECT_EQ(param(R"({"x":"much"})"), "logit_bias.x");
  EXPECT_EQ(param(R"({"x":1000})"), "logit_bias.x");
}

class OpenAiEnding : public ::testing::Test, public OpenAiEndpoints {
 protected:
  static std::string body(const std::string& answer, const std::string& more) {
    return R"({"model":"m","messages":[{"role":"user","content":"Which?"},{"role":"assistant","content":)" +
           answer + "}]" + more + "}";
  }
  static constexpr const char* kTurn = "<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\n";
};

TEST_F(OpenAiEnding, AnAnswerGoesOn) {
  for (const char* answer :
       {R"("The bes")", R"([{"type":"text","text":"The "},{"type":"text","text":"bes"}])"}) {
    for (const char* more : {R"(,"continue_final_message":true)",
                             R"(,"continue_final_message":true,"add_generation_prompt":false)"}) {
      backend->set_answer("t one");
      const Json json = json_of(kChat, body(answer, more));
      EXPECT_EQ(backend->last_prompt(), std::string(kTurn) + "The bes");
      EXPECT_EQ(json["choices"][0]["message"]["content"], "t one");
      EXPECT_EQ(json_of("/apply-template", body(answer, more))["prompt"], std::string(kTurn) + "The bes");
    }
  }
}

TEST_F(OpenAiEnding, WithoutThatANewAnswerBegins) {
  json_of(kChat, body(R"("Done.")", ""));
  EXPECT_EQ(backend->last_prompt(), std::string(kTurn) + "Done.<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(OpenAiEnding, APromptMayEndWithItsMessages) {
  for (const char* more : {R"(,"add_generation_prompt":false)", R"(,"add_generation_prompt":true)", ""}) {
    const std::string prompt = json_of("/apply-template", body(R"("Done.")", more))["prompt"];
    const bool opens = std::string(more).find("false") == std::string::npos;
    EXPECT_EQ(prompt, std::string(kTurn) + "Done.<|im_end|>\n" + (opens ? "<|im_start|>assistant\n" : ""));
  }
}

TEST_F(OpenAiEnding, WhatCannotGoOnIsNamed) {
  const char* field = "continue_final_message";
  EXPECT_EQ(param_of(kChat, body(R"("x")", R"(,"continue_final_message":true,"add_generation_prompt":true)")),
            field);
  EXPECT_EQ(param_of(kChat, chat(R"("continue_final_message":true)")), field);
  EXPECT_EQ(param_of(kChat, R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y",
      "tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}],"continue_final_message":true})"),
            field);
  EXPECT_EQ(param_of(kChat, chat(R"("continue_final_message":1)")), field);
  EXPECT_EQ(param_of(kChat, R"({"messages":[],"continue_final_message":true})"), "messages");
}

}  // namespace
}  // namespace mneme::serve

#include "serve/editors.h"

#include <gtest/gtest.h>

#include "serve/editors_request.h"
#include "serve/protocols_for_test.h"

namespace mneme::serve {
namespace {

Json infill(std::string_view fields = "{}") {
  Json body = Json::parse(R"({"input_prefix":"int a = ","input_suffix":";\n"})");
  body.update(Json::parse(fields));
  return body;
}

class Editors : public testing::Test {
 protected:
  ProtocolServer server_{{add_editors}};
};

TEST_F(Editors, FillsIn) {
  server_.backend->set_answer("5 + 6");
  server_.backend->set_found(4);
  const auto answer = server_.post("/infill", infill());
  EXPECT_EQ(answer->status(), 200);
  EXPECT_EQ(server_.backend->last_prompt(), "<|fim_prefix|>int a = <|fim_suffix|>;\n<|fim_middle|>");
  const Json json = answer->json();
  EXPECT_EQ(json["content"], "5 + 6");
  EXPECT_EQ(json["stop"], true);
  EXPECT_EQ(json["stop_type"], "eos");
  EXPECT_EQ(json["truncated"], false);
  EXPECT_EQ(json["has_new_line"], false);
  EXPECT_EQ(json["tokens_predicted"], 6);
  const size_t prompt = server_.backend->requests()[0].prompt.size();
  EXPECT_EQ(json["tokens_evaluated"], prompt);
  EXPECT_EQ(json["timings"]["cache_n"], 4);
  EXPECT_EQ(json["timings"]["prompt_n"], prompt - 4);
  EXPECT_EQ(json["timings"]["predicted_n"], 6);
  EXPECT_GT(json["timings"]["predicted_per_second"], 0);
  EXPECT_EQ(server_.models.asked, std::vector<std::string>{"auto"});
}

TEST_F(Editors, ThePromptFollowsThePrefixAndOtherFilesComeFirst) {
  server_.post("/infill", infill(R"({"prompt":"b","filename":"main.c","repository":"demo",
      "input_extra":[{"filename":"a.h","text":"A\n"},{"filename":"b.h","text":"B\n"}]})"));
  EXPECT_EQ(server_.backend->last_prompt(),
            "<|repo_name|>demo\n<|file_sep|>a.h\nA\n<|file_sep|>b.h\nB\n<|file_sep|>main.c\n"
            "<|fim_prefix|>int a = b<|fim_suffix|>;\n<|fim_middle|>");
}

TEST_F(Editors, MarksWrittenInCodeAreText) {
  server_.post("/infill", infill(R"({"input_prefix":"<|fim_middle|>"})"));
  const std::vector<TokenId> prompt = server_.backend->requests()[0].prompt;
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), 260), 1);
}

TEST_F(Editors, NothingToPredictWarmsTheCache) {
  const auto answer = server_.post("/infill", infill(R"({"n_predict":0,"samplers":[],"cache_prompt":true,
      "t_max_prompt_ms":500,"t_max_predict_ms":1,"response_fields":[""]})"));
  EXPECT_EQ(answer->status(), 200);
  EXPECT_EQ(answer->json(), Json::object());
  ASSERT_EQ(server_.backend->requests().size(), 1u);
  EXPECT_TRUE(server_.backend->requests()[0].warm_only);
  EXPECT_EQ(server_.backend->requests()[0].from.priority, Priority::kLow);
}

// As llama.vim asks.
TEST_F(Editors, AnswersOnlyTheFieldsAskedFor) {
  const auto answer = server_.post("/infill", infill(R"({"prompt":"","n_predict":64,"n_indent":0,"stop":[],
      "top_k":40,"top_p":0.9,"samplers":["top_k","top_p","infill"],"cache_prompt":true,"stream":false,
      "input_extra":[],"t_max_prompt_ms":500,"t_max_predict_ms":1000,
      "response_fields":["content","timings/prompt_n","timings/predicted_ms","truncated","tokens_cached",
                         "timings/nothing","nothing"]})"));
  const Json json = answer->json();
  EXPECT_EQ(json["content"], "Hello!");
  EXPECT_TRUE(json.contains("timings/prompt_n"));
  EXPECT_TRUE(json.contains("timings/predicted_ms"));
  EXPECT_EQ(json["truncated"], false);
  EXPECT_EQ(json.size(), 5u) << json;
}

TEST_F(Editors, Streams) {
  const auto answer = server_.post("/infill", infill(R"({"stream":true})"));
  EXPECT_TRUE(answer->content_type().starts_with("text/event-stream"));
  const std::vector<Json> events = json_events(*answer);
  ASSERT_GE(events.size(), 2u);
  std::string text;
  for (const Json& event : events) text += event["content"].get<std::string>();
  EXPECT_EQ(text, "Hello!");
  EXPECT_EQ(events.front()["stop"], false);
  EXPECT_EQ(events.back()["stop"], true);
  EXPECT_EQ(events.back()["tokens_predicted"], 7);
}

TEST_F(Editors, StopsAtTextsAndLimits) {
  const Json word = server_.post("/infill", infill(R"({"stop":["lo"]})"))->json();
  EXPECT_EQ(word["content"], "Hel");
  EXPECT_EQ(word["stop_type"], "word");
  const Json limit = server_.post("/infill", infill(R"({"n_predict":2})"))->json();
  EXPECT_EQ(limit["content"], "He");
  EXPECT_EQ(limit["stop_type"], "limit");
}

TEST_F(Editors, PredictsNoLongerThanAllowed) {
  server_.backend->set_answer(std::string(5000, 'x'));
  server_.backend->set_token_time(std::chrono::milliseconds(2));
  const Json json = server_.post("/infill", infill(R"({"n_predict":5000,"t_max_predict_ms":50})"))->json();
  EXPECT_EQ(json["stop_type"], "limit");
  EXPECT_LT(json["tokens_predicted"], 4000);
  EXPECT_FALSE(json["content"].get<std::string>().empty());
}

TEST_F(Editors, WhatDoesNotFitIsLeftOut) {
  server_.backend->set_limits({.context_tokens_max = 70});
  const auto answer = server_.post("/infill", infill(R"({"n_predict":30,"filename":"m",
      "input_extra":[{"filename":"far","text":"0123456789"},{"filename":"near","text":"01234"}]})"));
  EXPECT_EQ(answer->json()["truncated"], true);
  const std::string prompt = server_.backend->last_prompt();
  EXPECT_EQ(prompt.find("far"), std::string::npos) << prompt;
  EXPECT_NE(prompt.find("near"), std::string::npos) << prompt;
  EXPECT_LE(server_.backend->requests()[0].prompt.size(), 40u);
}

TEST_F(Editors, WhatIsFarFromTheCursorIsCut) {
  server_.backend->set_limits({.context_tokens_max = 63});
  const Json body = {{"input_prefix", std::string(1000, '.') + "near"},
                     {"input_suffix", "next" + std::string(1000, '.')},
                     {"n_predict", 20}};
  EXPECT_EQ(server_.post("/infill", body)->json()["truncated"], true);
  EXPECT_EQ(server_.backend->last_prompt(), "<|fim_prefix|>" + std::string(26, '.') +
                                                "near<|fim_suffix|>next" + std::string(6, '.') +
                                                "<|fim_middle|>");
  server_.backend->set_limits({.context_tokens_max = 21});
  EXPECT_EQ(server_.post("/infill", body)->status(), 400);
}

TEST_F(Editors, SaysWhatIsWrong) {
  for (const char* fields :
       {R"({"input_prefix":5})", R"({"input_extra":{}})", R"({"input_extra":["x"]})",
        R"({"input_extra":[{}]})", R"({"input_extra":[{"filename":"ok"}]})",
        R"({"input_extra":[{"filename":123,"text":"abc"}]})",
        R"({"input_extra":[{"filename":"a.c","text":456}]})", R"({"n_predict":"many"})",
        R"({"temperature":"warm"})", R"({"response_fields":[1]})", R"({"stop":5})", R"({"stream":"yes"})"}) {
    const auto answer = server_.post("/infill", infill(fields));
    EXPECT_EQ(answer->status(), 400) << fields;
    const std::string field = Json::parse(fields).begin().key();
    EXPECT_NE(answer->body().find(field), std::string::npos) << answer->body();
  }
  EXPECT_EQ(server_.call("POST", "/infill", "{}")->status(), 400);
  EXPECT_EQ(server_.call("POST", "/infill", "[")->status(), 400);
}

TEST_F(Editors, AModelWithoutMarksSaysSo) {
  ProtocolServer plain({add_editors}, std::make_shared<ByteText>(ProtocolServer::kTemplate, false));
  const auto answer = plain.post("/infill", infill());
  EXPECT_EQ(answer->status(), 400);
  EXPECT_NE(answer->body().find("fill in the middle"), std::string::npos);
}

TEST_F(Editors, FailuresAreTold) {
  server_.backend->push_failure({.kind = FailureKind::kInternal, .message = "out of luck"}, 2);
  EXPECT_EQ(server_.post("/infill", infill())->status(), 500);
  server_.backend->push_failure({.kind = FailureKind::kInternal, .message = "out of luck"}, 2);
  const auto stream = server_.post("/infill", infill(R"({"stream":true})"));
  EXPECT_TRUE(stream->ended());
  EXPECT_NE(stream->body().find("out of luck"), std::string::npos);
}

TEST_F(Editors, AClientThatLeavesEndsItsGeneration) {
  server_.backend->set_answer(std::string(100'000, 'x'));
  server_.start("POST", "/infill", infill(R"({"n_predict":90000})").dump())->leave();
  EXPECT_TRUE(server_.backend->wait_until_idle());
  EXPECT_EQ(server_.backend->cancelled().size(), 1u);
}

TEST(InfillRequest, SamplersThatAreNotListedAreOff) {
  const auto all = read_infill(infill(R"({"top_k":7,"top_p":0.5,"min_p":0.1})"));
  EXPECT_EQ(all->generate.sampling.top_k, 7);
  EXPECT_EQ(all->generate.sampling.top_p, 0.5f);
  EXPECT_EQ(all->generate.sampling.temperature, 0.0f) << "the likeliest, unless asked otherwise";
  const auto some = read_infill(infill(R"({"top_k":7,"top_p":0.5,"min_p":0.1,"samplers":["top_k"]})"));
  EXPECT_EQ(some->generate.sampling.top_k, 7);
  EXPECT_EQ(some->generate.sampling.top_p, 1.0f);
  EXPECT_EQ(some->generate.sampling.min_p, 0.0f);
  EXPECT_TRUE(read_infill(infill(R"({"samplers":"kpt","seed":-1,"top_k":-1,"n_predict":-1})")));
}

// --- Tabby ---

TEST_F(Editors, TabbyIsHealthy) {
  for (const char* method : {"GET", "POST"}) {
    const auto answer = server_.call(method, "/v1/health", "");
    EXPECT_EQ(answer->status(), 200);
    EXPECT_EQ(answer->json()["model"], "scripted");
    EXPECT_TRUE(answer->json()["version"]["git_describe"].is_string());
  }
  EXPECT_EQ(server_.call("GET", "/v1beta/server_setting", "")->json()["disable_client_side_telemetry"], true);
  EXPECT_EQ(server_.call("POST", "/v1/events?select_kind=line", R"({"type":"view"})")->status(), 200);
}

TEST_F(Editors, TabbyCompletes) {
  const Json body = Json::parse(
      R"({"language":"python","user":"u","segments":{"prefix":"def f(","suffix":"): pass",
      "filepath":"src/f.py","git_url":"https://example.org/demo",
      "declarations":[{"filepath":"a.py","body":"A"}],
      "relevant_snippets_from_changed_files":[{"filepath":"b.py","body":"B","score":1.0}],
        "clipboard":"c"}})");
  EXPECT_TRUE(is_tabby_completion(body));
  EXPECT_FALSE(is_tabby_completion(Json::parse(R"({"prompt":"x"})")));
  EXPECT_FALSE(is_tabby_completion(Json::parse(R"([1])")));
  server_.backend->set_answer("a, b\n\nnext");
  auto request = std::make_shared<HttpRequest>();
  request->path = "/v1/completions";
  const auto kept = std::make_shared<KeptAnswer>();
  Call call;
  call.request = request, call.answer = kept;
  answer_tabby_completion(call, server_.backend, body);
  ASSERT_TRUE(kept->wait());
  EXPECT_EQ(kept->status(), 200);
  const Json json = kept->json();
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(json["choices"], Json::parse(R"([{"index":0,"text":"a, b"}])"));
  EXPECT_EQ(server_.backend->last_prompt(),
            "<|repo_name|>https://example.org/demo\n<|file_sep|>b.py\nB<|file_sep|>a.py\nA"
            "<|file_sep|>src/f.py\n<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>");
}

TEST_F(Editors, TabbyIsToldWhatIsWrong) {
  for (const char* body : {R"({"segments":5})", R"({"segments":{}})", R"({"segments":{"prefix":1}})",
                           R"({"segments":{"prefix":"a","declarations":[1]}})"}) {
    auto request = std::make_shared<HttpRequest>();
    const auto kept = std::make_shared<KeptAnswer>();
    Call call;
    call.request = request, call.answer = kept;
    answer_tabby_completion(call, server_.backend, Json::parse(body));
    ASSERT_TRUE(kept->wait());
    EXPECT_EQ(kept->status(), 400) << body;
  }
}

}  // namespace
}  // namespace mneme::serve

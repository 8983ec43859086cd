// What streams tell beside their text: how much of the prompt is read, and times with every piece.
#include <gtest/gtest.h>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

class OpenAiStream : public ::testing::Test, public OpenAiEndpoints {
 protected:
  // The same text for a chat or for a completion, by the path.
  static std::string body(const std::string& path, const std::string& more, const std::string& text = "hi") {
    if (path.ends_with("chat/completions")) return chat(more, text);
    return R"({"model":"m","prompt":")" + text + "\"," + more + "}";
  }
  static std::vector<Json> of(const std::vector<Json>& chunks, const char* field) {
    std::vector<Json> all;
    for (const Json& chunk : chunks)
      if (chunk.contains(field)) all.push_back(chunk[field]);
    return all;
  }
};

struct Reading {
  const char* path;
  size_t found;
};

class OpenAiProgress : public OpenAiStream, public ::testing::WithParamInterface<Reading> {};

TEST_P(OpenAiProgress, FollowsThePrompt) {
  backend->set_found(GetParam().found);
  backend->set_prefill_rows(16);
  const std::string path = GetParam().path;
  const auto progress = of(
      chunks_of(path, body(path, R"("stream":true,"return_progress":true)", std::string(100, 'x'))),
      "prompt_progress");
  const size_t total = backend->requests()[0].prompt.size(), found = GetParam().found;
  ASSERT_EQ(progress.size(), 1 + (total - found + 15) / 16);
  EXPECT_EQ(progress.front()["processed"], found);
  EXPECT_EQ(progress.front()["time_ms"], 0);
  EXPECT_EQ(progress.back()["processed"], total);
  for (size_t i = 0; i < progress.size(); ++i) {
    EXPECT_EQ(progress[i]["total"], total);
    EXPECT_EQ(progress[i]["cache"], found);
    if (i > 0) {
      EXPECT_GT(progress[i]["processed"], progress[i - 1]["processed"]);
      EXPECT_GE(progress[i]["time_ms"], progress[i - 1]["time_ms"]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpenAiProgress,
                         ::testing::Values(Reading{"/v1/chat/completions", 0},
                                           Reading{"/v1/chat/completions", 40}, Reading{"/v1/completions", 0},
                                           Reading{"/v1/completions", 40}));

TEST_F(OpenAiStream, ProgressComesBeforeTheText) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    std::string order;
    for (const Json& chunk : chunks_of(path, body(path, R"("stream":true,"return_progress":true)"))) {
      const Json& choice = chunk["choices"][0];
      const bool text = !choice.value("text", "").empty() ||
                        (choice.contains("delta") && !choice["delta"].value("content", "").empty());
      order += chunk.contains("prompt_progress") ? 'p' : text ? 't' : '.';
    }
    EXPECT_LT(order.rfind('p'), order.find('t')) << path << " " << order;
    EXPECT_NE(order.find('p'), std::string::npos);
  }
}

TEST_F(OpenAiStream, ProgressIsToldWhereItIsAskedFor) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    EXPECT_TRUE(of(chunks_of(path, body(path, R"("stream":true)")), "prompt_progress").empty());
    EXPECT_FALSE(json_of(path, body(path, R"("return_progress":true)")).contains("prompt_progress"));
    EXPECT_EQ(param_of(path, body(path, R"("stream":true,"return_progress":"yes")")), "return_progress");
  }
}

TEST_F(OpenAiStream, EveryChoiceTellsItsOwnProgress) {
  std::vector<size_t> last(2);
  for (const Json& chunk : chunks_of("/v1/chat/completions",
                                     chat(R"("stream":true,"return_progress":true,"n":2)", "a longer text")))
    if (chunk.contains("prompt_progress"))
      last[chunk["choices"][0]["index"].get<size_t>()] = chunk["prompt_progress"]["processed"].get<size_t>();
  const size_t prompt = backend->requests()[0].prompt.size();
  EXPECT_EQ(last, (std::vector<size_t>{prompt, prompt}));
}

TEST_F(OpenAiStream, TimesComeWithEveryPiece) {
  backend->set_found(2);
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    size_t pieces = 0;
    const auto chunks = chunks_of(path, body(path, R"("stream":true,"timings_per_token":true)"));
    const size_t prompt = backend->requests().back().prompt.size();
    for (const Json& chunk : chunks) {
      const Json& choice = chunk["choices"][0];
      EXPECT_TRUE(choice["logprobs"].is_null());
      const std::string text = choice.contains("text") ? choice["text"].get<std::string>()
                                                       : choice["delta"].value("content", "");
      if (text.empty()) continue;
      EXPECT_EQ(chunk["timings"]["predicted_n"], ++pieces);
      EXPECT_EQ(chunk["timings"]["prompt_n"], prompt - 2);
      EXPECT_EQ(chunk["timings"]["cache_n"], 2);
    }
    EXPECT_EQ(pieces, 6u) << path;
    EXPECT_EQ(chunks.back()["timings"]["predicted_n"], 7) << path;
  }
}

TEST_F(OpenAiStream, TheFirstChunkSaysTheRoleAlone) {
  const auto chunks = chunks_of("/v1/chat/completions", chat(R"("stream":true,"timings_per_token":true)"));
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_FALSE(chunks[0].contains("timings"));
  for (size_t i = 1; i < chunks.size(); ++i) {
    EXPECT_FALSE(chunks[i]["choices"][0]["delta"].contains("role"));
    EXPECT_TRUE(chunks[i].contains("timings"));
  }
}

TEST_F(OpenAiStream, ReasoningAndCallsHaveTimesToo) {
  const std::string said = R"(<think>hm</think><tool_call>{"name": "f", "arguments": {}}</tool_call>)";
  backend->set_answer(said);
  const auto chunks = chunks_of("/v1/chat/completions", chat(R"("stream":true,"timings_per_token":true,
      "tools":[{"type":"function","function":{"name":"f"}}])"));
  size_t reasoning = 0, calls = 0, last = 0;
  for (size_t i = 1; i < chunks.size(); ++i) {
    const Json& delta = chunks[i]["choices"][0]["delta"];
    reasoning += delta.contains("reasoning_content") ? 1 : 0;
    calls += delta.contains("tool_calls") ? 1 : 0;
    const auto now = chunks[i]["timings"]["predicted_n"].get<size_t>();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_GT(reasoning, 0u);
  EXPECT_GT(calls, 0u);
  EXPECT_EQ(last, said.size() + 1);  // and the end
}

TEST_F(OpenAiStream, TimesBeginAtNothing) {
  backend->set_prefill_rows(16);
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const auto chunks = chunks_of(
        path,
        body(path, R"("stream":true,"return_progress":true,"timings_per_token":true)", std::string(90, 'y')));
    std::vector<Json> times;
    for (const Json& chunk : chunks)
      if (chunk.contains("prompt_progress")) times.push_back(chunk["timings"]);
    ASSERT_GT(times.size(), 2u);
    for (const char* field : {"prompt_n", "prompt_ms", "predicted_n", "predicted_ms"})
      EXPECT_EQ(times[0][field], 0) << field;
    for (size_t i = 1; i < times.size(); ++i) {
      EXPECT_GT(times[i]["prompt_n"], times[i - 1]["prompt_n"]);
      EXPECT_GE(times[i]["prompt_ms"], times[i - 1]["prompt_ms"]);
    }
  }
}

class OpenAiTimings : public OpenAiStream, public ::testing::WithParamInterface<int> {};

TEST_P(OpenAiTimings, AreFiniteForAnyLength) {
  backend->set_answer("abcdefghijklmnop");
  const int count = GetParam();
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const std::string maximum = "\"max_tokens\":" + std::to_string(count);
    const Json whole = json_of(path, body(path, maximum))["timings"];
    EXPECT_EQ(whole["predicted_n"], count);
    EXPECT_EQ(whole["prompt_n"].get<size_t>(), backend->requests().back().prompt.size());
    auto all = of(chunks_of(path, body(path, maximum + R"(,"stream":true,"timings_per_token":true)")),
                  "timings");
    all.push_back(whole);
    for (const Json& times : all) {
      EXPECT_EQ(times.size(), 9u);
      for (const auto& [name, value] : times.items()) {
        ASSERT_TRUE(value.is_number()) << name << " " << value;  // infinity would be null
        EXPECT_GE(value.get<double>(), 0) << name;
      }
    }
  }
}

// The first token comes with the prompt: it cost no step.
TEST_P(OpenAiTimings, SpeedsLeaveTheFirstTokenOut) {
  backend->set_answer("abcdefghijklmnop");
  const int count = GetParam();
  const Json times = json_of("/v1/completions",
                             R"({"prompt":"x","max_tokens":)" + std::to_string(count) + "}")["timings"];
  EXPECT_NEAR(times["predicted_ms"].get<double>(), count - 1, 1e-9);  // the script's: 1 ms a step
  EXPECT_NEAR(times["predicted_per_second"].get<double>(), count > 1 ? 1000 : 0, 1e-6);
  EXPECT_NEAR(times["predicted_per_token_ms"].get<double>(), count > 1 ? 1 : 0, 1e-9);
  EXPECT_NEAR(times["prompt_per_token_ms"].get<double>(), 1, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(All, OpenAiTimings, ::testing::Values(1, 2, 8));

TEST_F(OpenAiStream, SaysWhatTheWholeAnswerSays) {
  backend->set_answer("Say it: na\xC3\xAFve \xF0\x9F\x98\x80 text.");
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const std::string more = R"("max_tokens":200)";
    const Json whole = json_of(path, body(path, more))["choices"][0];
    std::string text, finish;
    for (const Json& chunk : chunks_of(path, body(path, more + R"(,"stream":true)"))) {
      const Json& choice = chunk["choices"][0];
      text += choice.contains("text") ? choice["text"].get<std::string>()
                                      : choice["delta"].value("content", "");
      if (choice["finish_reason"].is_string()) finish = choice["finish_reason"];
    }
    EXPECT_EQ(text, whole.contains("text") ? whole["text"] : whole["message"]["content"]);
    EXPECT_EQ(finish, whole["finish_reason"]);
  }
}

TEST_F(OpenAiStream, StopTextsAreNotShownWhereverTheyAreCut) {
  for (const char* stop : {"User:\\n", "e.\\nUser", "\\n"}) {
    backend->set_answer("A joke.\nUser:\nmore");
    std::string text;
    const auto chunks = chunks_of(
        "/v1/completions",
        R"({"prompt":"x","max_tokens":99,"stream":true,"stop":[")" + std::string(stop) + R"(","never"]})");
    for (const Json& chunk : chunks) text += chunk["choices"][0]["text"].get<std::string>();
    const std::string told = Json::parse('"' + std::string(stop) + '"').get<std::string>();
    EXPECT_EQ(text, std::string("A joke.\nUser:\n").substr(0, std::string("A joke.\nUser:\n").find(told)));
    EXPECT_EQ(chunks.back()["choices"][0]["finish_reason"], "stop");
  }
}

TEST_F(OpenAiStream, PromptsThatAreTooLongAreAStatusAndNoStream) {
  caller.tokens_max = 20;
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const auto answer = ask(path, body(path, R"("stream":true)", std::string(100, 'z')));
    EXPECT_EQ(answer->status(), 400);
    EXPECT_EQ(answer->content_type(), "application/json");
    const Json error = answer->json()["error"];
    EXPECT_EQ(error["code"], "context_length_exceeded");
    EXPECT_NE(error["message"].get<std::string>().find("20"), std::string::npos) << error;
  }
  EXPECT_TRUE(backend->requests().empty());
}

TEST_F(OpenAiStream, AnAnswerEndsWithItsContext) {
  backend->set_answer(std::string(100, 'a'));
  backend->set_limits({.context_tokens_max = 24});
  for (const char* maximum : {R"("max_tokens":-1)", R"("max_tokens":90)", R"("n_predict":90)"}) {
    const Json json = json_of("/v1/completions",
                              R"({"prompt":"Once","ignore_eos":true,)" + std::string(maximum) + "}");
    EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
    EXPECT_EQ(json["usage"]["completion_tokens"], 20);
    EXPECT_TRUE(backend->requests().back().generate.ignore_end);
  }
  EXPECT_EQ(json_of("/v1/completions", R"({"prompt":"Once","max_tokens":8})")["usage"]["completion_tokens"],
            8);
  EXPECT_FALSE(backend->requests().back().generate.ignore_end);
}

}  // namespace
}  // namespace mneme::serve

// Generation held to a grammar: over a scripted session, with real vocabularies, and with the default model.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/rng.h"
#include "mneme/engine.h"

namespace mneme {
namespace {

constexpr const char* kDefaultModel = MNEME_SOURCE_DIR "/models/mneme-default.gguf";
const std::string kTokenizers = MNEME_SOURCE_DIR "/../shared/tokenizers/";

constexpr const char* kCall = R"({"type": "object", "properties": {
    "name": {"enum": ["book_flight", "cancel_order"]},
    "arguments": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 40},
      "date": {"type": "string", "format": "date"}, "count": {"type": "integer", "minimum": 1, "maximum": 99},
      "urgent": {"type": "boolean"}}, "required": ["city", "count"], "additionalProperties": false}},
    "required": ["name", "arguments"], "additionalProperties": false})";

std::shared_ptr<const grammar::Grammar> grammar_of(const char* schema) {
  auto made = grammar::Grammar::from_schema(schema, {});
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *made;
}

// The mask of every place on random ways through the grammar, against asking for each token by itself.
void check_masks(const Text& text, const grammar::Grammar& grammar, const grammar::Constraint& constraint,
                 uint64_t seed) {
  core::Rng rng(seed);
  grammar::Guide guide = constraint.guide();
  std::string written;
  for (int step = 0; step < 60 && !guide.finished(); ++step) {
    const auto allowed = guide.allowed();
    std::vector<TokenId> tokens;
    for (TokenId token = 0; token < text.vocab_size(); ++token) {
      const bool bit = (allowed[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
      if (bit) tokens.push_back(token);
      if (!bit && rng.next_below(50) != 0) continue;
      grammar::Guide other = guide;
      ASSERT_EQ(other.accept(token), bit) << "token " << token << " after " << written;
    }
    ASSERT_FALSE(tokens.empty()) << "after " << written;
    const TokenId token = tokens[rng.next_below(static_cast<uint32_t>(tokens.size()))];
    ASSERT_TRUE(guide.accept(token));
    if (text.is_end_of_generation(token)) break;
    written += constraint.vocabulary().spelling(token);
  }
  EXPECT_EQ(guide.complete(), grammar.matches(written)) << written;
}

TEST(Constraint, RealVocabularies) {
  std::vector<std::string> files = {kDefaultModel};
  for (const char* name : {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf", "ggml-vocab-qwen2.gguf"}) {
    if (std::filesystem::exists(kTokenizers + name)) files.push_back(kTokenizers + name);
  }
  for (const std::string& file : files) {
    auto text = Text::open(file);
    ASSERT_TRUE(text) << text.error().message;
    const auto vocabulary = (*text)->vocabulary();
    ASSERT_EQ(vocabulary->size(), static_cast<size_t>((*text)->vocab_size()));
    for (const char* schema : {kCall, R"({"type": "object"})"}) {
      const auto grammar = grammar_of(schema);
      const grammar::Constraint constraint(grammar, vocabulary);
      check_masks(**text, *grammar, constraint, 1);
    }
    // What the tokenizer makes of a text passes token by token, and says what the text says.
    const std::string call =
        R"({"name": "book_flight", "arguments": {"city": "Zürich 苏黎世", "count": 12}})";
    const grammar::Constraint constraint(grammar_of(kCall), vocabulary);
    grammar::Guide guide = constraint.guide();
    const auto tokens = (*text)->encode(call, {.add_bos_eos = false, .parse_specials = false});
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i == 0 && vocabulary->spelling(tokens[0]).starts_with(" ")) {  // SentencePiece's leading space
        ASSERT_TRUE(guide.accept_text(vocabulary->spelling(tokens[0]).substr(1)));
        continue;
      }
      ASSERT_TRUE(guide.accept(tokens[i])) << file << ": token " << i << " of " << call;
    }
    EXPECT_TRUE(guide.finished()) << file;
  }
}

class DefaultModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(kDefaultModel)) return;
    auto opened = Engine::open({.model_path = kDefaultModel, .kv_bytes_max = 64 << 20});
    ASSERT_TRUE(opened) << opened.error().message;
    engine = std::move(*opened);
  }
  static void TearDownTestSuite() { engine.reset(); }
  void SetUp() override {
    if (!engine) GTEST_SKIP() << kDefaultModel << " is missing";
  }
  GenerateReport go(const std::string& prompt, const GenerateOptions& options) {
    auto session = engine->new_session();
    EXPECT_TRUE(session->append(engine->text().encode(prompt, {})));
    auto report = generate(*engine, *session, options, {});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(GenerateReport());
  }
  static std::unique_ptr<Engine> engine;
};
std::unique_ptr<Engine> DefaultModel::engine;

TEST_F(DefaultModel, EverySamplingStaysInside) {
  const auto grammar = grammar_of(kCall);
  const auto constraint = std::make_shared<grammar::Constraint>(grammar, engine->text().vocabulary());
  const TokenId brace = engine->text().encode("{", {.add_bos_eos = false}).front();
  std::vector<SamplingOptions> samplings(6);
  samplings[0].temperature = 0;
  samplings[1].temperature = 5;
  samplings[1].top_k = 0, samplings[1].top_p = 1, samplings[1].min_p = 0;
  samplings[2].top_k = 1;
  samplings[3].temperature = 2;
  samplings[3].top_k = 0, samplings[3].top_p = 0.9f;
  samplings[4].repetition_penalty = 3;
  samplings[4].presence_penalty = samplings[4].frequency_penalty = 5, samplings[4].penalty_window = -1;
  samplings[5].logit_bias = {{brace, -50.0f}, {brace + 1, 1000.0f}, {7, 1000.0f}};
  for (size_t i = 0; i < samplings.size(); ++i) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      samplings[i].seed = seed;
      const auto report = go("Book a flight to Oslo for 3.\n",
                             {.tokens_max = 400, .sampling = samplings[i], .constraint = constraint});
      ASSERT_TRUE(report.complete) << i << ": " << report.text;
      EXPECT_EQ(report.reason, StopReason::kEnd);
      EXPECT_TRUE(grammar->matches(report.text)) << i << ": " << report.text;
    }
  }
}

TEST_F(DefaultModel, SaysWhatIsNotComplete) {
  GenerateOptions options;
  options.constraint = std::make_shared<grammar::Constraint>(grammar_of(kCall), engine->text().vocabulary());
  options.tokens_max = 4;
  auto report = go("x", options);
  EXPECT_EQ(report.reason, StopReason::kLength);
  EXPECT_FALSE(report.complete);
  options.tokens_max = 400;
  options.stop = {"arguments"};
  report = go("x", options);
  EXPECT_EQ(report.reason, StopReason::kStopText);
  EXPECT_FALSE(report.complete);
  options.stop = {};
  options.ignore_end = true;  // there is nothing beyond the end
  report = go("x", options);
  EXPECT_EQ(report.reason, StopReason::kEnd);
  EXPECT_TRUE(report.complete);
  options.constraint = nullptr;
  options.tokens_max = 4;
  EXPECT_TRUE(go("x", options).complete);
}

TEST_F(DefaultModel, NothingMayBeDrawn) {
  auto grammar = grammar::Grammar::from_text("root ::= \"{\" \"}\"");
  GenerateOptions options;
  options.constraint = std::make_shared<grammar::Constraint>(*grammar, engine->text().vocabulary());
  for (TokenId token = 0; token < engine->text().vocab_size(); ++token) {
    if (engine->text().vocabulary()->spelling(token).starts_with("}"))
      options.sampling.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
    if (engine->text().vocabulary()->spelling(token) == "{}")
      options.sampling.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
  }
  const auto report = go("x", options);
  EXPECT_EQ(report.reason, StopReason::kNoToken);
  EXPECT_EQ(report.text, "{");
  EXPECT_FALSE(report.complete);
  EXPECT_NE(report.message, "");
}

TEST_F(DefaultModel, RefusesAnotherVocabulary) {
  const std::vector<grammar::TokenSpelling> tokens = {{.bytes = "a"}};
  auto grammar = grammar::Grammar::from_text("root ::= \"a\"");
  GenerateOptions options;
  options.constraint = std::make_shared<grammar::Constraint>(*grammar,
                                                             std::make_shared<grammar::Vocabulary>(tokens));
  auto session = engine->new_session();
  ASSERT_TRUE(session->append(engine->text().encode("x", {})));
  EXPECT_FALSE(generate(*engine, *session, options, {}));
}

}  // namespace
}  // namespace mneme

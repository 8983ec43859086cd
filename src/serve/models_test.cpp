#include "serve/models.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "core/error.h"
#include "serve/backend_for_test.h"

namespace mneme::serve {
namespace {

ModelsOptions options_of(std::vector<ModelSpec> specs) {
  ModelsOptions options;
  options.specs = std::move(specs);
  options.load = [](const ModelSpec& spec) -> Result<std::shared_ptr<Backend>> {
    return std::make_shared<ScriptedBackend>(spec.path);
  };
  return options;
}

// The path of the model that answers to a name.
std::string answers(Models& models, std::string_view name, size_t body_bytes = 0) {
  auto found = models.find(name, body_bytes);
  if (!found) return "?";
  GenerationRequest request;
  request.prompt = {1};
  request.generate.tokens_max = 100;
  class Text final : public GenerationListener {
   public:
    void on_text(std::string_view) override {}
    void on_end(const GenerateReport& report) override { text.set_value(report.text); }
    void on_failure(const Failure&) override { text.set_value("failed"); }
    std::promise<std::string> text;
  };
  auto listener = std::make_shared<Text>();
  (*found)->submit(request, listener);
  return listener->text.get_future().get();
}

TEST(ModelSpec, ReadsNamesPathsAndRoles) {
  const auto expect = [](std::string_view text, const std::string& name, const std::string& path,
                         const std::string& role) {
    const auto spec = parse_model_spec(text);
    ASSERT_TRUE(spec) << text;
    EXPECT_EQ(spec->name, name);
    EXPECT_EQ(spec->path, path);
    EXPECT_EQ(spec->role, role);
  };
  expect("models/qwen.gguf", "qwen", "models/qwen.gguf", "");
  expect("qwen.gguf,lite", "qwen", "qwen.gguf", "lite");
  expect("big=/m/a=b.gguf,large", "big", "/m/a=b.gguf", "large");
  expect("/m/a=b/c.gguf", "c", "/m/a=b/c.gguf", "");
  expect("x=y,other", "x", "y,other", "");
  for (const char* wrong : {"", "=a", "a=", ",lite", "a=,lite"})
    EXPECT_FALSE(parse_model_spec(wrong)) << wrong;
}

TEST(LoadedModels, ChecksWhatItIsGiven) {
  EXPECT_FALSE(LoadedModels::make(options_of({})));
  EXPECT_FALSE(LoadedModels::make(options_of({{"a", "1", ""}, {"a", "2", ""}})));
  EXPECT_FALSE(LoadedModels::make(options_of({{"a", "1", "lite"}, {"b", "2", "lite"}})));
  EXPECT_FALSE(LoadedModels::make(options_of({{"a", "1", "small"}})));
  EXPECT_FALSE(LoadedModels::make(options_of({{"auto", "1", ""}})));
}

TEST(LoadedModels, FindsByNameAndChoosesByLength) {
  auto models = *LoadedModels::make(options_of({{"first", "1", "large"}, {"second", "2", "lite"}}));
  EXPECT_FALSE(models->list()[0].loaded);
  EXPECT_EQ(answers(*models, "first"), "1");
  EXPECT_TRUE(models->list()[0].loaded);
  EXPECT_FALSE(models->list()[1].loaded);
  EXPECT_EQ(answers(*models, "second"), "2");
  EXPECT_EQ(answers(*models, "gpt-5"), "1");
  EXPECT_EQ(answers(*models, ""), "1");
  EXPECT_EQ(answers(*models, "auto", 100), "2");
  EXPECT_EQ(answers(*models, "auto", 1 << 20), "1");
  EXPECT_EQ(models->backends().size(), 2u);
}

TEST(LoadedModels, AutoMakesDoWithTheRolesThereAre) {
  auto plain = *LoadedModels::make(options_of({{"a", "1", ""}, {"b", "2", ""}}));
  EXPECT_EQ(answers(*plain, "auto", 10), "1");
  auto lite = *LoadedModels::make(options_of({{"a", "1", "lite"}, {"b", "2", ""}}));
  EXPECT_EQ(answers(*lite, "auto", 10), "1");
  EXPECT_EQ(answers(*lite, "auto", 1 << 20), "2");
  auto large = *LoadedModels::make(options_of({{"a", "1", ""}, {"b", "2", "large"}}));
  EXPECT_EQ(answers(*large, "auto", 10), "1");
  EXPECT_EQ(answers(*large, "auto", 1 << 20), "2");
  auto one = *LoadedModels::make(options_of({{"a", "1", "lite"}}));
  EXPECT_EQ(answers(*one, "auto", 1 << 20), "1");
}

TEST(LoadedModels, StrictNamesAreErrorsThatNameWhatThereIs) {
  ModelsOptions options = options_of({{"a", "1", ""}, {"b", "2", ""}});
  options.strict_names = true;
  auto models = *LoadedModels::make(std::move(options));
  const auto found = models->find("gpt-5", 0);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, FailureKind::kNoModel);
  EXPECT_NE(found.error().message.find("a, b"), std::string::npos);
  EXPECT_EQ(answers(*models, "b"), "2");
  EXPECT_EQ(answers(*models, ""), "1");
}

TEST(LoadedModels, TwoRequestsLoadOnceAndHoldUpNobody) {
  std::atomic<int> loads = 0;
  std::promise<void> begun, go_on;
  auto may_go_on = go_on.get_future().share();
  ModelsOptions options = options_of({{"slow", "1", ""}, {"quick", "2", ""}});
  options.load = [&](const ModelSpec& spec) -> Result<std::shared_ptr<Backend>> {
    if (spec.name == "slow") {
      ++loads;
      begun.set_value();
      may_go_on.wait();
    }
    return std::make_shared<ScriptedBackend>(spec.path);
  };
  auto models = *LoadedModels::make(std::move(options));
  std::thread one([&] { EXPECT_EQ(answers(*models, "slow"), "1"); });
  begun.get_future().wait();
  std::thread two([&] { EXPECT_EQ(answers(*models, "slow"), "1"); });
  EXPECT_EQ(answers(*models, "quick"), "2") << "while the other loads";
  EXPECT_EQ(models->list().size(), 2u);
  go_on.set_value();
  one.join();
  two.join();
  EXPECT_EQ(loads, 1);
}

TEST(LoadedModels, AFailureIsToldAndTriedAgain) {
  int loads = 0;
  ModelsOptions options = options_of({{"a", "1", ""}});
  options.load = [&](const ModelSpec& spec) -> Result<std::shared_ptr<Backend>> {
    if (++loads == 1) return core::fail("no memory for {}", spec.name);
    return std::make_shared<ScriptedBackend>(spec.path);
  };
  auto models = *LoadedModels::make(std::move(options));
  const auto failed = models->find("a", 0);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, FailureKind::kInternal);
  EXPECT_EQ(failed.error().message, "no memory for a");
  EXPECT_FALSE(models->load("b"));
  EXPECT_TRUE(models->load_all());
  EXPECT_EQ(answers(*models, "a"), "1");
}

}  // namespace
}  // namespace mneme::serve

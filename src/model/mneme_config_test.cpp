// What is wrong with a file of the mneme architecture is said by key or tensor, before anything is computed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "kernels/backends.h"
#include "model/mneme_model_for_test.h"
#include "model/model.h"

namespace mneme::model {
namespace {

using Change = std::function<void(MnemeModelForTest&)>;

MnemeModelForTest with_everything() {
  MnemeOptionsForTest o;
  o.residual = "mhc", o.streams = 4, o.engram_layers = {0, 2}, o.indexer_heads = 2;
  o.look_ahead = 20;
  return random_mneme_model(o, 3);
}

// "" when it loads.
std::string error_of(const MnemeModelForTest& model) {
  const std::string path = fmt::format("{}mneme_config_{}.gguf", testing::TempDir(), ::getpid());
  EXPECT_TRUE(model.write(path));
  auto file = Gguf::open(path);
  EXPECT_TRUE(file) << file.error().message;
  core::ThreadPool pool(1);
  auto loaded = Model::load(*file, kernels::scalar_ops(), pool, {});
  std::remove(path.c_str());
  return loaded ? "" : loaded.error().message;
}

TEST(MnemeConfig, ReadsEveryKey) {
  const MnemeModelForTest model = with_everything();
  const std::string path = fmt::format("{}mneme_keys_{}.gguf", testing::TempDir(), ::getpid());
  ASSERT_TRUE(model.write(path));
  auto file = Gguf::open(path);
  std::remove(path.c_str());
  ASSERT_TRUE(file);
  auto config = read_config(*file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kMneme);
  EXPECT_EQ(config->mneme.windows, (std::vector<int>{64, 0, 64}));
  EXPECT_EQ(config->mneme.residual, ResidualKind::kMhc);
  EXPECT_EQ(config->mneme.streams, 4);
  EXPECT_EQ(config->mneme.engram.layers, (std::vector<int>{0, 2}));
  EXPECT_EQ(config->mneme.engram.primes, model.engram.primes);
  EXPECT_EQ(config->mneme.engram.multipliers, model.engram.multipliers);
  EXPECT_EQ(config->mneme.engram.token_map, model.engram.token_map);
  EXPECT_EQ(config->mneme.indexer.heads, 2);
  EXPECT_FALSE(config->rope.interleaved);
  const kv::KvShape shape = kv_shape(*config);
  EXPECT_EQ(shape.windows, config->mneme.windows);
  EXPECT_EQ(config->mneme.look_ahead, 20);
  EXPECT_EQ(shape.recent_widths, (std::vector<int>{4 * 64, 36, 36})) << "one global layer, two n-gram tables";
  EXPECT_EQ(shape.recent_history, 21);
  EXPECT_EQ(shape.token_bytes(), 4u * 32 * 2) << "one layer keeps every token";
}

TEST(MnemeConfig, NamesTheKeyThatIsWrong) {
  const std::pair<const char*, Change> cases[] = {
      {"attention.sliding_window", [](auto& m) { m.options.window = 0; }},
      {"attention.global_layers", [](auto& m) { m.options.global_layers = {3}; }},
      {"attention.global_layers",
       [](auto& m) {
         m.options.global_layers = {1, 1};
       }},
      {"attention.global_layers",
       [](auto& m) {
         m.options.global_layers = {1, 0xFFFFFFFF};
       }},
      {"attention.look_ahead", [](auto& m) { m.options.look_ahead = 257; }},
      {"attention.log_length_train", [](auto& m) { m.options.log_length_train = 1; }},
      {"residual.kind \"mhx\"", [](auto& m) { m.options.residual = "mhx"; }},
      {"residual.streams is 1", [](auto& m) { m.options.streams = 1; }},
      {"residual.streams is 9", [](auto& m) { m.options.streams = 9; }},
      {"residual.streams is 4", [](auto& m) { m.options.residual = "plain"; }},
      {"rope.dimension_count", [](auto& m) { m.options.rope_dims = 34; }},
      {"attention.indexer.key_length", [](auto& m) { m.options.indexer_key_dim = 1; }},
      {"engram.layers",
       [](auto& m) {
         m.options.engram_layers = {2, 0};
       }},
      {"engram.order_max", [](auto& m) { m.engram.order_max = 5; }},
      {"engram.head_count", [](auto& m) { m.engram.heads = 0; }},
      {"engram.head_width is 33", [](auto& m) { m.engram.head_width = 33; }},
      {"engram.primes has 3", [](auto& m) { m.engram.primes.pop_back(); }},
      {"engram", [](auto& m) { m.engram.primes[1] = 0; }},
      {"engram.multipliers has 7", [](auto& m) { m.engram.multipliers.push_back(1); }},
      {"engram", [](auto& m) { m.engram.multipliers[2] = 4; }},
      {"engram.token_map has 95", [](auto& m) { m.engram.token_map.pop_back(); }},
  };
  for (const auto& [key, change] : cases) {
    MnemeModelForTest model = with_everything();
    change(model);
    const std::string error = error_of(model);
    EXPECT_NE(error.find(key), std::string::npos) << key << ": " << error;
  }
}

// Every tensor that is not optional, left out and with one value more.
TEST(MnemeConfig, NamesTheTensorThatIsWrong) {
  const MnemeModelForTest whole = with_everything();
  EXPECT_EQ(error_of(whole), "");
  for (const auto& [name, tensor] : whole.tensors) {
    MnemeModelForTest model = whole;
    model.tensors.erase(name);
    const bool optional = name.ends_with("sinks") || name.ends_with("_mix");
    EXPECT_EQ(error_of(model).find(name) != std::string::npos, !optional) << name;
    MnemeTensorForTest& wrong = (model = whole).tensors.at(name);
    wrong.dims.back() += 1;
    wrong.bytes.resize(wrong.bytes.size() / (wrong.dims.back() - 1) * wrong.dims.back());
    // The embedding's rows are the vocabulary that the token map must fit.
    const std::string wanted = name == "token_embd.weight" ? "engram.token_map" : name;
    EXPECT_NE(error_of(model).find(wanted), std::string::npos) << name << ": " << error_of(model);
  }
}

}  // namespace
}  // namespace mneme::model

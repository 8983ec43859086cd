// The whole engine against logits that another program computed from the same files (tests/data/golden).
//
// X.logits.f32 is what it computes for tokens.txt; X.dequant.logits.f32 the exact answer for a quantised
// file: the same weights unpacked to f32 first. Rows of [vocab_size] f32, one a token. NMSE = sum (a - b)^2 /
// sum b^2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/nmse_for_test.h"
#include "kernels/select.h"
#include "mneme/engine.h"

namespace mneme {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(MNEME_SOURCE_DIR) / "tests/data/golden";

// 16-bit weights: the other program's own distance between bf16 and f32 is 3.6e-5.
constexpr double kPlainMax = 1e-4;
// Quantised weights by the scalar kernels: exact products, only the keys and values are rounded (to bf16).
constexpr double kExactMax = 1e-5;
// Quantised weights by the fast kernels: activations in 8 bits. The other program's distance is 1.8e-4
// to 3.7e-4.
constexpr double kFastMax = 5e-4;

std::vector<TokenId> read_tokens() {
  std::ifstream file(kGolden / "tokens.txt");
  std::vector<TokenId> tokens;
  for (TokenId token = 0; file >> token;) tokens.push_back(token);
  return tokens;
}

std::vector<float> read_floats(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::string text = bytes.str();
  std::vector<float> values(text.size() / sizeof(float));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  return values;
}

struct Case {
  fs::path model;
  std::string isa;
};

bool is_quantised(const fs::path& model) { return model.stem().string().find("-Q") != std::string::npos; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    if (entry.path().extension() != ".gguf") continue;
    for (const kernels::Ops* ops : kernels::available_ops()) all.push_back({entry.path(), ops->name});
  }
  std::sort(all.begin(), all.end(), [](const Case& a, const Case& b) {
    return std::pair(a.model, a.isa) < std::pair(b.model, b.isa);
  });
  return all;
}

class Golden : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setenv("MNEME_ISA", GetParam().isa.c_str(), 1), 0);
    auto opened =
        Engine::open({.model_path = GetParam().model.string(), .kv_bytes_max = 64 << 20, .threads = 2});
    ASSERT_TRUE(opened) << opened.error().message;
    engine_ = std::move(*opened);
    ASSERT_EQ(engine_->info().isa, GetParam().isa);
  }
  void TearDown() override { ::unsetenv("MNEME_ISA"); }

  void expect_close(bool decode) {
    const bool quantised = is_quantised(GetParam().model);
    fs::path reference = GetParam().model;
    reference.replace_extension(quantised ? ".dequant.logits.f32" : ".logits.f32");
    const std::vector<float> expected = read_floats(reference);
    const std::vector<TokenId> tokens = read_tokens();
    ASSERT_EQ(expected.size(), tokens.size() * static_cast<size_t>(engine_->info().vocab_size)) << reference;

    std::vector<float> got;
    auto session = engine_->new_session();
    auto done = engine_->logits_of(*session, tokens, decode, [&](std::span<const float> row) {
      got.insert(got.end(), row.begin(), row.end());
    });
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_EQ(got.size(), expected.size());
    const double fast_max = quantised ? kFastMax : kPlainMax;
    const double limit = quantised && GetParam().isa == "scalar" ? kExactMax : fast_max;
    const double distance = nmse(got, expected);
    EXPECT_LE(distance, limit);
    RecordProperty(decode ? "nmse_decode" : "nmse_batch", std::to_string(distance));
    std::printf("    %-18s %-7s %-7s NMSE %.2e (limit %.0e)\n", GetParam().model.stem().c_str(),
                GetParam().isa.c_str(), decode ? "decode" : "batch", distance, limit);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_P(Golden, Batch) { expect_close(false); }
TEST_P(Golden, OneTokenAtATime) { expect_close(true); }

INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param.model.stem().string() + "_" + info.param.isa;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(GoldenFiles, AreThere) { EXPECT_GE(cases().size(), 7u); }

}  // namespace
}  // namespace mneme

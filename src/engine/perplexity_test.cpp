// perplexity() over the fixture model, beside the sum over logits written out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mneme/likelihood.h"

namespace mneme {
namespace {

std::string some_text(size_t lines) {
  std::string text;
  for (size_t i = 0; i < lines; ++i)
    text += "Line " + std::to_string(i * 7919) + " of the memory: 记忆, and a word.\n";
  return text;
}

class Perplexity : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Engine::open({.model_path = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf",
                                .kv_bytes_max = 64 << 20,
                                .threads = 2});
    ASSERT_TRUE(opened) << opened.error().message;
    engine_ = std::move(*opened);
    beginning_ = engine_->text().encode("", {});
  }
  std::vector<TokenId> encode(const std::string& text) const {
    return engine_->text().encode(text, {.add_bos_eos = false, .parse_specials = false});
  }
  // -ln p of the window's tokens from `first` on.
  double nll(std::vector<TokenId> window, size_t first) const {
    window.insert(window.begin(), beginning_.begin(), beginning_.end());
    first += beginning_.size();
    const auto session = engine_->new_session();
    double sum = 0;
    size_t at = 0;
    const auto done = engine_->logits_of(*session, window, false, [&](std::span<const float> row) {
      if (++at < first || at == window.size()) return;
      double all = 0;
      for (const float logit : row) all += std::exp(static_cast<double>(logit));
      sum += std::log(all) - static_cast<double>(row[static_cast<size_t>(window[at])]);
    });
    EXPECT_TRUE(done);
    return sum;
  }
  size_t unscored() const { return beginning_.empty() ? 1 : 0; }

  std::unique_ptr<Engine> engine_;
  std::vector<TokenId> beginning_;
};

TEST_F(Perplexity, OneWindowIsTheSumOfItsTokens) {
  const std::string text = some_text(6);
  const auto tokens = encode(text);
  const auto report = perplexity(*engine_, std::vector<PerplexityText>{{"a", text}}, {.context = 2048}, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->model.tokens, tokens.size() - unscored());
  EXPECT_NEAR(report->model.nll, nll(tokens, unscored()), 1e-3 * report->model.nll);
  EXPECT_NEAR(report->model.perplexity(),
              std::exp(report->model.nll / static_cast<double>(report->model.tokens)), 1e-6);
  EXPECT_LE(report->model.bytes, text.size());
  EXPECT_GE(report->model.bytes, text.size() - 8);
  EXPECT_NEAR(report->model.bits_per_byte() * static_cast<double>(report->model.bytes) * std::log(2.0),
              report->model.nll, 1e-6);
  EXPECT_EQ(report->stride, 512u);
  EXPECT_FALSE(report->ngram);
}

TEST_F(Perplexity, WindowsScoreEveryTokenOnce) {
  const std::string text = some_text(12);
  const auto tokens = encode(text);
  for (const auto& [context, stride] : {std::pair<size_t, size_t>{50, 1}, {64, 63}, {64, 32}, {33, 8}}) {
    if (stride + beginning_.size() >= context) continue;
    const size_t window = context - beginning_.size();
    double expected = nll({tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(window)}, unscored());
    for (size_t first = window; first < tokens.size();) {
      const size_t begin = first - stride;
      const size_t end = std::min(begin + window, tokens.size());
      expected += nll(
          {tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(end)},
          stride);
      first = end;
    }
    const auto report = perplexity(*engine_, std::vector<PerplexityText>{{"a", text}},
                                   {.context = context, .stride = stride}, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->model.tokens, tokens.size() - unscored()) << context << " " << stride;
    EXPECT_NEAR(report->model.nll, expected, 1e-3 * expected) << context << " " << stride;
  }
}

TEST_F(Perplexity, TextsAreScoredApartAndBesideAnNgramModel) {
  const std::vector<PerplexityText> texts{{"a", some_text(3)}, {"empty", ""}, {"b", some_text(2)}};
  PerplexityOptions options;
  options.context = 256;
  options.ngram_train = {{"t", some_text(40)}};
  size_t last = 0;
  PerplexityEvents events;
  events.on_work = [&](size_t done, size_t total, const PerplexityScore&) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
  };
  const auto report = perplexity(*engine_, texts, options, events);
  ASSERT_TRUE(report) << report.error().message;
  const size_t count = encode(texts[0].text).size() + encode(texts[2].text).size() - 2 * unscored();
  EXPECT_EQ(report->model.tokens, count);
  EXPECT_EQ(last, count);
  ASSERT_TRUE(report->ngram);
  EXPECT_EQ(report->ngram->tokens, count);
  EXPECT_EQ(report->ngram_train_tokens, encode(options.ngram_train[0].text).size());
  // It has read these very lines; the random model knows nothing.
  EXPECT_LT(report->ngram->perplexity(), 3);
  EXPECT_GT(report->model.perplexity(), 100);
}

TEST_F(Perplexity, RefusesWhatMakesNoSense) {
  const std::vector<PerplexityText> texts{{"a", some_text(3)}};
  EXPECT_FALSE(perplexity(*engine_, {}, {}, {}));
  EXPECT_FALSE(perplexity(*engine_, std::vector<PerplexityText>{{"a", ""}}, {}, {}));
  EXPECT_FALSE(perplexity(*engine_, texts, {.context = 16, .stride = 16}, {}));
  EXPECT_FALSE(perplexity(*engine_, texts, {.context = 16, .stride = 0}, {}));
}

TEST_F(Perplexity, CancelledKeepsWhatWasScored) {
  const std::vector<PerplexityText> texts{{"a", some_text(50)}};
  int windows = 0;
  PerplexityEvents events;
  events.on_work = [&](size_t, size_t, const PerplexityScore&) { ++windows; };
  events.cancelled = [&] { return windows >= 2; };
  const auto report = perplexity(*engine_, texts, {.context = 64, .stride = 16}, events);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->cancelled);
  EXPECT_EQ(windows, 2);
  EXPECT_GT(report->model.tokens, 60u);
  EXPECT_LT(report->model.tokens, 130u);
  EXPECT_GT(report->model.bytes, 60u);
  EXPECT_LT(report->model.bytes, 500u);
}

}  // namespace
}  // namespace mneme

// perplexity(): windows over texts, each token scored once.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/clock.h"
#include "core/error.h"
#include "engine/ngram.h"
#include "mneme/likelihood.h"

namespace mneme {

using core::fail;
using core::pass;
using engine::Ngram;

namespace {

constexpr size_t kContextMax = 2048;  // where none is asked for
constexpr size_t kPieceTokens = 512;  // between two looks at `cancelled`

struct EncodedText {
  std::vector<TokenId> tokens;  // without BOS
  uint64_t bytes = 0;           // of what is scored
};

// -ln softmax(logits)[token].
double nll_of(std::span<const float> logits, TokenId token) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - most));
  return std::log(sum) + static_cast<double>(most) - static_cast<double>(logits[static_cast<size_t>(token)]);
}

// What encode() puts in front where the file asks for it.
std::vector<TokenId> beginning_tokens(const Text& text) {
  const auto with = text.encode("a", {.add_bos_eos = true, .parse_specials = false});
  const auto without = text.encode("a", {.add_bos_eos = false, .parse_specials = false});
  return {with.begin(), std::search(with.begin(), with.end(), without.begin(), without.end())};
}

class Scoring {
 public:
  Scoring(Engine& engine, const PerplexityEvents& events)
      : engine_(&engine), events_(&events), beginning_(beginning_tokens(engine.text())) {}

  Result<void> set_windows(const PerplexityOptions& options);
  Result<void> read(std::span<const PerplexityText> texts);
  Result<void> train_ngram(std::span<const PerplexityText> texts);
  Result<void> score();

  PerplexityReport report;

 private:
  // Index of the first token of a text that something stands in front of.
  size_t first_scored() const { return beginning_.empty() ? 1 : 0; }
  std::vector<TokenId> encode(const std::string& text) const {
    return engine_->text().encode(text, {.add_bos_eos = false, .parse_specials = false});
  }
  bool is_cancelled() {
    report.cancelled = report.cancelled || (events_->cancelled && events_->cancelled());
    return report.cancelled;
  }
  Result<void> score_text(const EncodedText& text);
  Result<void> score_window(const EncodedText& text, size_t begin, size_t first, size_t end);
  Result<void> warm_up(Session& session, std::span<const TokenId> tokens);
  void add(const EncodedText& text, size_t at, std::span<const float> logits);

  Engine* engine_;
  const PerplexityEvents* events_;
  std::vector<TokenId> beginning_;  // of every window
  std::vector<EncodedText> texts_;
  std::optional<Ngram> ngram_;
  size_t total_ = 0;  // tokens to score
};

Result<void> Scoring::set_windows(const PerplexityOptions& options) {
  const int trained = engine_->info().context_length;
  const size_t usual = trained > 0 ? std::min(static_cast<size_t>(trained), kContextMax) : kContextMax;
  report.context = options.context > 0 ? options.context : usual;
  report.stride = options.stride.value_or(report.context / 4);
  if (report.stride < 1 || report.stride + beginning_.size() >= report.context) {
    return fail("a stride of {} does not go with a context of {}: it is 1 at least and less than the context",
                report.stride, report.context);
  }
  return {};
}

Result<void> Scoring::read(std::span<const PerplexityText> texts) {
  for (const PerplexityText& text : texts) {
    EncodedText encoded{encode(text.text), text.text.size()};
    if (encoded.tokens.size() <= first_scored()) continue;
    if (first_scored() > 0) {
      const std::string first = engine_->text().decode(std::span(encoded.tokens).first(1), true);
      encoded.bytes -= std::min<uint64_t>(encoded.bytes, first.size());
    }
    total_ += encoded.tokens.size() - first_scored();
    texts_.push_back(std::move(encoded));
  }
  if (texts_.empty()) return fail("no text to score: two tokens are needed at least");
  return {};
}

Result<void> Scoring::train_ngram(std::span<const PerplexityText> texts) {
  if (texts.empty()) return {};
  std::vector<std::vector<TokenId>> sequences;
  for (const PerplexityText& text : texts) sequences.push_back(encode(text.text));
  auto ngram = Ngram::train(sequences, engine_->text().vocab_size());
  if (!ngram) return pass(ngram);
  report.ngram_train_tokens = ngram->trained_tokens();
  report.ngram = PerplexityScore{};
  ngram_ = std::move(*ngram);
  return {};
}

Result<void> Scoring::score() {
  for (const EncodedText& text : texts_) {
    const size_t before = report.model.tokens;
    auto scored = score_text(text);
    if (!scored) return scored;
    const double share = static_cast<double>(report.model.tokens - before) /
                         static_cast<double>(text.tokens.size() - first_scored());
    report.model.bytes += static_cast<uint64_t>(std::llround(share * static_cast<double>(text.bytes)));
    if (is_cancelled()) break;
  }
  if (report.ngram) report.ngram->tokens = report.model.tokens;
  if (report.ngram) report.ngram->bytes = report.model.bytes;
  return {};
}

Result<void> Scoring::score_text(const EncodedText& text) {
  const size_t count = text.tokens.size();
  const size_t window = report.context - beginning_.size();
  size_t first = first_scored();
  size_t begin = 0;
  while (first < count) {
    const size_t end = std::min(begin + window, count);
    auto scored = score_window(text, begin, first, end);
    if (!scored || is_cancelled()) return scored;
    first = end;
    begin = end - std::min(end, report.stride);
  }
  return {};
}

// Scores [first, end) of the text with [begin, first) and the beginning in front.
Result<void> Scoring::score_window(const EncodedText& text, size_t begin, size_t first, size_t end) {
  const double start_s = core::now_s();
  std::vector<TokenId> window = beginning_;
  window.insert(window.end(), text.tokens.begin() + static_cast<ptrdiff_t>(begin),
                text.tokens.begin() + static_cast<ptrdiff_t>(end));
  const auto session = engine_->new_session();
  size_t at = window.size() - (end - first) - 1;  // in the window: the token in front of the next scored
  auto warm = warm_up(*session, std::span(window).first(at));
  if (!warm) return warm;
  size_t next = first;
  while (next < end && !is_cancelled()) {
    const std::span<const TokenId> piece = std::span<const TokenId>(window).subspan(
        at, std::min(kPieceTokens, end - next));
    auto done = engine_->logits_of(*session, piece, false,
                                   [&](std::span<const float> row) { add(text, next++, row); });
    if (!done) return done;
    at += piece.size();
    if (events_->on_work) events_->on_work(report.model.tokens, total_, report.model);
  }
  report.seconds += core::now_s() - start_s;
  return {};
}

Result<void> Scoring::warm_up(Session& session, std::span<const TokenId> tokens) {
  auto appended = session.append(tokens);
  if (!appended) return appended;
  Session* const sessions[] = {&session};
  while (session.pending() > 0 && !is_cancelled()) {
    auto step = engine_->step(sessions);
    if (!step) return pass(step);
  }
  return {};
}

// `at` indexes the text's tokens.
void Scoring::add(const EncodedText& text, size_t at, std::span<const float> logits) {
  const TokenId token = text.tokens[at];
  report.model.nll += nll_of(logits, token);
  ++report.model.tokens;
  if (ngram_) report.ngram->nll -= std::log(ngram_->probability(std::span(text.tokens).first(at), token));
}

}  // namespace

double PerplexityScore::nll_mean() const { return tokens > 0 ? nll / static_cast<double>(tokens) : 0; }
double PerplexityScore::perplexity() const { return std::exp(nll_mean()); }
double PerplexityScore::bits_per_byte() const {
  return bytes > 0 ? nll / std::numbers::ln2 / static_cast<double>(bytes) : 0;
}

Result<PerplexityReport> perplexity(Engine& engine, std::span<const PerplexityText> texts,
                                    const PerplexityOptions& options, const PerplexityEvents& events) {
  Scoring scoring(engine, events);
  auto windows = scoring.set_windows(options);
  if (!windows) return pass(windows);
  auto read = scoring.read(texts);
  if (!read) return pass(read);
  auto trained = scoring.train_ngram(options.ngram_train);
  if (!trained) return pass(trained);
  auto scored = scoring.score();
  if (!scored) return pass(scored);
  return scoring.report;
}

}  // namespace mneme

#include "engine/divergence.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "engine/statistics.h"

namespace mneme::engine {

using core::fail;
using core::pass;

namespace {

// ln of the sum of exp(logit), against overflow.
double log_sum_exp(std::span<const float> logits) {
  const double most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return most + std::log(sum);
}

size_t likeliest(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// One token's comparison.
struct Step {
  double kl = 0, nll_a = 0, nll_b = 0, nmse = 0;
  bool same_top = false;
};

DivergenceRow row_of(std::span<const Step> steps, uint64_t seed) {
  DivergenceRow row;
  row.tokens = steps.size();
  if (steps.empty()) return row;
  const auto n = static_cast<double>(steps.size());
  std::vector<double> sorted;
  std::vector<Cluster> clusters;
  for (const Step& step : steps) {
    sorted.push_back(step.kl);
    clusters.push_back({step.kl, 1});
    row.kl_mean += step.kl;
    row.nll_a += step.nll_a;
    row.nll_b += step.nll_b;
    row.nmse += step.nmse;
    row.top1_agreement += step.same_top ? 1 : 0;
  }
  for (double* sum : {&row.kl_mean, &row.nll_a, &row.nll_b, &row.nmse, &row.top1_agreement}) *sum /= n;
  std::sort(sorted.begin(), sorted.end());
  row.kl_p99 = quantile(sorted, 0.99);
  row.kl_max = sorted.back();
  const Interval interval = bootstrap_mean(clusters, seed);
  row.kl_mean_low = interval.low;
  row.kl_mean_high = interval.high;
  return row;
}

class Walk {
 public:
  Walk(Predictor& a, Predictor& b, std::span<const TokenId> text, const DivergenceOptions& options,
       const DivergenceEvents& events)
      : a_(&a), b_(&b), text_(text), options_(&options), events_(&events) {
    size_t before = 0;
    for (const size_t depth : options.depths) {
      total_ += 2 * (depth - before + options.tokens);
      before = depth;
    }
  }

  Result<DivergenceReport> run();

 private:
  Result<void> read(Predictor& predictor, size_t depth);
  Result<void> step_through(size_t depth, std::vector<Step>& steps);
  void work(size_t depth, size_t tokens) {
    done_ += tokens;
    if (events_->on_work) events_->on_work(depth, done_, total_);
  }
  bool is_cancelled() {
    report_.cancelled = report_.cancelled || (events_->cancelled && events_->cancelled());
    return report_.cancelled;
  }

  Predictor* a_;
  Predictor* b_;
  std::span<const TokenId> text_;
  const DivergenceOptions* options_;
  const DivergenceEvents* events_;
  DivergenceReport report_;
  size_t done_ = 0, total_ = 0;
};

Result<DivergenceReport> Walk::run() {
  std::vector<Step> all;
  for (const size_t depth : options_->depths) {
    auto read_a = read(*a_, depth);
    if (!read_a) return pass(read_a);
    auto read_b = read(*b_, depth);
    if (!read_b) return pass(read_b);
    std::vector<Step> steps;
    auto stepped = step_through(depth, steps);
    if (!stepped) return pass(stepped);
    all.insert(all.end(), steps.begin(), steps.end());
    if (!steps.empty()) {
      DivergenceRow& row = report_.rows.emplace_back(row_of(steps, options_->seed));
      row.depth = depth;
      if (events_->on_depth) events_->on_depth(row);
    }
    if (is_cancelled()) break;
  }
  report_.rows.push_back(row_of(all, options_->seed));
  return std::move(report_);
}

// What was decoded at the depth before is read again as a prompt: only the depth's own tokens are decoded.
Result<void> Walk::read(Predictor& predictor, size_t depth) {
  size_t held = predictor.tokens_held();
  if (!report_.rows.empty()) held = std::min(held, *report_.rows.back().depth);
  if (held >= depth || is_cancelled()) return {};
  return predictor.prefill(held, text_.first(depth), [&](size_t tokens) {
    work(depth, tokens);
    return !is_cancelled();
  });
}

Result<void> Walk::step_through(size_t depth, std::vector<Step>& steps) {
  for (size_t at = depth; at < depth + options_->tokens && !is_cancelled(); ++at) {
    auto logits_a = a_->decode(text_[at]);
    if (!logits_a) return pass(logits_a);
    const std::vector<float> kept(logits_a->begin(), logits_a->end());  // b may be the same engine
    auto logits_b = b_->decode(text_[at]);
    if (!logits_b) return pass(logits_b);
    const auto next = static_cast<size_t>(text_[at + 1]);
    Step& step = steps.emplace_back();
    step.kl = kl_of(kept, *logits_b);
    step.nmse = nmse_of(kept, *logits_b);
    step.nll_a = log_sum_exp(kept) - static_cast<double>(kept[next]);
    step.nll_b = log_sum_exp(*logits_b) - static_cast<double>((*logits_b)[next]);
    step.same_top = likeliest(kept) == likeliest(*logits_b);
    work(depth, 2);
  }
  return {};
}

class EnginePredictor final : public Predictor {
 public:
  EnginePredictor(Engine& engine, const DivergenceOptions& options)
      : engine_(&engine), options_(&options), session_(engine.new_session()) {}

  size_t tokens_held() const override { return session_->tokens().size(); }
  Result<void> prefill(size_t count, std::span<const TokenId> tokens,
                       const std::function<bool(size_t)>& on_tokens) override {
    const size_t period = options_->fill_period;
    if (!options_->fill || tokens.size() <= period) return read(count, tokens, on_tokens);
    auto filled = read(std::min(count, period), tokens.first(period), [](size_t) { return true; });
    if (filled) filled = session_->repeat_for_bench(period, tokens.size(), *options_->fill);
    if (filled) on_tokens(tokens.size() - count);
    return filled;
  }
  Result<std::span<const float>> decode(TokenId token) override {
    auto appended = session_->append({&token, 1});
    if (!appended) return pass(appended);
    Session* const sessions[] = {session_.get()};
    auto step = engine_->step(sessions);
    if (!step) return pass(step);
    return session_->logits();
  }

 private:
  Result<void> read(size_t count, std::span<const TokenId> tokens,
                    const std::function<bool(size_t)>& on_tokens) {
    session_->truncate(count);
    auto appended = session_->append(tokens.subspan(count));
    if (!appended) return appended;
    Session* const sessions[] = {session_.get()};
    while (session_->pending() > 0) {
      auto step = engine_->step(sessions);
      if (!step) return pass(step);
      if (!on_tokens(*step)) break;
    }
    return {};
  }

  Engine* engine_;
  const DivergenceOptions* options_;
  std::unique_ptr<Session> session_;
};

Result<void> check_options(const DivergenceOptions& options) {
  if (options.depths.empty() || options.tokens == 0) return fail("nothing to measure: no depth or no token");
  for (size_t i = 0; i < options.depths.size(); ++i) {
    const bool ascending = i == 0 || options.depths[i] > options.depths[i - 1];
    if (options.depths[i] == 0 || !ascending) return fail("depths are from 1 on, ascending");
  }
  if (options.fill && (options.fill_period == 0 || options.fill_period % 64 != 0))
    return fail("fill_period is a multiple of 64");
  return {};
}

}  // namespace

double kl_of(std::span<const float> logits_a, std::span<const float> logits_b) {
  const double sum_a = log_sum_exp(logits_a), sum_b = log_sum_exp(logits_b);
  double kl = 0;
  for (size_t i = 0; i < logits_a.size(); ++i) {
    const double log_a = static_cast<double>(logits_a[i]) - sum_a;
    const double log_b = static_cast<double>(logits_b[i]) - sum_b;
    const double a = std::exp(log_a);
    if (a > 0) kl += a * (log_a - log_b);
  }
  return std::max(kl, 0.0);  // rounding alone goes below
}

double nmse_of(std::span<const float> logits_a, std::span<const float> logits_b) {
  const auto n = static_cast<double>(logits_a.size());
  double sum_a = 0, squares_a = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < logits_a.size(); ++i) {
    // From the first ones, so that nothing is lost where all are large.
    const double a = static_cast<double>(logits_a[i]) - static_cast<double>(logits_a[0]);
    const double b = static_cast<double>(logits_b[i]) - static_cast<double>(logits_b[0]);
    sum_a += a, squares_a += a * a;
    sum += b - a, squares += (b - a) * (b - a);
  }
  const double variance = squares_a - sum_a * sum_a / n, error = squares - sum * sum / n;
  return variance > 0 ? std::max(error, 0.0) / variance : 0.0;
}

Result<DivergenceReport> divergence_over(Predictor& a, Predictor& b, std::span<const TokenId> text,
                                         const DivergenceOptions& options, const DivergenceEvents& events) {
  return Walk(a, b, text, options, events).run();
}

}  // namespace mneme::engine

namespace mneme {

Result<DivergenceReport> divergence(Engine& a, Engine& b, const std::string& text,
                                    const DivergenceOptions& options, const DivergenceEvents& events) {
  auto checked = engine::check_options(options);
  if (!checked) return core::pass(checked);
  const EncodeOptions plain{.add_bos_eos = true, .parse_specials = false};
  const std::vector<TokenId> tokens = a.text().encode(text, plain);
  if (a.text().vocab_size() != b.text().vocab_size() || tokens != b.text().encode(text, plain))
    return core::fail("{} and {} have different vocabularies: only models with the same one can be compared",
                      a.info().path, b.info().path);
  const size_t needed = options.depths.back() + options.tokens + 1;
  if (tokens.size() < needed) {
    return core::fail("the text has {} tokens, {} are needed for a depth of {} with {} behind it",
                      tokens.size(), needed, options.depths.back(), options.tokens);
  }
  engine::EnginePredictor first(a, options), second(b, options);
  return engine::divergence_over(first, second, tokens, options, events);
}

}  // namespace mneme

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "core/rng.h"
#include "mneme/sampling.h"

namespace mneme {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Candidate {
  float logit;
  TokenId id;
};

constexpr size_t kChunk = 16;

// The one order of candidates: better logits first, the lower id among equals. Total, so that every sort and
// every selection gives the same answer on every library.
bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// e^x for x <= 0, to about 1e-15; 0 below -700 and for NaN. Own code because libm's last bit differs between
// machines (with and without fused multiply-add), and a draw that lands on a border would then differ too.
double exp_negative(double x) {
  if (!(x >= -700.0)) return 0.0;
  const auto turns = static_cast<int64_t>(x * 1.4426950408889634 - 0.5);  // x / ln 2, rounded to nearest
  const auto k = static_cast<double>(turns);
  const double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;  // |r| <= ln(2) / 2
  // 1 / n! for n = 13 .. 0: the Taylor series, its rest below 2^-52.
  constexpr double kInverse[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  double sum = 0.0;
  for (const double inverse : kInverse) sum = sum * r + inverse;
  return sum * std::bit_cast<double>((1023 + turns) << 52);
}

float drawable(float logit) {
  if (std::isnan(logit)) return kNever;
  return std::min(logit, std::numeric_limits<float>::max());
}

}  // namespace

struct Sampler::State {
  SamplingOptions options;
  core::Rng rng;
  std::span<const float> logits;  // [vocab_size], after bias and penalties
  // Scratch that lives as long as the sampler, so that nothing is allocated a token.
  std::vector<float> adjusted;  // [vocab_size], where bias or penalties change something
  std::vector<float> masked;    // [vocab_size], where only some are allowed
  std::vector<int> counts;      // [vocab_size], zero between calls
  std::vector<TokenId> seen;    // distinct tokens of the window
  std::vector<Candidate> candidates;
  std::vector<double> weights;  // e^(logit - max), of the vocabulary or the candidates

  explicit State(const SamplingOptions& given) : options(given), rng(given.seed) {}

  void adjust(std::span<const float> raw, std::span<const TokenId> history);
  void keep_allowed(std::span<const uint64_t> allowed);
  std::optional<TokenId> choose();
  void penalise(std::span<const TokenId> history);
  void keep_top_k(size_t k);
  void keep_likely_of_top_k();
  void keep_likely_of_all();
  size_t likely_count(double total);
  TokenId draw();
};

Sampler::Sampler(const SamplingOptions& options) : state_(std::make_unique<State>(options)) {}
Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

TokenId Sampler::next(std::span<const float> logits, std::span<const TokenId> history) {
  state_->adjust(logits, history);
  return state_->choose().value_or(0);
}

std::optional<TokenId> Sampler::next_allowed(std::span<const float> logits, std::span<const TokenId> history,
                                             std::span<const uint64_t> allowed) {
  state_->adjust(logits, history);
  state_->keep_allowed(allowed);
  return state_->choose();
}

std::optional<TokenId> Sampler::State::choose() {
  const bool greedy = !(options.temperature > 0.0f);
  if (greedy) {
    keep_top_k(1);
  } else if (options.top_k > 0) {
    keep_top_k(static_cast<size_t>(options.top_k));
    keep_likely_of_top_k();
  } else {
    keep_likely_of_all();
  }
  if (candidates.empty()) return std::nullopt;
  return greedy ? candidates.front().id : draw();
}

// After bias and penalties, so that neither brings back what is not allowed. Words have nearly no bits, or
// nearly all: the fewer are set one by one.
void Sampler::State::keep_allowed(std::span<const uint64_t> allowed) {
  masked.resize(logits.size());
  for (size_t start = 0; start < masked.size(); start += 64) {
    const size_t count = std::min<size_t>(64, masked.size() - start);
    const uint64_t all = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    const uint64_t bits = (start / 64 < allowed.size() ? allowed[start / 64] : 0) & all;
    const float* const from = logits.data() + start;
    float* const row = masked.data() + start;
    if (std::popcount(bits) > 32) {
      std::copy_n(from, count, row);
      for (uint64_t left = ~bits & all; left != 0; left &= left - 1) row[std::countr_zero(left)] = kNever;
    } else {
      std::fill_n(row, count, kNever);
      for (uint64_t left = bits; left != 0; left &= left - 1)
        row[std::countr_zero(left)] = from[std::countr_zero(left)];
    }
  }
  logits = masked;
}

// Bias, then penalties. The logits are copied only where there is something to change.
void Sampler::State::adjust(std::span<const float> raw, std::span<const TokenId> history) {
  const bool penalised = options.repetition_penalty != 1.0f || options.presence_penalty != 0.0f ||
                         options.frequency_penalty != 0.0f;
  logits = raw;
  if (!penalised && options.logit_bias.empty()) return;
  adjusted.assign(raw.begin(), raw.end());
  logits = adjusted;
  for (const auto& [id, bias] : options.logit_bias) {
    if (id < 0 || static_cast<size_t>(id) >= adjusted.size()) continue;
    float& logit = adjusted[static_cast<size_t>(id)];
    logit = drawable(drawable(logit) + bias);
  }
  if (penalised) penalise(history);
}

void Sampler::State::penalise(std::span<const TokenId> history) {
  if (options.penalty_window >= 0 && history.size() > static_cast<size_t>(options.penalty_window)) {
    history = history.last(static_cast<size_t>(options.penalty_window));
  }
  counts.resize(adjusted.size(), 0);
  seen.clear();
  for (const TokenId id : history) {
    if (id < 0 || static_cast<size_t>(id) >= counts.size()) continue;
    if (counts[static_cast<size_t>(id)]++ == 0) seen.push_back(id);
  }
  for (const TokenId id : seen) {
    float& logit = adjusted[static_cast<size_t>(id)];
    int& count = counts[static_cast<size_t>(id)];
    const float scaled = logit > 0.0f ? logit / options.repetition_penalty
                                      : logit * options.repetition_penalty;
    logit = drawable(scaled - options.presence_penalty -
                     options.frequency_penalty * static_cast<float>(count));
    count = 0;
  }
}

// One scan with a threshold that rises: a buffer of some times k collects what beats the worst of the best so
// far and is cut back to k when full. Far cheaper than selecting among all of a vocabulary of 150,000.
void Sampler::State::keep_top_k(size_t k) {
  candidates.clear();
  const size_t full = std::max<size_t>(4 * k, 1024);
  float threshold = kNever;
  const auto cut = [&] {
    if (candidates.size() <= k) return;
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(k) - 1;
    std::nth_element(candidates.begin(), last, candidates.end(), better);
    threshold = last->logit;
    candidates.resize(k);
  };
  for (size_t start = 0; start < logits.size(); start += kChunk) {
    const auto chunk = logits.subspan(start, std::min(kChunk, logits.size() - start));
    // Nearly always nothing: one test without branches for the whole chunk. NaN beats nothing, and equal to
    // the threshold loses: ids rise, and the lower id wins among equals.
    int any = 0;
    for (const float logit : chunk) any |= logit > threshold ? 1 : 0;
    if (any == 0) continue;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (chunk[i] > threshold) candidates.push_back({drawable(chunk[i]), static_cast<TokenId>(start + i)});
    }
    if (candidates.size() >= full) cut();
  }
  cut();
  std::sort(candidates.begin(), candidates.end(), better);
}

// Top-p, then min-p. Both keep the head of the candidates in their order, so the shorter head is what is
// left.
void Sampler::State::keep_likely_of_top_k() {
  if (candidates.empty()) return;
  double total = 0;
  for (const Candidate& c : candidates)
    total += exp_negative(double{c.logit} - double{candidates.front().logit});
  candidates.resize(likely_count(total));
}

// The same over the whole vocabulary. What neither filter can reach is left out before anything is sorted:
// below min_p of the best; or so light that even a whole vocabulary of it fits into the mass that top-p
// drops.
void Sampler::State::keep_likely_of_all() {
  float best = kNever;
  for (const float logit : logits) best = drawable(logit) > best ? drawable(logit) : best;
  weights.resize(logits.size());
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    weights[i] = exp_negative(double{drawable(logits[i])} - double{best});
    total += weights[i];
  }
  constexpr double kSlack = 0.999;  // for the rounding of sums
  const double dropped = std::max(0.0, 1.0 - double{options.top_p}) * total;
  const double least = std::max(double{options.min_p}, kSlack * dropped / static_cast<double>(logits.size()));
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool possible = weights[i] > 0 && weights[i] >= least;
    if (possible) candidates.push_back({drawable(logits[i]), static_cast<TokenId>(i)});
  }
  if (least > 0) candidates.resize(likely_count(total));
}

// Sorts as much of the head as is needed, in pieces that grow, and says how long the head is.
size_t Sampler::State::likely_count(double total) {
  const double mass_wanted = options.top_p >= 1.0f ? std::numeric_limits<double>::infinity()
                                                   : options.top_p * total;
  double mass = 0;
  double best = 0;
  for (size_t sorted = 0, piece = 64; sorted < candidates.size(); piece *= 4) {
    const size_t end = std::min(sorted + piece, candidates.size());
    const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    if (last != candidates.end()) std::nth_element(first, last, candidates.end(), better);
    std::sort(first, last, better);
    if (sorted == 0) best = candidates.front().logit;
    for (; sorted < end; ++sorted) {
      const double weight = exp_negative(candidates[sorted].logit - best);
      const bool enough = sorted > 0 && (mass >= mass_wanted || weight < options.min_p);
      if (enough) return sorted;
      mass += weight;
    }
  }
  return candidates.size();
}

TokenId Sampler::State::draw() {
  const double best = std::min_element(candidates.begin(), candidates.end(), better)->logit;
  weights.clear();
  double total = 0;
  for (const Candidate& c : candidates) {
    weights.push_back(exp_negative((c.logit - best) / options.temperature));
    total += weights.back();
  }
  const uint64_t bits = (uint64_t{rng.next_u32()} << 32 | rng.next_u32()) >> 11;
  double left = static_cast<double>(bits) * 0x1p-53 * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return candidates[i].id;
  }
  // Rounding ate the last step: the last that could have been drawn at all.
  size_t i = weights.size() - 1;
  while (i > 0 && weights[i] == 0) --i;
  return candidates[i].id;
}

}  // namespace mneme

#include "engine/log_probs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mneme::engine {

namespace {

float drawable(float logit) { return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit; }

bool likelier(const LogProbs::Entry& a, const LogProbs::Entry& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

}  // namespace

void LogProbs::read(std::span<const float> logits, int top) {
  float most = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) most = std::max(most, drawable(logit));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(drawable(logit) - most);
  log_sum_ = most + std::log(sum);

  top_.clear();
  const size_t count = std::min(static_cast<size_t>(std::max(top, 0)), logits.size());
  for (size_t i = 0; i < logits.size() && count > 0; ++i) {
    const Entry entry{static_cast<TokenId>(i), drawable(logits[i])};
    if (top_.size() == count) {
      if (!likelier(entry, top_.front())) continue;
      std::pop_heap(top_.begin(), top_.end(), likelier);
      top_.pop_back();
    }
    top_.push_back(entry);
    std::push_heap(top_.begin(), top_.end(), likelier);
  }
  std::sort_heap(top_.begin(), top_.end(), likelier);
  for (Entry& entry : top_) entry.logprob = static_cast<float>(entry.logprob - log_sum_);
}

float LogProbs::of(std::span<const float> logits, TokenId token) const {
  return static_cast<float>(drawable(logits[static_cast<size_t>(token)]) - log_sum_);
}

}  // namespace mneme::engine

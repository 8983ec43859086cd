#include "serve/key_limits.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"
#include "core/error.h"

namespace mneme::serve {
namespace {

void add_headers(Headers& headers, std::string_view what, double left, uint64_t per_minute) {
  const auto rate = static_cast<double>(per_minute);
  headers.emplace_back(fmt::format("x-ratelimit-limit-{}", what), std::to_string(per_minute));
  headers.emplace_back(fmt::format("x-ratelimit-remaining-{}", what),
                       std::to_string(static_cast<int64_t>(std::max(0.0, std::floor(left)))));
  headers.emplace_back(fmt::format("x-ratelimit-reset-{}", what),
                       fmt::format("{:.0f}s", (rate - left) / rate * 60));
}

}  // namespace

RateLimits::RateLimits(std::function<double()> now_s) : now_s_(now_s ? std::move(now_s) : core::now_s) {}

void RateLimits::fill(Bucket& bucket, uint64_t per_minute) const {
  const auto rate = static_cast<double>(per_minute);
  const double now = now_s_();
  if (!bucket.made) bucket = {rate, now, true};
  bucket.left = std::min(rate, bucket.left + (now - bucket.at_s) * rate / 60);
  bucket.at_s = now;
}

RateLimits::Decision RateLimits::take(const Key& key) {
  const std::lock_guard lock(mutex_);
  Use& use = uses_[key.id];
  const uint64_t requests = key.limits.requests_per_minute, tokens = key.limits.tokens_per_minute;
  Decision decision;
  if (requests > 0) {
    fill(use.requests, requests);
    if (use.requests.left < 1) {
      decision.message = fmt::format("Rate limit reached: {} requests a minute", requests);
      decision.retry_after_s = (1 - use.requests.left) * 60 / static_cast<double>(requests);
    }
  }
  if (tokens > 0) {
    fill(use.tokens, tokens);
    if (use.tokens.left <= 0) {
      decision.message = fmt::format("Rate limit reached: {} tokens a minute", tokens);
      decision.retry_after_s = std::max(decision.retry_after_s,
                                        (1 - use.tokens.left) * 60 / static_cast<double>(tokens));
    }
  }
  if (decision.message.empty() && requests > 0) use.requests.left -= 1;
  if (requests > 0) add_headers(decision.headers, "requests", use.requests.left, requests);
  if (tokens > 0) add_headers(decision.headers, "tokens", use.tokens.left, tokens);
  return decision;
}

void RateLimits::spend_tokens(const Key& key, uint64_t tokens) {
  if (key.limits.tokens_per_minute == 0) return;
  const std::lock_guard lock(mutex_);
  Use& use = uses_[key.id];
  fill(use.tokens, key.limits.tokens_per_minute);
  use.tokens.left -= static_cast<double>(tokens);
}

bool RateLimits::enter(const Key& key) {
  const std::lock_guard lock(mutex_);
  Use& use = uses_[key.id];
  if (key.limits.generations_max > 0 && use.running >= key.limits.generations_max) return false;
  ++use.running;
  return true;
}

void RateLimits::leave(const Key& key) {
  const std::lock_guard lock(mutex_);
  Use& use = uses_[key.id];
  if (use.running > 0) --use.running;
}

}  // namespace mneme::serve

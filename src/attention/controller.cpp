#include "attention/controller.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"

namespace mneme::attention {

namespace {

constexpr double kForget = 0.9;       // of sums over audits, each time
constexpr double kGainWeight = 0.25;  // of the newest step
constexpr int kSmooth = 8;            // audits that an average looks back on
// The allowed error is moved within these: no luck of audits gives a layer up, or makes it careless.
constexpr double kScaleLeast = 1.0 / 64, kScaleMost = 1.5;
constexpr double kBad = 4;  // times the target
constexpr int kFineInARow = 2;

double weight_of(int seen) { return 1.0 / std::min(seen + 1, kSmooth); }

}  // namespace

double LayerController::Share::share() const {
  return unit_ > 0 ? std::clamp(std::sqrt(measured_ / unit_), least_, most_) : first_;
}

void LayerController::Share::learn(double measured, double expected) {
  const double now = share(), unit = expected / (now * now);
  if (!(unit > 0) || !std::isfinite(unit) || !std::isfinite(measured)) return;
  if (unit_ == 0) measured_ = unit * first_ * first_, unit_ = unit;  // the first guess counts once
  measured_ = kForget * measured_ + measured;
  unit_ = kForget * unit_ + unit;
}

void LayerController::observe(double residual, double attended, double output) {
  const double gain = std::log(output / (attended * residual));
  if (!std::isfinite(gain)) return;
  log_gain_ += (observed_ ? kGainWeight : 1.0) * (gain - log_gain_);
  observed_ = true;
}

double LayerController::allowed_error() const {
  if (!observed_) return 0;
  const double error = target_ * scale_ / std::exp(log_gain_);
  return error * error;
}

std::optional<int> LayerController::draw_audit(uint64_t position, int layer, bool in_memory) const {
  core::Rng rng(position * 1024 + static_cast<uint64_t>(layer));
  const uint32_t when_dense = in_memory ? rates_.every_dense : rates_.every_dense_far;
  const uint32_t every = dense_ ? when_dense : in_memory ? rates_.every : rates_.every_far;
  if (audits_ < kv_heads_) return (audits_ + layer) % kv_heads_;
  if (rng.next_below(every) != 0) return std::nullopt;
  return static_cast<int>(rng.next_below(static_cast<uint32_t>(kv_heads_)));
}

void LayerController::learn(const AuditReport& audit) {
  estimate_.learn(audit.error_estimated, audit.expected_estimated);
  eight_bit_.learn(audit.error_eight_bit, audit.expected_eight_bit);
  if (audit.log_bias && std::isfinite(*audit.log_bias)) {
    log_bias_ += weight_of(biases_) * (*audit.log_bias - log_bias_);
    ++biases_;
  }
  // The audited head stands for all: the expectation of its square times their number is the layer's.
  const double error = audit.residual_error * std::sqrt(static_cast<double>(kv_heads_));
  const double ratio = error / (target_ * scale_);
  if (std::isfinite(ratio)) {
    ratio_ += weight_of(audits_ + 1) * (ratio * ratio - ratio_);
    // More than the target is only allowed once every head was seen.
    const double most = audits_ < kv_heads_ ? 1 : kScaleMost;
    scale_ = std::clamp(1 / std::sqrt(std::max(ratio_, 1e-12)), kScaleLeast, most);
  }
  ++audits_;
  if (!(error <= kBad * target_)) dense_ = true;
  fine_ = error <= target_ ? fine_ + 1 : 0;
  if (fine_ >= kFineInARow) dense_ = false;
}

}  // namespace mneme::attention

#include "train/options.h"

#include <algorithm>
#include <utility>

namespace mneme::train {

namespace {

constexpr std::pair<const char*, Residual> kResiduals[] = {
    {"plain", Residual::kPlain},
    {"alpha", Residual::kAlpha},
    {"rezero", Residual::kRezero},
    {"layerscale", Residual::kLayerScale},
    {"hc", Residual::kHc},
    {"mhc", Residual::kMhc},
    {"mhc-lite", Residual::kMhcLite},
    {"mhc-identity", Residual::kMhcIdentity},
};

}  // namespace

bool ModelOptions::is_global(int layer) const {
  return std::find(global_layers.begin(), global_layers.end(), layer) != global_layers.end();
}

bool parse_residual(const std::string& name, Residual& out) {
  for (const auto& [known, kind] : kResiduals) {
    if (name == known) return out = kind, true;
  }
  return false;
}

std::string residual_name(Residual kind) {
  for (const auto& [name, known] : kResiduals) {
    if (kind == known) return name;
  }
  return {};
}

double rate_factor(const OptimizerOptions& options, int step, int steps) {
  const double warmup = options.warmup > 0 ? std::min(1.0, (step + 1.0) / options.warmup) : 1.0;
  const double decay_steps = options.decay_share * steps;
  if (decay_steps < 1) return warmup;
  const double left = (steps - step) / decay_steps;  // 1 where the decay begins
  return std::min(warmup, options.final_share + (1 - options.final_share) * std::min(1.0, left));
}

}  // namespace mneme::train

// What sparse attention did in a session, as text and as JSON.
#include <nlohmann/json.hpp>

#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

namespace {

const char* mode_name(AttentionMode mode) {
  switch (mode) {
    case AttentionMode::kExact: return "exact";
    case AttentionMode::kCertified: return "certified";
    case AttentionMode::kAdaptive: return "adaptive";
  }
  return "unknown";
}

nlohmann::ordered_json shares_json(const AttentionShares& s) {
  return {{"steps", s.steps},
          {"steps_dense", s.steps_dense},
          {"tokens", {{"bf16", s.tokens_bf16}, {"8bit", s.tokens_8bit}, {"estimated", s.tokens_estimated}}},
          {"work", {{"bf16", s.work_bf16}, {"8bit", s.work_8bit}, {"2bit", s.work_2bit}}},
          {"bytes_a_step", s.bytes_a_step},
          {"bytes_a_step_exact", s.bytes_a_step_exact},
          {"audits", s.audits},
          {"error", {{"mean", s.error_mean}, {"max", s.error_max}}},
          {"missed_mass", s.missed_mass},
          {"bound", {{"mean", s.bound_mean}, {"max", s.bound_max}}}};
}

std::string audit_text(const AttentionShares& s, double target) {
  return format("; audited error %.4f (max %.4f, target %.4g), missed mass %.3f", s.error_mean, s.error_max,
                target, s.missed_mass);
}

std::string prefill_text(const AttentionReport& report) {
  const AttentionShares& s = report.prefill;
  if (s.steps == 0) return "sparse prefill: no input was long enough";
  std::string text = format("sparse prefill: %.0f %% of tokens in bf16, %.0f %% estimated",
                            s.tokens_bf16 * 100, s.tokens_estimated * 100);
  if (s.steps_dense > 0)
    text += format("; %.0f %% of passes dense",
                   100.0 * static_cast<double>(s.steps_dense) / static_cast<double>(s.steps));
  return text + audit_text(s, report.prefill_target_error);
}

std::string decode_text(const AttentionReport& report) {
  const AttentionShares& s = report.all;
  std::string text = format("%s attention", mode_name(report.mode));
  if (s.steps == 0) return text + ": no step was long enough";
  text += format(": %.0f %% of tokens in bf16, %.0f %% in 8 bits, %.0f %% estimated; %s a token of %s",
                 s.tokens_bf16 * 100, s.tokens_8bit * 100, s.tokens_estimated * 100,
                 bytes_text(static_cast<uint64_t>(s.bytes_a_step)).c_str(),
                 bytes_text(static_cast<uint64_t>(s.bytes_a_step_exact)).c_str());
  if (s.steps_dense > 0)
    text += format("; %.0f %% of steps exact",
                   100.0 * static_cast<double>(s.steps_dense) / static_cast<double>(s.steps));
  if (report.mode == AttentionMode::kCertified)
    return text + format("; error at most %.4f (mean of bounds %.4f)", s.bound_max, s.bound_mean);
  return text + audit_text(s, report.target_error);
}

nlohmann::ordered_json prefill_json(const AttentionReport& report) {
  nlohmann::ordered_json json = {{"target_error", report.prefill_target_error}};
  json.update(shares_json(report.prefill));
  json["layers"] = nlohmann::ordered_json::array();
  for (const AttentionReport::Layer& layer : report.layers) {
    nlohmann::ordered_json one = {{"layer", layer.layer}, {"dense", layer.prefill_dense}};
    one.update(shares_json(layer.prefill));
    json["layers"].push_back(std::move(one));
  }
  return json;
}

}  // namespace

std::string attention_text(const AttentionReport& report) {
  std::string text;
  if (report.prefill_sparse && (report.prefill.steps > 0 || report.mode == AttentionMode::kExact))
    text = prefill_text(report);
  if (report.mode == AttentionMode::kExact) return text;
  return (text.empty() ? text : text + " | ") + decode_text(report);
}

nlohmann::ordered_json attention_json(const AttentionReport& report) {
  nlohmann::ordered_json json = {{"mode", mode_name(report.mode)}};
  if (report.prefill_sparse) json["prefill"] = prefill_json(report);
  if (report.mode == AttentionMode::kExact) return json;
  json["target_error"] = report.target_error;
  json.update(shares_json(report.all));
  json["layers"] = nlohmann::ordered_json::array();
  for (const AttentionReport::Layer& layer : report.layers) {
    nlohmann::ordered_json one = {{"layer", layer.layer}, {"dense", layer.dense}};
    one.update(shares_json(layer.shares));
    json["layers"].push_back(std::move(one));
  }
  return json;
}

}  // namespace mneme::cli

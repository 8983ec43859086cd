#include "cli/report.h"

#include <array>
#include <nlohmann/json.hpp>

#include "cli/terminal.h"
#include "mneme/machine.h"

namespace mneme::cli {

std::string bytes_text(uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return format(unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 1) return format("%.1f ms", seconds * 1e3);
  if (seconds < 60) return format("%.2f s", seconds);
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 3600) return format("%ld:%02ld", whole / 60, whole % 60);
  return format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

double per_second(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

double decode_speed(const GenerateReport& report) {
  return report.generated_tokens > 1 ? per_second(report.generated_tokens - 1, report.decode_s) : 0;
}

std::string summary_text(const Engine& engine, const GenerateReport& report) {
  return format(
      "prefill %zu tokens%s, %.1f tok/s (%s) | decode %zu tokens, %.1f tok/s (%s) | peak memory %s | KV %s",
      report.prompt_tokens,
      report.found_tokens > 0 ? format(" beside %zu found", report.found_tokens).c_str() : "",
      per_second(report.prompt_tokens, report.prefill_s), duration_text(report.prefill_s).c_str(),
      report.generated_tokens, decode_speed(report), duration_text(report.decode_s).c_str(),
      bytes_text(rss_peak_bytes()).c_str(), bytes_text(engine.kv_bytes_used()).c_str());
}

std::string storage_text(const Engine& engine, const Session& session) {
  const TierReport t = engine.tiers();
  if (!t.on) return {};
  std::string text = format(" | found %zu tokens | hot %s, warm %s", session.reused(),
                            bytes_text(t.bytes_hot).c_str(), bytes_text(t.bytes_warm).c_str());
  if (t.bytes_read > 0) {
    const uint64_t looks = t.hits_hot + t.hits_warm + t.hits_ahead + t.misses;
    const double in_time = looks > 0
                               ? 100.0 * static_cast<double>(looks - t.misses) / static_cast<double>(looks)
                               : 100;
    text += format("; read %s (%.0f %% were there in time, waited %s)", bytes_text(t.bytes_read).c_str(),
                   in_time, duration_text(t.stalled_s).c_str());
  }
  return text + format("; wrote %s", bytes_text(t.bytes_written).c_str());
}

nlohmann::ordered_json tiers_json(const Engine& engine) {
  const TierReport t = engine.tiers();
  return {{"bytes", {{"hot", t.bytes_hot}, {"warm", t.bytes_warm}, {"passing", t.bytes_passing}}},
          {"hits", {{"hot", t.hits_hot}, {"warm", t.hits_warm}, {"read_ahead", t.hits_ahead}}},
          {"misses", t.misses},
          {"bytes_read", t.bytes_read},
          {"bytes_written", t.bytes_written},
          {"stalled_s", t.stalled_s},
          {"read_s", t.read_s},
          {"extents_evicted", t.extents_evicted},
          {"segments_sealed", t.segments_sealed},
          {"segments_found", t.segments_found}};
}

nlohmann::ordered_json storage_json(const Engine& engine, const Session& session) {
  nlohmann::ordered_json json = {{"session", session.name()}, {"tokens_found", session.reused()}};
  json.update(tiers_json(engine));
  return json;
}

std::string stop_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEnd: return "end";
    case StopReason::kLength: return "length";
    case StopReason::kStopText: return "stop";
    case StopReason::kCancelled: return "cancelled";
    case StopReason::kFull: return "full";
    case StopReason::kNoToken: return "no token";
  }
  return "unknown";
}

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace mneme::cli

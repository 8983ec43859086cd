#include "serve/meters.h"

#include <algorithm>

#include "core/error.h"

namespace mneme::serve {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void add_family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

// Of a method that nobody uses, so that strangers cannot make up series without end.
std::string_view known_method(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"}) {
    if (method == known) return known;
  }
  return "other";
}

struct Figure {
  const char *name, *type, *help;
  double (*value)(const ModelMeter&);
};
template <auto kMember>
double figure(const ModelMeter& model) {
  return static_cast<double>(model.state.*kMember);
}
template <auto kMember>
double tier_figure(const ModelMeter& model) {
  return static_cast<double>(model.state.tiers.*kMember);
}

using S = BackendState;
using T = TierReport;
constexpr Figure kFigures[] = {
    {"mneme_generations_running", "gauge", "Generations that are computed now.", figure<&S::running>},
    {"mneme_generations_waiting", "gauge", "Generations in the queue.", figure<&S::waiting>},
    {"mneme_generations_total", "counter", "Generations asked for.", figure<&S::requests>},
    {"mneme_generation_failures_total", "counter", "Generations that failed.", figure<&S::failures>},
    {"mneme_generations_cancelled_total", "counter", "Generations that were cancelled.",
     figure<&S::cancelled>},
    {"mneme_prompt_tokens_total", "counter", "Tokens of prompts.", figure<&S::prompt_tokens>},
    {"mneme_prompt_tokens_found_total", "counter", "Tokens of prompts that needed no computing.",
     figure<&S::found_tokens>},
    {"mneme_generated_tokens_total", "counter", "Tokens generated.", figure<&S::generated_tokens>},
    {"mneme_prefill_seconds_total", "counter", "Time spent on prompts.", figure<&S::prefill_s>},
    {"mneme_decode_seconds_total", "counter", "Time spent on generating.", figure<&S::decode_s>},
    {"mneme_kv_bytes", "gauge", "Keys and values in memory.", figure<&S::kv_bytes_used>},
    {"mneme_kv_bytes_max", "gauge", "Memory for keys and values.", figure<&S::kv_bytes_max>},
    {"mneme_sessions", "gauge", "Contexts that are kept.",
     [](const ModelMeter& model) { return static_cast<double>(model.sessions); }},
    {"mneme_tier_hot_bytes", "gauge", "Hot tier.", tier_figure<&T::bytes_hot>},
    {"mneme_tier_warm_bytes", "gauge", "Warm tier.", tier_figure<&T::bytes_warm>},
    {"mneme_tier_passing_bytes", "gauge", "Read from the disk for the pass under way.",
     tier_figure<&T::bytes_passing>},
    {"mneme_tier_hot_hits_total", "counter", "Extents found in the hot tier.", tier_figure<&T::hits_hot>},
    {"mneme_tier_warm_hits_total", "counter", "Extents found in the warm tier.", tier_figure<&T::hits_warm>},
    {"mneme_tier_ahead_hits_total", "counter", "Extents that had been read ahead.",
     tier_figure<&T::hits_ahead>},
    {"mneme_tier_misses_total", "counter", "Extents that were waited for.", tier_figure<&T::misses>},
    {"mneme_tier_read_bytes_total", "counter", "Read from the cold tier.", tier_figure<&T::bytes_read>},
    {"mneme_tier_written_bytes_total", "counter", "Written to the cold tier.",
     tier_figure<&T::bytes_written>},
    {"mneme_tier_stalled_seconds_total", "counter", "Passes waited for the disk.",
     tier_figure<&T::stalled_s>},
    {"mneme_tier_read_seconds_total", "counter", "The disk read.", tier_figure<&T::read_s>},
    {"mneme_tier_evicted_total", "counter", "Extents that left memory.", tier_figure<&T::extents_evicted>},
    {"mneme_tier_segments_sealed_total", "counter", "Segments written.", tier_figure<&T::segments_sealed>},
    {"mneme_tier_segments_found_total", "counter", "Segments found again.", tier_figure<&T::segments_found>},
};

}  // namespace

void Meters::begin() {
  const std::lock_guard lock(mutex_);
  ++running_;
}

void Meters::end(const RequestRecord& record) {
  const std::lock_guard lock(mutex_);
  --running_;
  bytes_ += record.bytes;
  gone_ += record.gone;
  const std::string pattern = record.pattern.empty() ? "unknown" : record.pattern;
  ++requests_[{std::string(known_method(record.method)), pattern, record.status}];
  Latency& latency = latencies_[pattern];
  const auto bound = std::ranges::lower_bound(kBounds, record.seconds);
  ++latency.counts[static_cast<size_t>(bound - kBounds.begin())];
  latency.sum += record.seconds;
}

void Meters::refused(int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{"other", "refused", status}];
}

std::string Meters::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  add_family(out, "mneme_http_requests_total", "counter", "Requests by path and status.");
  for (const auto& [name, count] : requests_)
    out += fmt::format("mneme_http_requests_total{{method=\"{}\",path=\"{}\",status=\"{}\"}} {}\n",
                       name.method, escaped(name.pattern), name.status, count);
  add_family(out, "mneme_http_request_seconds", "histogram", "From a request's arrival to its answer's end.");
  for (const auto& [pattern, latency] : latencies_) {
    const std::string path = escaped(pattern);
    uint64_t count = 0;
    for (size_t i = 0; i <= kBounds.size(); ++i) {
      count += latency.counts[i];
      const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
      out += fmt::format("mneme_http_request_seconds_bucket{{path=\"{}\",le=\"{}\"}} {}\n", path, bound,
                         count);
    }
    out += fmt::format("mneme_http_request_seconds_sum{{path=\"{}\"}} {:.6f}\n", path, latency.sum);
    out += fmt::format("mneme_http_request_seconds_count{{path=\"{}\"}} {}\n", path, count);
  }
  add_family(out, "mneme_http_requests_running", "gauge", "Requests that are answered now.");
  out += fmt::format("mneme_http_requests_running {}\n", running_);
  add_family(out, "mneme_http_answer_bytes_total", "counter", "Bytes of bodies sent.");
  out += fmt::format("mneme_http_answer_bytes_total {}\n", bytes_);
  add_family(out, "mneme_http_clients_gone_total", "counter", "Clients that left before their answer's end.");
  out += fmt::format("mneme_http_clients_gone_total {}\n", gone_);
  return out;
}

std::string metrics_of_models(const std::vector<ModelMeter>& models) {
  std::string out;
  for (const Figure& figure : kFigures) {
    add_family(out, figure.name, figure.type, figure.help);
    for (const ModelMeter& model : models)
      out += fmt::format("{}{{model=\"{}\"}} {:.15g}\n", figure.name, escaped(model.name),
                         figure.value(model));
  }
  return out;
}

}  // namespace mneme::serve

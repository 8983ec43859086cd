// What the server has done so far, as Prometheus reads it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "serve/backend.h"
#include "serve/log.h"

namespace mneme::serve {

// Thread safe.
class Meters {
 public:
  void begin();
  void end(const RequestRecord& record);  // of each begin()
  // A request that never became one.
  void refused(int status);
  // HTTP's part of the text.
  std::string text() const;

 private:
  static constexpr std::array<double, 12> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,    2.5,   10,   60,  600};  // seconds
  struct Latency {
    std::array<uint64_t, kBounds.size() + 1> counts{};
    double sum = 0;
  };
  struct Name {
    std::string method, pattern;
    int status = 0;
    auto operator<=>(const Name&) const = default;
  };

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<Name, uint64_t> requests_;
  std::map<std::string, Latency> latencies_;  // by pattern
  uint64_t bytes_ = 0, gone_ = 0, running_ = 0;
};

// One loaded model as /metrics shows it.
struct ModelMeter {
  std::string name;
  BackendState state;
  size_t sessions = 0;
};
std::string metrics_of_models(const std::vector<ModelMeter>& models);

}  // namespace mneme::serve

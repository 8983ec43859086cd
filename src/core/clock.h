#pragma once

#include <chrono>

namespace mneme::core {

// Monotonic time in seconds from an arbitrary start.
inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace mneme::core

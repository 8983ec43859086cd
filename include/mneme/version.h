#pragma once

namespace mneme {

// As in CMakeLists.txt.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace mneme

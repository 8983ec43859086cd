// Two kinds of wrong. The outside world -> Result<T> and fail("..."). A bug -> MNEME_CHECK, which aborts with
// the values.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "mneme/result.h"

namespace mneme::core {

// The error branch of a Result: `return fail("{}: no such tensor", name);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// Passes an error on unchanged: `if (!x) return pass(x);`
template <class T>
[[nodiscard]] tl::unexpected<Error> pass(Result<T>& result) {
  return tl::unexpected<Error>(std::move(result.error()));
}

[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view values);

}  // namespace mneme::core

#define MNEME_CHECK(condition, ...)                                                               \
  do {                                                                                            \
    if (!(condition)) [[unlikely]] {                                                              \
      ::mneme::core::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    }                                                                                             \
  } while (false)

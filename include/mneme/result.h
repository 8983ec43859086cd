// Errors of the outside world (file, user, network, model file) travel as values: Result<T> holds a T or an
// Error. The message names the thing that is wrong and, where there is one, what to do about it; it is one
// line for a person.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace mneme {

struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

}  // namespace mneme

// How configurations are read: a list of calls, of which the first error is kept.
#pragma once

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/config.h"
#include "model/gguf.h"

namespace mneme::model {

// Larger than any model that fits an ordinary machine, small enough that no product of two overflows.
inline constexpr uint64_t kDimMax = 1 << 20;

// Reads "<architecture>.<key>"; the first error is kept and later reads give defaults, so that the reading
// below stays a list.
class ConfigReader {
 public:
  ConfigReader(const Gguf& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  int number(std::string_view key, uint64_t least, uint64_t most,
             std::optional<int> otherwise = std::nullopt) {
    const std::string full = prefix_ + std::string(key);
    auto value = file_.get_uint(full);
    if (!value) return note(std::move(value.error())), 0;
    if (!value->has_value()) {
      if (otherwise) return *otherwise;
      return note({fmt::format("{}: {} is missing", file_.path(), full)}), 0;
    }
    if (**value < least || **value > most) {
      return note({fmt::format("{}: {} is {}, not in {} .. {}", file_.path(), full, **value, least, most)}),
             0;
    }
    return static_cast<int>(**value);
  }

  float real(std::string_view key, std::optional<float> otherwise = std::nullopt) {
    const std::string full = prefix_ + std::string(key);
    auto value = file_.get_float(full);
    if (!value) return note(std::move(value.error())), 0.0f;
    if (!value->has_value()) {
      if (otherwise) return *otherwise;
      return note({fmt::format("{}: {} is missing", file_.path(), full)}), 0.0f;
    }
    if (!std::isfinite(**value))
      return note({fmt::format("{}: {} is not a number", file_.path(), full)}), 0.0f;
    return static_cast<float>(**value);
  }

  std::string text(std::string_view key) {
    auto value = file_.get_string(prefix_ + std::string(key));
    if (!value) return note(std::move(value.error())), "";
    return std::string(value->value_or(""));
  }

  // A list of unsigned numbers of type T; absent is an error unless `optional`, which gives an empty one.
  template <class T>
  std::vector<T> list(std::string_view key, bool optional = false) {
    constexpr MetaType kType = sizeof(T) == 8 ? MetaType::kU64 : MetaType::kU32;
    const std::string full = prefix_ + std::string(key);
    auto value = file_.get_array(full, kType);
    if (!value) return note(std::move(value.error())), std::vector<T>();
    if (*value == nullptr) {
      if (!optional) note({fmt::format("{}: {} is missing", file_.path(), full)});
      return {};
    }
    std::vector<T> list((*value)->count);
    if (!list.empty()) std::memcpy(list.data(), (*value)->raw.data(), list.size() * sizeof(T));
    return list;
  }

  // `message` begins with the key.
  void require(bool holds, std::string message) {
    if (!holds) note({fmt::format("{}: {}", file_.path(), message)});
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  void note(Error error) {
    if (!error_) error_ = std::move(error);
  }

  const Gguf& file_;
  std::string prefix_;
  std::optional<Error> error_;
};

// The keys that only the mneme architecture has (docs/formats/mneme-gguf.md); the common ones are read.
void read_mneme(ConfigReader& read, Config& config);

}  // namespace mneme::model

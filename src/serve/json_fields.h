// Reading a request's JSON: every field once, with its type and range, and the first thing that is wrong kept
// with the field's name.
//
//   RequestErrors errors;
//   Fields fields(body, "", errors);
//   const double temperature = fields.number("temperature", 0.8, {0, 2});
//   fields.each("messages", [&](const Json& item, const std::string& path) { ... });
//   if (errors.any()) return send_failure(answer, Surface::kOpenAi, errors.failure());
//
// A field that is null counts as absent, as real servers take it; unknown fields are nobody's business.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api.h"

namespace mneme::serve {

class RequestErrors {
 public:
  // Only the first is kept. `message` is a whole sentence.
  void add(std::string field, std::string message);
  // "Invalid type for 'field': expected WHAT, but got a string instead."
  void wrong_type(const std::string& field, std::string_view expected, const Json& got);
  // "Invalid value for 'field': WHAT."
  void wrong_value(const std::string& field, std::string_view what);
  void missing(const std::string& field);
  bool any() const { return failure_.has_value(); }
  const Failure& failure() const { return *failure_; }

 private:
  std::optional<Failure> failure_;
};

struct NumberRange {
  double min = -std::numeric_limits<double>::max(), max = std::numeric_limits<double>::max();
};
struct WholeRange {
  int64_t min = std::numeric_limits<int64_t>::min(), max = std::numeric_limits<int64_t>::max();
};

// The fields of one object; refers to it and to `errors`. Of something that is no object it is an error, and
// all fields are absent.
class Fields {
 public:
  // `path` of the object itself: "" for the whole body, "tools[0].function".
  Fields(const Json& object, std::string path, RequestErrors& errors);

  // Null: absent, or null.
  const Json* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Absent is an error.
  const Json* require(std::string_view key) const;
  std::string path_of(std::string_view key) const;
  RequestErrors& errors() const { return *errors_; }

  std::string text(std::string_view key, std::string otherwise = {}) const;
  std::string required_text(std::string_view key) const;
  bool flag(std::string_view key, bool otherwise) const;
  double number(std::string_view key, double otherwise, NumberRange range = {}) const;
  // 5.0 is whole too.
  int64_t whole(std::string_view key, int64_t otherwise, WholeRange range = {}) const;
  // One of the names; the error lists them.
  std::string one_of(std::string_view key, std::initializer_list<std::string_view> names,
                     std::string_view otherwise) const;
  // A string, or a list of strings.
  std::vector<std::string> texts(std::string_view key, size_t count_max) const;
  // Of a list its items with their paths ("messages[2]"); something else is an error.
  void each(std::string_view key,
            const std::function<void(const Json& item, const std::string& path)>& take) const;
  // Nothing where it is absent; something else than an object is an error.
  std::optional<Fields> object(std::string_view key) const;

 private:
  const Json* object_;  // null: none
  std::string path_;
  RequestErrors* errors_;
};

// "a string", "an integer", ...
std::string_view name_of_type(const Json& value);
// Nothing: not a whole number, or beyond 64 bits.
std::optional<int64_t> whole_number(const Json& value);
// As a person would write it: 0.8, not 0.800000011920929 (a float's value in full).
double short_number(float value);

}  // namespace mneme::serve

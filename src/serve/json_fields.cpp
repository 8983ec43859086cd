#include "serve/json_fields.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "core/error.h"

namespace mneme::serve {

void RequestErrors::add(std::string field, std::string message) {
  if (failure_) return;
  failure_ = Failure{.kind = FailureKind::kInvalid, .message = std::move(message), .param = std::move(field)};
}

void RequestErrors::wrong_type(const std::string& field, std::string_view expected, const Json& got) {
  if (field.empty())
    return add("",
               fmt::format("Invalid request: expected {}, but got {} instead.", expected, name_of_type(got)));
  add(field, fmt::format("Invalid type for '{}': expected {}, but got {} instead.", field, expected,
                         name_of_type(got)));
}

void RequestErrors::wrong_value(const std::string& field, std::string_view what) {
  add(field, fmt::format("Invalid value for '{}': {}.", field, what));
}

void RequestErrors::missing(const std::string& field) {
  add(field, fmt::format("Missing required parameter: '{}'.", field));
}

Fields::Fields(const Json& object, std::string path, RequestErrors& errors)
    : object_(object.is_object() ? &object : nullptr), path_(std::move(path)), errors_(&errors) {
  if (!object_) errors.wrong_type(path_, "an object", object);
}

const Json* Fields::find(std::string_view key) const {
  if (!object_) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const Json* Fields::require(std::string_view key) const {
  const Json* value = find(key);
  if (!value) errors_->missing(path_of(key));
  return value;
}

std::string Fields::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::string Fields::text(std::string_view key, std::string otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (value->is_string()) return value->get<std::string>();
  errors_->wrong_type(path_of(key), "a string", *value);
  return otherwise;
}

std::string Fields::required_text(std::string_view key) const { return require(key) ? text(key) : ""; }

bool Fields::flag(std::string_view key, bool otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  errors_->wrong_type(path_of(key), "a boolean", *value);
  return otherwise;
}

double Fields::number(std::string_view key, double otherwise, NumberRange range) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_number()) {
    errors_->wrong_type(path_of(key), "a number", *value);
    return otherwise;
  }
  const double number = value->get<double>();
  if (std::isfinite(number) && number >= range.min && number <= range.max) return number;
  errors_->wrong_value(path_of(key),
                       fmt::format("{} is not within {} and {}", json_text(*value), range.min, range.max));
  return otherwise;
}

int64_t Fields::whole(std::string_view key, int64_t otherwise, WholeRange range) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  const auto number = whole_number(*value);
  if (!number) {
    errors_->wrong_type(path_of(key), "an integer", *value);
    return otherwise;
  }
  if (*number >= range.min && *number <= range.max) return *number;
  const bool below = *number < range.min;
  errors_->wrong_value(path_of(key),
                       fmt::format("{} is {} than the {}, {}", *number, below ? "less" : "more",
                                   below ? "minimum" : "maximum", below ? range.min : range.max));
  return otherwise;
}

std::string Fields::one_of(std::string_view key, std::initializer_list<std::string_view> names,
                           std::string_view otherwise) const {
  const std::string value = text(key, std::string(otherwise));
  if (value == otherwise || std::find(names.begin(), names.end(), value) != names.end()) return value;
  errors_->wrong_value(path_of(key), fmt::format("'{}' is none of {}", value, fmt::join(names, ", ")));
  return std::string(otherwise);
}

std::vector<std::string> Fields::texts(std::string_view key, size_t count_max) const {
  const Json* value = find(key);
  if (!value) return {};
  if (value->is_string()) return {value->get<std::string>()};
  std::vector<std::string> all;
  if (!value->is_array()) {
    errors_->wrong_type(path_of(key), "a string or a list of strings", *value);
    return all;
  }
  if (value->size() > count_max) {
    errors_->wrong_value(path_of(key), fmt::format("{} texts, at most {}", value->size(), count_max));
    return all;
  }
  each(key, [&](const Json& item, const std::string& path) {
    if (!item.is_string()) return errors_->wrong_type(path, "a string", item);
    all.push_back(item.get<std::string>());
  });
  return all;
}

void Fields::each(std::string_view key,
                  const std::function<void(const Json& item, const std::string& path)>& take) const {
  const Json* value = find(key);
  if (!value) return;
  const std::string path = path_of(key);
  if (!value->is_array()) return errors_->wrong_type(path, "a list", *value);
  for (size_t i = 0; i < value->size(); ++i) take((*value)[i], fmt::format("{}[{}]", path, i));
}

std::optional<Fields> Fields::object(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  Fields fields(*value, path_of(key), *errors_);
  if (!fields.object_) return std::nullopt;
  return fields;
}

std::string_view name_of_type(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return "a string";
    case Json::value_t::boolean: return "a boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return "an integer";
    default: return "a number";
  }
}

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers of a double are themselves up to here
  if (!(number >= -kExact && number <= kExact) || std::floor(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

double short_number(float value) {
  const std::string shortest = fmt::format("{}", value);
  return std::strtod(shortest.c_str(), nullptr);
}

}  // namespace mneme::serve

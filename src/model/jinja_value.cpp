#include "model/jinja_value.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "model/jinja_runtime.h"

namespace mneme::model {
namespace {

constexpr char kMark = '\xff';

// Keys that Python holds equal get the same canonical text. '\xff' never begins UTF-8, so it marks what is
// no string;
// a (broken) string that begins with it is marked as well.
std::string canonical_key(const JinjaValue& key) {
  switch (key.kind()) {
    case JinjaValue::Kind::string: {
      const std::string& text = key.as_string();
      return text.empty() || text[0] != kMark ? text : kMark + ("s" + text);
    }
    case JinjaValue::Kind::none: return std::string(1, kMark) + "none";
    case JinjaValue::Kind::boolean: return kMark + fmt::format("i{}", key.as_bool() ? 1 : 0);
    case JinjaValue::Kind::integer: return kMark + fmt::format("i{}", key.as_int());
    case JinjaValue::Kind::floating: {
      double number = key.as_float();
      if (number == std::floor(number) && std::fabs(number) < 9.0e18) {
        return kMark + fmt::format("i{}", static_cast<int64_t>(number));
      }
      return kMark + fmt::format("f{}", number);
    }
    default: break;
  }
  MNEME_CHECK(false, "key of type {}", key.type_name());
}

}  // namespace

JinjaValue::JinjaValue() = default;
JinjaValue::~JinjaValue() = default;
JinjaValue::JinjaValue(const JinjaValue&) = default;
JinjaValue& JinjaValue::operator=(const JinjaValue&) = default;
JinjaValue::JinjaValue(JinjaValue&&) noexcept = default;
JinjaValue& JinjaValue::operator=(JinjaValue&&) noexcept = default;

JinjaValue JinjaValue::list(std::vector<JinjaValue> items) {
  auto list = std::make_shared<JinjaList>();
  for (const JinjaValue& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  list->items = std::move(items);
  return JinjaValue(std::move(list));
}

JinjaValue JinjaValue::dict(JinjaDict entries) {
  return JinjaValue(std::make_shared<JinjaDict>(std::move(entries)));
}

bool JinjaValue::truthy() const {
  switch (kind()) {
    case Kind::undefined: return false;
    case Kind::none: return false;
    case Kind::boolean: return as_bool();
    case Kind::integer: return as_int() != 0;
    case Kind::floating: return as_float() != 0.0;
    case Kind::string: return !as_string().empty();
    case Kind::list: return !as_list()->items.empty();
    case Kind::dict: return as_dict()->is_namespace || as_dict()->size() != 0;
    case Kind::object: return true;
  }
  return false;
}

int JinjaValue::depth() const {
  if (is_list()) return as_list()->depth;
  if (is_dict()) return as_dict()->depth;
  if (is_object()) return as_object()->depth();
  return 0;
}

std::string_view JinjaValue::type_name() const {
  switch (kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::floating: return "float";
    case Kind::string: return "str";
    case Kind::list: return as_list()->tuple ? "tuple" : "list";
    case Kind::dict: return as_dict()->is_namespace ? "Namespace" : "dict";
    case Kind::object: return as_object()->type_name();
  }
  return "";
}

bool JinjaDict::hashable(const JinjaValue& key) {
  return key.is_string() || key.is_number() || key.is_none();
}

const JinjaValue* JinjaDict::find_or_null(const JinjaValue& key) const {
  if (key.is_string()) return find_or_null(std::string_view(key.as_string()));
  if (!hashable(key)) return nullptr;
  auto found = index_.find(canonical_key(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const JinjaValue* JinjaDict::find_or_null(std::string_view key) const {
  auto found = key.starts_with(kMark) ? index_.find(canonical_key(JinjaValue(key))) : index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void JinjaDict::set(const JinjaValue& key, JinjaValue value) {
  depth = std::max(depth, value.depth() + 1);
  auto [place, inserted] = index_.try_emplace(canonical_key(key), entries_.size());
  if (inserted) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

void JinjaDict::erase(const JinjaValue& key) {
  auto found = index_.find(canonical_key(key));
  if (found == index_.end()) return;
  size_t gone = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(gone));
  for (auto& [text, place] : index_) {
    if (place > gone) --place;
  }
}

void JinjaDict::clear() {
  std::vector<Entry> released = std::move(entries_);  // first detached: freeing a value may come back to this
                                                      // dict
  entries_.clear();
  index_.clear();
}

}  // namespace mneme::model

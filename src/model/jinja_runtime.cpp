#include "model/jinja_runtime.h"

#include <algorithm>

namespace mneme::model {

using core::fail;
using core::pass;

Result<JinjaValue> JinjaObject::call(jinja::Runtime&, const jinja::Arguments&) {
  return fail("'{}' object is not callable", type_name());
}

namespace jinja {

const JinjaValue* Arguments::find_keyword_or_null(std::string_view name) const {
  for (const auto& [key, value] : keyword) {
    if (key == name) return &value;
  }
  return nullptr;
}

Result<std::vector<JinjaValue>> Arguments::bind(std::string_view function,
                                                std::initializer_list<std::string_view> names) const {
  if (positional.size() > names.size()) {
    return fail("{} takes at most {} arguments, {} given", function, names.size(), positional.size());
  }
  std::vector<JinjaValue> bound(positional);
  bound.resize(names.size());
  for (const auto& [key, value] : keyword) {
    auto place = static_cast<size_t>(std::find(names.begin(), names.end(), key) - names.begin());
    if (place == names.size()) return fail("{} has no argument named '{}'", function, key);
    if (place < positional.size()) return fail("{}: argument '{}' is given twice", function, key);
    bound[place] = value;
  }
  return bound;
}

Runtime::~Runtime() {
  // Emptied while all are still held, so that freeing one never reaches through another.
  for (const JinjaValue& container : changed_) {
    if (container.is_list()) container.as_list()->items.clear();
    if (container.is_dict()) container.as_dict()->clear();
  }
  for (auto& [scope, clear] : scopes_) clear(scope.get());
}

Result<void> Runtime::charge_steps(uint64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps_max) return fail("the template takes more than {} steps", limits_.steps_max);
  return {};
}

Result<void> Runtime::charge_bytes(size_t bytes) {
  if (bytes > limits_.allocated_bytes_max - std::min(bytes_, limits_.allocated_bytes_max)) {
    return fail("the template needs more than {} bytes of memory", limits_.allocated_bytes_max);
  }
  bytes_ += bytes;
  return {};
}

Result<JinjaValue> Runtime::make_string(std::string text) {
  if (auto charged = charge_bytes(text.size() + sizeof(std::string)); !charged) return pass(charged);
  if (auto charged = charge_scan(text.size()); !charged) return pass(charged);
  return JinjaValue(std::move(text));
}

Result<JinjaValue> Runtime::make_list(std::vector<JinjaValue> items, bool tuple) {
  if (auto charged = charge_bytes(sizeof(JinjaList) + items.size() * sizeof(JinjaValue)); !charged)
    return pass(charged);
  if (auto charged = charge_steps(1 + items.size() / 8); !charged) return pass(charged);
  JinjaValue list = JinjaValue::list(std::move(items));
  if (list.depth() > kJinjaValueDepthMax) return fail("a list is nested deeper than {}", kJinjaValueDepthMax);
  list.as_list()->tuple = tuple;
  list.as_list()->frozen = false;
  return list;
}

Result<JinjaValue> Runtime::make_dict(JinjaDict entries) {
  constexpr size_t kEntryBytes = sizeof(JinjaDict::Entry) + 64;  // with its share of the index
  if (auto charged = charge_bytes(sizeof(JinjaDict) + entries.size() * kEntryBytes); !charged)
    return pass(charged);
  if (entries.depth > kJinjaValueDepthMax)
    return fail("a dict is nested deeper than {}", kJinjaValueDepthMax);
  entries.frozen = false;
  return JinjaValue::dict(std::move(entries));
}

void Runtime::keep_changed(const JinjaValue& container) {
  bool& kept = container.is_list() ? container.as_list()->kept : container.as_dict()->kept;
  if (kept) return;
  kept = true;
  changed_.push_back(container);
}

void Runtime::keep_changed(std::shared_ptr<void> scope, void (*clear)(void*)) {
  scopes_.emplace_back(std::move(scope), clear);
}

}  // namespace jinja
}  // namespace mneme::model

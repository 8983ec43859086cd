#include <algorithm>

#include "model/jinja_methods.h"
#include "model/jinja_operators.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

// Templates run in Jinja's immutable sandbox at Hugging Face and change nothing; here they may change what
// they made themselves.
Result<void> check_changeable(bool frozen) {
  if (frozen) return fail("the template changes a value it was given, which is read-only");
  return {};
}

Result<JinjaValue> append_item(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("append", {"object"});
  if (!bound) return pass(bound);
  if (auto changeable = check_changeable(self.as_list()->frozen); !changeable) return pass(changeable);
  if (auto charged = runtime.charge_bytes(2 * sizeof(JinjaValue)); !charged) return pass(charged);
  if ((*bound)[0].depth() >= kJinjaValueDepthMax)
    return fail("a list is nested deeper than {}", kJinjaValueDepthMax);
  runtime.keep_changed(self);
  self.as_list()->items.push_back((*bound)[0]);
  return JinjaValue::none();
}

Result<JinjaValue> extend_items(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("extend", {"iterable"});
  if (!bound) return pass(bound);
  if (auto changeable = check_changeable(self.as_list()->frozen); !changeable) return pass(changeable);
  auto items = items_of(runtime, (*bound)[0]);
  if (!items) return pass(items);
  runtime.keep_changed(self);
  self.as_list()->items.insert(self.as_list()->items.end(), items->begin(), items->end());
  return JinjaValue::none();
}

Result<int64_t> place_in(const std::vector<JinjaValue>& items, const JinjaValue& index, int64_t fallback) {
  if (index.is_undefined()) return fallback;
  if (!is_integral(index)) return fail("a list's index is an integer, not '{}'", index.type_name());
  int64_t place = integer_of(index);
  return place < 0 ? place + static_cast<int64_t>(items.size()) : place;
}

Result<JinjaValue> insert_item(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("insert", {"index", "object"});
  if (!bound) return pass(bound);
  if (auto changeable = check_changeable(self.as_list()->frozen); !changeable) return pass(changeable);
  std::vector<JinjaValue>& items = self.as_list()->items;
  auto place = place_in(items, (*bound)[0], 0);
  if (!place) return pass(place);
  if (auto charged = runtime.charge_bytes(2 * sizeof(JinjaValue)); !charged) return pass(charged);
  if (auto charged = runtime.charge_steps(items.size() / 8); !charged) return pass(charged);
  if ((*bound)[1].depth() >= kJinjaValueDepthMax)
    return fail("a list is nested deeper than {}", kJinjaValueDepthMax);
  runtime.keep_changed(self);
  auto size = static_cast<int64_t>(items.size());
  items.insert(items.begin() + std::clamp<int64_t>(*place, 0, size), (*bound)[1]);
  return JinjaValue::none();
}

Result<JinjaValue> pop_item(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("pop", {"index"});
  if (!bound) return pass(bound);
  if (auto changeable = check_changeable(self.as_list()->frozen); !changeable) return pass(changeable);
  std::vector<JinjaValue>& items = self.as_list()->items;
  auto place = place_in(items, (*bound)[0], static_cast<int64_t>(items.size()) - 1);
  if (!place) return pass(place);
  if (*place < 0 || *place >= static_cast<int64_t>(items.size())) return fail("pop: index out of range");
  if (auto charged = runtime.charge_steps(1 + items.size() / 8); !charged) return pass(charged);
  JinjaValue popped = items[static_cast<size_t>(*place)];
  items.erase(items.begin() + *place);
  return popped;
}

Result<JinjaValue> index_of_item(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("index", {"value"});
  if (!bound) return pass(bound);
  const std::vector<JinjaValue>& items = self.as_list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    auto same = equals(runtime, items[i], (*bound)[0]);
    if (!same) return pass(same);
    if (*same) return JinjaValue(static_cast<int64_t>(i));
  }
  return fail("index: the value is not in the list");
}

Result<JinjaValue> count_items(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("count", {"value"});
  if (!bound) return pass(bound);
  int64_t count = 0;
  for (const JinjaValue& item : self.as_list()->items) {
    auto same = equals(runtime, item, (*bound)[0]);
    if (!same) return pass(same);
    count += *same ? 1 : 0;
  }
  return JinjaValue(count);
}

Result<JinjaValue> reverse_items(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  if (!arguments.empty()) return fail("reverse takes no arguments");
  if (auto changeable = check_changeable(self.as_list()->frozen); !changeable) return pass(changeable);
  std::vector<JinjaValue>& items = self.as_list()->items;
  if (auto charged = runtime.charge_steps(items.size() / 8); !charged) return pass(charged);
  std::reverse(items.begin(), items.end());
  return JinjaValue::none();
}

Result<JinjaValue> copy_list(Runtime& runtime, const JinjaValue& self, const Arguments&) {
  return runtime.make_list(self.as_list()->items);
}

enum class Part { keys, values, items };
template <Part kPart>
Result<JinjaValue> parts_of_dict(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  if (!arguments.empty()) return fail("keys, values and items take no arguments");
  std::vector<JinjaValue> parts;
  for (const auto& [key, value] : self.as_dict()->entries()) {
    if constexpr (kPart == Part::items) {
      auto pair = runtime.make_tuple({key, value});
      if (!pair) return pair;
      parts.push_back(std::move(*pair));
    } else {
      parts.push_back(kPart == Part::keys ? key : value);
    }
  }
  return runtime.make_list(std::move(parts));
}

Result<JinjaValue> get_entry(Runtime&, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("get", {"key", "default"});
  if (!bound) return pass(bound);
  if (const JinjaValue* found = self.as_dict()->find_or_null((*bound)[0])) return *found;
  bool has_default = arguments.positional.size() > 1 || arguments.find_keyword_or_null("default") != nullptr;
  return has_default ? (*bound)[1] : JinjaValue::none();
}

Result<void> set_entry(Runtime& runtime, const JinjaValue& self, const JinjaValue& key,
                       const JinjaValue& value) {
  if (auto changeable = check_changeable(self.as_dict()->frozen); !changeable) return changeable;
  if (!JinjaDict::hashable(key)) return fail("a '{}' cannot be the key of a dict", key.type_name());
  if (auto charged = runtime.charge_bytes(sizeof(JinjaDict::Entry) + 64); !charged) return charged;
  if (value.depth() >= kJinjaValueDepthMax)
    return fail("a dict is nested deeper than {}", kJinjaValueDepthMax);
  runtime.keep_changed(self);
  self.as_dict()->set(key, value);
  return {};
}

Result<JinjaValue> update_entries(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  JinjaDict changes;
  if (arguments.positional.size() > 1) return fail("update takes one dict");
  if (!arguments.positional.empty()) {
    if (!arguments.positional[0].is_dict())
      return fail("update needs a dict, not '{}'", arguments.positional[0].type_name());
    changes = *arguments.positional[0].as_dict();
  }
  for (const auto& [key, value] : arguments.keyword) changes.set(key, value);
  for (const auto& [key, value] : changes.entries()) {
    if (auto done = set_entry(runtime, self, key, value); !done) return pass(done);
  }
  return JinjaValue::none();
}

Result<JinjaValue> setdefault_entry(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("setdefault", {"key", "default"});
  if (!bound) return pass(bound);
  if (const JinjaValue* found = self.as_dict()->find_or_null((*bound)[0])) return *found;
  JinjaValue value = (*bound)[1].is_undefined() ? JinjaValue::none() : (*bound)[1];
  if (auto done = set_entry(runtime, self, (*bound)[0], value); !done) return pass(done);
  return value;
}

Result<JinjaValue> pop_entry(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("pop", {"key", "default"});
  if (!bound) return pass(bound);
  if (auto changeable = check_changeable(self.as_dict()->frozen); !changeable) return pass(changeable);
  const JinjaValue* found = self.as_dict()->find_or_null((*bound)[0]);
  if (found == nullptr && (*bound)[1].is_undefined()) return fail("pop: the dict has no such key");
  if (found == nullptr) return (*bound)[1];
  JinjaValue value = *found;
  if (auto charged = runtime.charge_steps(self.as_dict()->size()); !charged) return pass(charged);
  self.as_dict()->erase((*bound)[0]);
  return value;
}

Result<JinjaValue> copy_dict(Runtime& runtime, const JinjaValue& self, const Arguments&) {
  JinjaDict copy = *self.as_dict();
  copy.kept = false;
  return runtime.make_dict(std::move(copy));
}

constexpr std::pair<std::string_view, Method> kListMethods[] = {
    {"append", append_item}, {"extend", extend_items}, {"insert", insert_item},   {"pop", pop_item},
    {"index", index_of_item}, {"count", count_items},  {"reverse", reverse_items}, {"copy", copy_list},
};
constexpr std::pair<std::string_view, Method> kDictMethods[] = {
    {"keys", parts_of_dict<Part::keys>}, {"values", parts_of_dict<Part::values>},
    {"items", parts_of_dict<Part::items>}, {"get", get_entry},
    {"update", update_entries}, {"setdefault", setdefault_entry},
    {"pop", pop_entry}, {"copy", copy_dict},
};

}  // namespace

Method find_container_method_or_null(const JinjaValue& self, std::string_view name) {
  if (self.is_list() && (!self.as_list()->tuple || name == "index" || name == "count")) {
    for (const auto& [known, method] : kListMethods) {
      if (known == name) return method;
    }
  }
  if (self.is_dict() && !self.as_dict()->is_namespace) {
    for (const auto& [known, method] : kDictMethods) {
      if (known == name) return method;
    }
  }
  return nullptr;
}

}  // namespace mneme::model::jinja

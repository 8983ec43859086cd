#include <algorithm>
#include <charconv>

#include "model/jinja_methods.h"
#include "model/jinja_operators.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

class BoundMethod : public JinjaObject {
 public:
  BoundMethod(JinjaValue self, Method method) : self_(std::move(self)), method_(method) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  int depth() const override { return self_.depth() + 1; }
  bool callable() const override { return true; }
  Result<JinjaValue> call(Runtime& runtime, const Arguments& arguments) override {
    return method_(runtime, self_, arguments);
  }

 private:
  JinjaValue self_;
  Method method_;
};

JinjaValue bound_method(const JinjaValue& self, std::string_view name) {
  Method method = self.is_string() ? find_string_method_or_null(name)
                                   : find_container_method_or_null(self, name);
  if (method == nullptr) return {};
  return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<BoundMethod>(self, method)));
}

const JinjaValue* entry_or_null(const JinjaValue& value, const JinjaValue& key) {
  return value.is_dict() ? value.as_dict()->find_or_null(key) : nullptr;
}

Result<JinjaValue> character_at(Runtime& runtime, const std::string& text, int64_t index) {
  if (auto charged = runtime.charge_scan(text.size()); !charged) return pass(charged);
  if (index < 0) index += character_count(text);
  if (index < 0) return JinjaValue();
  size_t position = byte_position(text, index);
  if (position >= text.size()) return JinjaValue();
  return runtime.make_string(std::string(first_character(std::string_view(text).substr(position)).bytes));
}

struct SliceRange {
  int64_t start, stop, step;
};

// Python's slice.indices(size).
Result<SliceRange> resolve_slice(const JinjaValue& start, const JinjaValue& stop, const JinjaValue& step,
                                 int64_t size) {
  auto given = [](const JinjaValue& part) { return !part.is_undefined() && !part.is_none(); };
  for (const JinjaValue* part : {&start, &stop, &step}) {
    if (given(*part) && !is_integral(*part)) return SliceRange{0, 0, 1};
  }
  SliceRange range{0, 0, given(step) ? integer_of(step) : 1};
  if (range.step == 0) return fail("the step of a slice is zero");
  bool backward = range.step < 0;
  int64_t least = backward ? -1 : 0;
  int64_t most = backward ? size - 1 : size;
  auto resolve = [&](const JinjaValue& part, int64_t fallback) {
    if (!given(part)) return fallback;
    int64_t index = integer_of(part);
    if (index < 0) return std::max(index + size, least);
    return std::min(index, most);
  };
  range.start = resolve(start, backward ? most : least);
  range.stop = resolve(stop, backward ? least : most);
  return range;
}

template <class Visit>
void for_each_index(SliceRange range, int64_t size, Visit visit) {
  // The step is cut to what still leaves the sequence, so that adding it never overflows.
  int64_t step = std::clamp(range.step, -(size + 1), size + 1);
  for (int64_t i = range.start; step > 0 ? i < range.stop : i > range.stop; i += step)
    visit(static_cast<size_t>(i));
}

Result<JinjaValue> slice_text(Runtime& runtime, const std::string& text, const JinjaValue& start,
                              const JinjaValue& stop, const JinjaValue& step) {
  if (auto charged = runtime.charge_scan(text.size() * 2); !charged) return pass(charged);
  int64_t size = character_count(text);
  auto range = resolve_slice(start, stop, step, size);
  if (!range) return pass(range);
  if (range->step == 1) {
    size_t begin = byte_position(text, range->start);
    size_t end = byte_position(text, std::max(range->stop, range->start));
    return runtime.make_string(text.substr(begin, end - begin));
  }
  if (auto charged = runtime.charge_bytes(text.size() * sizeof(std::string_view)); !charged)
    return pass(charged);
  std::vector<std::string_view> characters = characters_of(text);
  std::string out;
  for_each_index(*range, size, [&](size_t i) { out += characters[i]; });
  return runtime.make_string(std::move(out));
}

}  // namespace

JinjaValue attribute_of(const JinjaValue& value, std::string_view name) {
  if (value.is_object()) return value.as_object()->attribute(name);
  bool is_namespace = value.is_dict() && value.as_dict()->is_namespace;
  if (!is_namespace) {
    if (JinjaValue method = bound_method(value, name); !method.is_undefined()) return method;
  }
  const JinjaValue* entry = entry_or_null(value, JinjaValue(name));
  return entry != nullptr ? *entry : JinjaValue();
}

Result<JinjaValue> item_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& index) {
  if (const JinjaValue* entry = entry_or_null(value, index)) return *entry;
  if (is_integral(index) && value.is_string())
    return character_at(runtime, value.as_string(), integer_of(index));
  if (is_integral(index) && value.is_list()) {
    const std::vector<JinjaValue>& items = value.as_list()->items;
    int64_t place = integer_of(index);
    if (place < 0) place += static_cast<int64_t>(items.size());
    if (place < 0 || place >= static_cast<int64_t>(items.size())) return JinjaValue();
    return items[static_cast<size_t>(place)];
  }
  if (index.is_string()) return attribute_of(value, index.as_string());
  return JinjaValue();
}

Result<JinjaValue> slice_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& start,
                            const JinjaValue& stop, const JinjaValue& step) {
  if (value.is_string()) return slice_text(runtime, value.as_string(), start, stop, step);
  if (!value.is_list()) return JinjaValue();
  const std::vector<JinjaValue>& items = value.as_list()->items;
  auto size = static_cast<int64_t>(items.size());
  auto range = resolve_slice(start, stop, step, size);
  if (!range) return pass(range);
  std::vector<JinjaValue> chosen;
  for_each_index(*range, size, [&](size_t i) { chosen.push_back(items[i]); });
  return runtime.make_list(std::move(chosen), value.as_list()->tuple);
}

Result<JinjaValue> path_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& path,
                           const JinjaValue& fallback) {
  std::vector<JinjaValue> parts;
  if (path.is_string()) {
    for (std::string_view part : split(path.as_string(), ".", -1)) {
      int64_t index = 0;
      auto read = std::from_chars(part.data(), part.data() + part.size(), index);
      bool is_index = !part.empty() && read.ec == std::errc() && read.ptr == part.data() + part.size();
      parts.push_back(is_index ? JinjaValue(index) : JinjaValue(part));
    }
  } else {
    parts.push_back(path);
  }
  JinjaValue found = value;
  for (const JinjaValue& part : parts) {
    if (found.is_undefined())
      return fail("the attribute path '{}' goes through an undefined value",
                  path.is_string() ? path.as_string() : "");
    auto next = item_of(runtime, found, part);
    if (!next) return next;
    found = next->is_undefined() ? fallback : std::move(*next);
  }
  return found;
}

}  // namespace mneme::model::jinja

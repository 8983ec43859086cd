// Jinja's global functions, and those that Hugging Face adds for chat templates.
#include <ctime>

#include "model/jinja_builtins.h"
#include "model/jinja_format.h"
#include "model/jinja_operators.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

using Global = Result<JinjaValue> (*)(Runtime& runtime, const Arguments& arguments);

class GlobalFunction : public JinjaObject {
 public:
  explicit GlobalFunction(Global function) : function_(function) {}
  std::string_view type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Result<JinjaValue> call(Runtime& runtime, const Arguments& arguments) override {
    return function_(runtime, arguments);
  }

 private:
  Global function_;
};

Result<JinjaValue> range(Runtime& runtime, const Arguments& arguments) {
  const std::vector<JinjaValue>& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.keyword.empty())
    return fail("range takes one to three integers");
  for (const JinjaValue& value : given) {
    if (!is_integral(value)) return fail("range needs integers, not '{}'", value.type_name());
  }
  int64_t start = given.size() > 1 ? integer_of(given[0]) : 0;
  int64_t stop = integer_of(given[given.size() > 1 ? 1 : 0]);
  int64_t step = given.size() > 2 ? integer_of(given[2]) : 1;
  if (step == 0) return fail("the step of range is zero");
  std::vector<JinjaValue> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == runtime.limits().range_items_max) {
      return fail("range has more than {} items", runtime.limits().range_items_max);
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return runtime.make_list(std::move(items));
}

Result<JinjaDict> dict_of(std::string_view function, const Arguments& arguments) {
  JinjaDict dict;
  if (arguments.positional.size() > 1) return fail("{} takes one dict and named values", function);
  if (!arguments.positional.empty()) {
    const JinjaValue& source = arguments.positional[0];
    if (!source.is_dict()) return fail("{} needs a dict, not '{}'", function, source.type_name());
    for (const auto& [key, value] : source.as_dict()->entries()) dict.set(key, value);
  }
  for (const auto& [key, value] : arguments.keyword) dict.set(key, value);
  return dict;
}

Result<JinjaValue> dict_function(Runtime& runtime, const Arguments& arguments) {
  auto dict = dict_of("dict", arguments);
  if (!dict) return pass(dict);
  return runtime.make_dict(std::move(*dict));
}

Result<JinjaValue> namespace_function(Runtime& runtime, const Arguments& arguments) {
  auto dict = dict_of("namespace", arguments);
  if (!dict) return pass(dict);
  dict->is_namespace = true;
  auto made = runtime.make_dict(std::move(*dict));
  if (made) runtime.keep_changed(*made);
  return made;
}

Result<JinjaValue> raise_exception(Runtime& runtime, const Arguments& arguments) {
  auto bound = arguments.bind("raise_exception", {"message"});
  if (!bound) return pass(bound);
  auto message = to_text(runtime, (*bound)[0]);
  if (!message) return pass(message);
  return fail("{}", *message);
}

// In local time, as Python's datetime.now(). Conversions with width or flags other than '-' are left out of
// what a template may ask.
Result<JinjaValue> strftime_now(Runtime& runtime, const Arguments& arguments) {
  auto bound = arguments.bind("strftime_now", {"format"});
  if (!bound) return pass(bound);
  if (!(*bound)[0].is_string()) return fail("strftime_now needs a format");
  const std::string& format = (*bound)[0].as_string();
  if (format.size() > 256) return fail("strftime_now: the format is longer than 256 bytes");
  for (size_t i = 0; i + 1 < format.size(); ++i) {
    if (format[i] != '%') continue;
    char type = format[i + 1] == '-' && i + 2 < format.size() ? format[i + 2] : format[i + 1];
    bool known = std::string_view("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%").find(type) !=
                 std::string_view::npos;
    if (!known) return fail("strftime_now: unknown conversion '%{}'", type);
    ++i;
  }
  auto now = static_cast<time_t>(runtime.now_unix_s());
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return fail("strftime_now: the time is out of range");
  char text[8192];  // at most 128 conversions of far less than 64 bytes
  size_t size = std::strftime(text, sizeof text, format.c_str(), &local);
  return runtime.make_string(std::string(text, size));
}

// joiner(", ")() is empty the first time and ", " from then on.
class Joiner : public JinjaObject {
 public:
  explicit Joiner(JinjaValue separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  int depth() const override { return separator_.depth() + 1; }
  bool callable() const override { return true; }
  Result<JinjaValue> call(Runtime&, const Arguments&) override {
    bool first = !used_;
    used_ = true;
    return first ? JinjaValue("") : separator_;
  }

 private:
  JinjaValue separator_;
  bool used_ = false;
};

Result<JinjaValue> joiner(Runtime& runtime, const Arguments& arguments) {
  auto bound = arguments.bind("joiner", {"sep"});
  if (!bound) return pass(bound);
  if (auto charged = runtime.charge_bytes(sizeof(Joiner)); !charged) return pass(charged);
  JinjaValue separator = (*bound)[0].is_undefined() ? JinjaValue(", ") : (*bound)[0];
  if (separator.depth() >= kJinjaValueDepthMax) return fail("joiner: the separator is nested too deep");
  return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<Joiner>(std::move(separator))));
}

// cycler(a, b, ...): next() goes round; current; reset().
class Cycler : public JinjaObject {
 public:
  struct State {
    JinjaValue items;
    size_t at = 0;
    JinjaValue current() const { return items.as_list()->items[at]; }
  };
  explicit Cycler(JinjaValue items) : state_(std::make_shared<State>(State{std::move(items), 0})) {}
  std::string_view type_name() const override { return "Cycler"; }
  int depth() const override { return state_->items.depth() + 1; }
  JinjaValue attribute(std::string_view name) const override {
    if (name == "current") return state_->current();
    if (name != "next" && name != "reset") return {};
    return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<Turn>(state_, name == "next")));
  }

 private:
  class Turn : public JinjaObject {
   public:
    Turn(std::shared_ptr<State> state, bool next) : state_(std::move(state)), next_(next) {}
    std::string_view type_name() const override { return "builtin_function_or_method"; }
    int depth() const override { return state_->items.depth() + 2; }
    bool callable() const override { return true; }
    Result<JinjaValue> call(Runtime&, const Arguments&) override {
      JinjaValue current = state_->current();
      state_->at = next_ ? (state_->at + 1) % state_->items.as_list()->items.size() : 0;
      return next_ ? current : JinjaValue::none();
    }

   private:
    std::shared_ptr<State> state_;
    bool next_;
  };
  std::shared_ptr<State> state_;
};

Result<JinjaValue> cycler(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.keyword.empty())
    return fail("cycler needs at least one item");
  auto items = runtime.make_tuple(arguments.positional);
  if (!items) return items;
  return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<Cycler>(std::move(*items))));
}

constexpr std::pair<std::string_view, Global> kGlobals[] = {
    {"range", range},
    {"dict", dict_function},
    {"namespace", namespace_function},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"joiner", joiner},
    {"cycler", cycler},
};

}  // namespace

JinjaValue find_global(std::string_view name) {
  for (const auto& [known, function] : kGlobals) {
    if (known == name)
      return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<GlobalFunction>(function)));
  }
  return {};
}

}  // namespace mneme::model::jinja

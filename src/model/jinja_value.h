// The values a chat template sees: Python's, as far as Jinja shows them. Small to copy; lists and dicts are
// shared by
// reference, as in Python.
//
//   undefined none bool int(64 bit) float string list tuple dict namespace object(macro, loop, bound
//     method, global function)
//
// Building a context:
//   JinjaDict message;
//   message.set("role", JinjaValue("user"));
//   JinjaList messages{{JinjaValue::dict(std::move(message))}};
// A value given to ChatTemplate::render() is never changed by the template: only what a render creates
// itself is mutable.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace mneme::model {

class JinjaDict;
class JinjaObject;
struct JinjaList;

class JinjaValue {
 public:
  // The order is that of the variant's alternatives.
  enum class Kind : uint8_t { undefined, none, boolean, integer, floating, string, list, dict, object };

  // Not inline: GCC 12 warns falsely of uninitialised alternatives where it inlines a variant's moves.
  JinjaValue();  // undefined
  ~JinjaValue();
  JinjaValue(const JinjaValue&);
  JinjaValue& operator=(const JinjaValue&);
  JinjaValue(JinjaValue&&) noexcept;
  JinjaValue& operator=(JinjaValue&&) noexcept;
  explicit JinjaValue(bool value) : data_(value) {}
  explicit JinjaValue(int64_t value) : data_(value) {}
  explicit JinjaValue(double value) : data_(value) {}
  explicit JinjaValue(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  explicit JinjaValue(std::string_view text) : JinjaValue(std::string(text)) {}
  explicit JinjaValue(const char* text) : JinjaValue(std::string(text)) {}
  explicit JinjaValue(std::shared_ptr<JinjaList> list) : data_(std::move(list)) {}
  explicit JinjaValue(std::shared_ptr<JinjaDict> dict) : data_(std::move(dict)) {}
  explicit JinjaValue(std::shared_ptr<JinjaObject> object) : data_(std::move(object)) {}
  static JinjaValue none() { return JinjaValue(None{}); }
  static JinjaValue list(std::vector<JinjaValue> items);
  static JinjaValue dict(JinjaDict entries);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::undefined; }
  bool is_none() const { return kind() == Kind::none; }
  bool is_bool() const { return kind() == Kind::boolean; }
  bool is_int() const { return kind() == Kind::integer; }
  bool is_float() const { return kind() == Kind::floating; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_list() const { return kind() == Kind::list; }  // tuples too
  bool is_dict() const { return kind() == Kind::dict; }  // namespaces too
  bool is_object() const { return kind() == Kind::object; }
  bool is_number() const { return is_bool() || is_int() || is_float(); }  // as in Python, True is 1

  // Each aborts on another kind: ask first.
  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return std::get<int64_t>(data_); }
  double as_float() const { return std::get<double>(data_); }
  const std::string& as_string() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const std::shared_ptr<JinjaList>& as_list() const { return std::get<std::shared_ptr<JinjaList>>(data_); }
  const std::shared_ptr<JinjaDict>& as_dict() const { return std::get<std::shared_ptr<JinjaDict>>(data_); }
  const std::shared_ptr<JinjaObject>& as_object() const {
    return std::get<std::shared_ptr<JinjaObject>>(data_);
  }

  bool truthy() const;
  int depth() const;  // containers one within another when it was made; 0 for a scalar

  // The name Python gives the type: "int", "str", "list", "NoneType", "Undefined", ...
  std::string_view type_name() const;

 private:
  struct None {};
  using Data =
      std::variant<std::monostate, None, bool, int64_t, double, std::shared_ptr<const std::string>,
                   std::shared_ptr<JinjaList>, std::shared_ptr<JinjaDict>, std::shared_ptr<JinjaObject>>;
  explicit JinjaValue(None none) : data_(none) {}
  Data data_;
};

// Values nested deeper than this are refused wherever they come from: freeing, printing and comparing them
// recurses.
inline constexpr int kJinjaValueDepthMax = 100;

struct JinjaList {
  std::vector<JinjaValue> items;
  bool tuple = false;
  bool frozen = true;  // given from outside: a template may not change it
  bool kept = false;   // the runtime knows that it was changed (Runtime::keep_changed)
  int depth = 1;
};

// In order of insertion, found by hash. Keys are strings, numbers, booleans or none; 1, 1.0 and true are
// the same key.
class JinjaDict {
 public:
  using Entry = std::pair<JinjaValue, JinjaValue>;

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  static bool hashable(const JinjaValue& key);

  const JinjaValue* find_or_null(const JinjaValue& key) const;
  const JinjaValue* find_or_null(std::string_view key) const;
  void set(const JinjaValue& key, JinjaValue value);  // key must be hashable
  void set(std::string_view key, JinjaValue value) { set(JinjaValue(key), std::move(value)); }
  void erase(const JinjaValue& key);
  void clear();

  bool is_namespace = false;
  bool frozen = true;  // these two as in JinjaList
  bool kept = false;
  int depth = 1;

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t, TextHash, std::equal_to<>> index_;  // canonical key -> place in
                                                                              // entries_
};

}  // namespace mneme::model

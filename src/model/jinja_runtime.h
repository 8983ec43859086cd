// What one render of a template may spend, and what its functions share: budgets, the clock, the making of
// values.
// A template is a program from a file, so everything that loops or allocates is charged here.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "model/jinja_value.h"

namespace mneme::model {

struct JinjaLimits {
  size_t output_bytes_max = size_t{64} << 20;
  size_t allocated_bytes_max = size_t{256} << 20;  // all strings and containers made in a render, freed or
                                                   // not
  uint64_t steps_max = 20'000'000;  // nodes evaluated, items visited, 64-byte pieces of text scanned
  int depth_max = 400;              // nested nodes under evaluation; each takes about 1 KiB of stack
  int64_t range_items_max = 100'000;               // as Jinja's sandbox
};

namespace jinja {

struct Arguments {
  std::vector<JinjaValue> positional;
  std::vector<std::pair<std::string, JinjaValue>> keyword;

  bool empty() const { return positional.empty() && keyword.empty(); }
  const JinjaValue* find_keyword_or_null(std::string_view name) const;
  // The values of the named parameters, in their order; undefined where not given. `function` is for the
  // message.
  Result<std::vector<JinjaValue>> bind(std::string_view function,
                                       std::initializer_list<std::string_view> names) const;
};

class Runtime {
 public:
  Runtime(const JinjaLimits& limits, int64_t now_unix_s) : limits_(limits), now_unix_s_(now_unix_s) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const JinjaLimits& limits() const { return limits_; }
  int64_t now_unix_s() const { return now_unix_s_; }

  Result<void> charge_steps(uint64_t steps);
  Result<void> charge_scan(size_t bytes) { return charge_steps(1 + bytes / 64); }
  Result<void> charge_bytes(size_t bytes);

  Result<JinjaValue> make_string(std::string text);
  Result<JinjaValue> make_list(std::vector<JinjaValue> items, bool tuple = false);
  Result<JinjaValue> make_tuple(std::vector<JinjaValue> items) { return make_list(std::move(items), true); }
  Result<JinjaValue> make_dict(JinjaDict entries);

  // Lives as long as one comparison or filter: a changed list may hold itself, and map applies filters that
  // may be map,
  // so their depth is bounded as they go.
  class Recursion {
   public:
    explicit Recursion(Runtime& runtime) : depth_(runtime.recursion_depth_) { ++depth_; }
    ~Recursion() { --depth_; }
    Recursion(const Recursion&) = delete;
    Recursion& operator=(const Recursion&) = delete;
    int depth() const { return depth_; }

   private:
    int& depth_;
  };

  // Must be told of every container that is changed after it was made. Only such a change can close a
  // circle of references
  // or let a chain of them grow past kJinjaValueDepthMax; the destructor takes these apart one by one.
  void keep_changed(const JinjaValue& container);
  void keep_changed(std::shared_ptr<void> scope, void (*clear)(void*));

 private:
  JinjaLimits limits_;
  int64_t now_unix_s_;
  uint64_t steps_ = 0;
  size_t bytes_ = 0;
  int recursion_depth_ = 0;
  std::vector<JinjaValue> changed_;
  std::vector<std::pair<std::shared_ptr<void>, void (*)(void*)>> scopes_;
};

}  // namespace jinja

// A macro, a loop, a bound method, a global function.
class JinjaObject {
 public:
  virtual ~JinjaObject() = default;
  virtual std::string_view type_name() const = 0;
  virtual int depth() const { return 1; }  // greater than that of every value it holds
  virtual bool callable() const { return false; }
  virtual JinjaValue attribute(std::string_view /*name*/) const { return {}; }
  virtual Result<JinjaValue> call(jinja::Runtime& runtime, const jinja::Arguments& arguments);
};

}  // namespace mneme::model

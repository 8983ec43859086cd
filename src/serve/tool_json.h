// JSON that arrives byte by byte: where a value ends, and whether it still is JSON; and the object that most
// families write a call as, {"name": ..., "arguments": {...}}, its arguments passed on while they come.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mneme::serve {

// One value. Raw control characters in strings pass too: models write them, and json_byte() spells them.
class JsonScanner {
 public:
  enum class Step : uint8_t {
    kMore,    // the byte belongs to the value
    kDone,    // ... and ends it
    kBefore,  // the value, a number, ended before this byte
    kBad,
  };
  static constexpr size_t kDepthMax = 200;

  Step push(char byte);
  bool in_string() const { return state_ == State::kString || state_ == State::kEscape || hex_left_ > 0; }

 private:
  enum class State : uint8_t {
    kValue,
    kValueOrEnd,
    kKey,
    kKeyOrEnd,
    kColon,
    kAfter,
    kString,
    kEscape,
    kMinus,
    kZero,
    kWhole,
    kPoint,
    kFraction,
    kExponent,
    kExponentSign,
    kExponentDigits,
    kWord,
  };
  Step begin_value(char byte);
  Step in_word(char byte);
  Step in_number(char byte);
  Step text_byte(char byte);
  Step after_value(char byte);
  Step end_value();

  State state_ = State::kValue;
  std::vector<char> open_;  // '{' and '['
  bool is_key_ = false;
  int hex_left_ = 0;
  std::string_view word_;  // what must follow of true, false, null
};

// How a byte of a value is written in sound JSON: control characters in strings as escapes.
void append_json_byte(std::string& out, char byte, bool in_string);

// A call as an object. Once it has begun the name is known and arguments come; pieces of them are taken with
// take_arguments().
class CallObject {
 public:
  enum class Step : uint8_t { kMore, kDone, kBad };

  // After kDone, when it has begun in any case, and kBad nothing is pushed.
  Step push(char byte);
  bool begun() const { return begun_; }
  const std::string& name() const { return name_; }
  std::string take_arguments();

 private:
  enum class State : uint8_t { kStart, kKeyOrEnd, kKey, kColon, kBeforeValue, kValue, kCommaOrEnd, kNextKey };
  enum class Part : uint8_t { kName, kArguments, kOther };
  Step take_value_byte(char byte);
  Step end_value();
  Step end_object();
  void begin_if_known() { begun_ = begun_ || (has_name_ && has_arguments_); }

  State state_ = State::kStart;
  Part part_ = Part::kOther;
  JsonScanner scanner_;
  std::string text_;  // of a key or value that is read whole
  std::string name_;
  std::string arguments_;  // not taken yet
  bool has_name_ = false, has_arguments_ = false, begun_ = false;
  bool streams_ = false;  // the value is the arguments' object itself
};

}  // namespace mneme::serve

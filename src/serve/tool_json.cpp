#include "serve/tool_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/error.h"

namespace mneme::serve {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::string> text_of(const std::string& quoted) {
  const auto json = nlohmann::json::parse(quoted, nullptr, false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

}  // namespace

JsonScanner::Step JsonScanner::push(char byte) {
  switch (state_) {
    case State::kString:
    case State::kEscape: return text_byte(byte);
    case State::kWord: return in_word(byte);
    case State::kMinus:
    case State::kZero:
    case State::kWhole:
    case State::kPoint:
    case State::kFraction:
    case State::kExponent:
    case State::kExponentSign:
    case State::kExponentDigits: return in_number(byte);
    default: break;
  }
  if (is_blank(byte)) return Step::kMore;
  switch (state_) {
    case State::kKeyOrEnd:
      if (byte == '}') return end_value();
      [[fallthrough]];
    case State::kKey:
      if (byte != '"') return Step::kBad;
      is_key_ = true;
      state_ = State::kString;
      return Step::kMore;
    case State::kColon: state_ = State::kValue; return byte == ':' ? Step::kMore : Step::kBad;
    case State::kAfter: return after_value(byte);
    case State::kValueOrEnd:
      if (byte == ']') return end_value();
      [[fallthrough]];
    default: return begin_value(byte);
  }
}

JsonScanner::Step JsonScanner::begin_value(char byte) {
  is_key_ = false;
  if (byte == '{' || byte == '[') {
    if (open_.size() == kDepthMax) return Step::kBad;
    open_.push_back(byte);
    state_ = byte == '{' ? State::kKeyOrEnd : State::kValueOrEnd;
    return Step::kMore;
  }
  if (is_digit(byte)) {
    state_ = byte == '0' ? State::kZero : State::kWhole;
    return Step::kMore;
  }
  switch (byte) {
    case '"': state_ = State::kString; return Step::kMore;
    case '-': state_ = State::kMinus; return Step::kMore;
    case 't': word_ = "rue"; break;
    case 'f': word_ = "alse"; break;
    case 'n': word_ = "ull"; break;
    default: return Step::kBad;
  }
  state_ = State::kWord;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::in_word(char byte) {
  if (byte != word_.front()) return Step::kBad;
  word_.remove_prefix(1);
  if (!word_.empty()) return Step::kMore;
  state_ = State::kAfter;
  return open_.empty() ? Step::kDone : Step::kMore;
}

JsonScanner::Step JsonScanner::in_number(char byte) {
  const bool digit = is_digit(byte), exponent = byte == 'e' || byte == 'E';
  const auto go = [&](State next) { return state_ = next, Step::kMore; };
  switch (state_) {
    case State::kMinus: return digit ? go(byte == '0' ? State::kZero : State::kWhole) : Step::kBad;
    case State::kWhole:
      if (digit) return Step::kMore;
      [[fallthrough]];
    case State::kZero:
      if (byte == '.') return go(State::kPoint);
      if (exponent) return go(State::kExponent);
      break;
    case State::kPoint: return digit ? go(State::kFraction) : Step::kBad;
    case State::kFraction:
      if (digit) return Step::kMore;
      if (exponent) return go(State::kExponent);
      break;
    case State::kExponent:
      if (byte == '+' || byte == '-') return go(State::kExponentSign);
      [[fallthrough]];
    case State::kExponentSign: return digit ? go(State::kExponentDigits) : Step::kBad;
    default:
      if (digit) return Step::kMore;
      break;
  }
  state_ = State::kAfter;
  return open_.empty() ? Step::kBefore : push(byte);
}

JsonScanner::Step JsonScanner::text_byte(char byte) {
  if (hex_left_ > 0) {
    const char lower = static_cast<char>(byte | 32);
    if (!is_digit(byte) && (lower < 'a' || lower > 'f')) return Step::kBad;
    if (--hex_left_ == 0) state_ = State::kString;
    return Step::kMore;
  }
  if (state_ == State::kEscape) {
    if (byte == 'u') return hex_left_ = 4, Step::kMore;
    state_ = State::kString;
    return std::string_view("\"\\/bfnrt").find(byte) != std::string_view::npos ? Step::kMore : Step::kBad;
  }
  if (byte == '\\') return state_ = State::kEscape, Step::kMore;
  if (byte != '"') return Step::kMore;
  state_ = is_key_ ? State::kColon : State::kAfter;
  return is_key_ || !open_.empty() ? Step::kMore : Step::kDone;
}

JsonScanner::Step JsonScanner::after_value(char byte) {
  if (open_.empty()) return Step::kBad;
  const bool object = open_.back() == '{';
  if (byte == (object ? '}' : ']')) return end_value();
  state_ = object ? State::kKey : State::kValue;
  return byte == ',' ? Step::kMore : Step::kBad;
}

JsonScanner::Step JsonScanner::end_value() {
  open_.pop_back();
  state_ = State::kAfter;
  return open_.empty() ? Step::kDone : Step::kMore;
}

void append_json_byte(std::string& out, char byte, bool in_string) {
  const bool control = in_string && static_cast<unsigned char>(byte) < 0x20;
  if (!control) {
    out += byte;
  } else if (byte == '\n') {
    out += "\\n";
  } else {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
  }
}

CallObject::Step CallObject::push(char byte) {
  if (state_ == State::kKey) {
    append_json_byte(text_, byte, scanner_.in_string());
    const auto step = scanner_.push(byte);
    if (step != JsonScanner::Step::kDone) return step == JsonScanner::Step::kMore ? Step::kMore : Step::kBad;
    state_ = State::kColon;
    const bool name = text_ == "\"name\"";
    const bool arguments = text_ == "\"arguments\"" || text_ == "\"parameters\"";
    part_ = name ? Part::kName : arguments ? Part::kArguments : Part::kOther;
    return (name && has_name_) || (arguments && has_arguments_) ? Step::kBad : Step::kMore;
  }
  if (state_ == State::kValue) return take_value_byte(byte);
  if (is_blank(byte)) return Step::kMore;
  switch (state_) {
    case State::kStart: state_ = State::kKeyOrEnd; return byte == '{' ? Step::kMore : Step::kBad;
    case State::kKeyOrEnd:
      if (byte == '}') return Step::kBad;  // a call without a name
      [[fallthrough]];
    case State::kNextKey:
      if (byte != '"') return Step::kBad;
      scanner_ = {};
      scanner_.push(byte);
      text_ = byte;
      state_ = State::kKey;
      return Step::kMore;
    case State::kColon: state_ = State::kBeforeValue; return byte == ':' ? Step::kMore : Step::kBad;
    case State::kBeforeValue:
      scanner_ = {};
      text_.clear();
      state_ = State::kValue;
      streams_ = part_ == Part::kArguments && byte == '{';
      if (part_ == Part::kName && byte != '"') return Step::kBad;
      if (part_ == Part::kArguments && byte != '{' && byte != '"') return Step::kBad;
      if (part_ == Part::kArguments) has_arguments_ = true;
      return take_value_byte(byte);
    default:  // kCommaOrEnd
      if (byte == '}') return end_object();
      state_ = State::kNextKey;
      return byte == ',' ? Step::kMore : Step::kBad;
  }
}

CallObject::Step CallObject::take_value_byte(char byte) {
  const bool in_string = scanner_.in_string();
  const auto step = scanner_.push(byte);
  if (step == JsonScanner::Step::kBad) return Step::kBad;
  if (step != JsonScanner::Step::kBefore) {
    if (part_ != Part::kOther) append_json_byte(streams_ ? arguments_ : text_, byte, in_string);
    if (streams_) begin_if_known();
    if (step == JsonScanner::Step::kMore) return Step::kMore;
  }
  const Step ended = end_value();
  return ended == Step::kBad || step == JsonScanner::Step::kDone ? ended : push(byte);
}

CallObject::Step CallObject::end_value() {
  state_ = State::kCommaOrEnd;
  if (part_ == Part::kName) {
    auto name = text_of(text_);
    if (!name || name->empty()) return Step::kBad;
    name_ = std::move(*name);
    has_name_ = true;
  } else if (part_ == Part::kArguments && !streams_) {
    // Arguments as text that is JSON, as the OpenAI protocol has them.
    auto text = text_of(text_);
    const auto json = nlohmann::json::parse(text.value_or(""), nullptr, false);
    if (!json.is_object()) return Step::kBad;
    arguments_ = std::move(*text);
  }
  begin_if_known();
  return Step::kMore;
}

CallObject::Step CallObject::end_object() {
  if (!has_name_) return Step::kBad;
  if (!has_arguments_) arguments_ = "{}";
  begun_ = true;
  return Step::kDone;
}

std::string CallObject::take_arguments() { return std::exchange(arguments_, {}); }

}  // namespace mneme::serve

// Calls as Qwen3-Coder writes them: values without quotes, which become JSON here. Which parameters are text
// is told by the tool's schema.
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "serve/chat_reader.h"

namespace mneme::serve {

namespace {

constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=", kParameterEnd = "</parameter>";
constexpr size_t kNameBytesMax = 256;

using Json = nlohmann::ordered_json;

// Inside of a JSON string, byte by byte.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    append_json_byte(out, c, true);
  }
  return out;
}

std::string json_quoted(std::string_view text) { return '"' + escaped(text) + '"'; }

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

bool ChatReader::xml_call(bool end) {
  switch (phase_) {
    case Phase::kBefore: return xml_function(end);
    case Phase::kParameters: return xml_parameter(end);
    default: return xml_value(end);
  }
}

// The name between a mark and '>'.
bool ChatReader::xml_function(bool end) {
  skip_blanks();
  const Found found = find_here(kFunction, end);
  if (found == Found::kPartly) return false;
  if (found == Found::kNo) return fail_call();
  const size_t close = rest().find('>');
  const std::string_view name = trimmed(rest().substr(0, close).substr(kFunction.size()));
  if (name.size() > kNameBytesMax) return fail_call();
  if (close == std::string_view::npos) return end ? fail_call() : false;
  if (name.empty() || name.find_first_of("<\n") != std::string_view::npos) return fail_call();
  function_ = name;
  at_ += close + 1;
  parameters_ = 0;
  begin_arguments(function_);
  arguments_ = "{";
  phase_ = Phase::kParameters;
  return true;
}

bool ChatReader::xml_parameter(bool end) {
  skip_blanks();
  const Found parameter = find_here(kParameter, end), closed = find_here(kFunctionEnd, end);
  if (parameter == Found::kPartly || closed == Found::kPartly) {
    if (!end) return false;
  }
  const size_t close = rest().find('>');
  if (parameter == Found::kWhole && close == std::string_view::npos && !end && rest().size() < kNameBytesMax)
    return false;
  if (parameter == Found::kWhole && close != std::string_view::npos) {
    key_ = trimmed(rest().substr(kParameter.size(), close - kParameter.size()));
    at_ += close + 1;
    arguments_ += (parameters_++ == 0 ? "" : ", ") + json_quoted(key_) + ": ";
    text_value_ = is_text_parameter();
    phase_ = Phase::kValueStart;
    return true;
  }
  if (closed == Found::kWhole) at_ += kFunctionEnd.size();
  arguments_ += "}";
  if (closed != Found::kWhole) return fail_call();
  end_arguments();
  return true;
}

bool ChatReader::xml_value(bool end) {
  if (phase_ == Phase::kValueStart) {
    if (rest().empty() && !end) return false;
    if (rest().starts_with('\n')) ++at_;
    if (text_value_) arguments_ += '"';
    phase_ = Phase::kValue;
  }
  const size_t close = rest().find(kParameterEnd);
  const bool closed = close != std::string_view::npos;
  if (!closed && !text_value_ && !end) return false;
  std::string_view value = rest().substr(0, close);
  if (closed && value.ends_with('\n')) value.remove_suffix(1);
  if (closed || end) {
    at_ += closed ? close + kParameterEnd.size() : value.size();
    end_value(value);
    if (!closed) arguments_ += "}";
    phase_ = Phase::kParameters;
    return closed;
  }
  // The line break before the mark, and what may be its beginning, are not the value's.
  size_t keep = 0;
  const std::string mark = "\n" + std::string(kParameterEnd);
  for (const std::string_view held : {std::string_view(mark), kParameterEnd}) {
    for (size_t n = std::min(value.size(), held.size() - 1); n > keep; --n)
      if (value.ends_with(held.substr(0, n))) keep = n;
  }
  value.remove_suffix(keep);
  arguments_ += escaped(value);
  at_ += value.size();
  return false;
}

void ChatReader::end_value(std::string_view value) {
  if (text_value_) {
    arguments_ += escaped(value) + '"';
    return;
  }
  const auto json = Json::parse(trimmed(value), nullptr, false);
  arguments_ += json.is_discarded() ? json_quoted(value) : std::string(trimmed(value));
}

// A parameter that the schema says is a string, and one that it says nothing of.
bool ChatReader::is_text_parameter() const {
  const auto tool = tools_.find(function_);
  if (tool == tools_.end()) return false;
  const auto schema = Json::parse(tool->second, nullptr, false);
  if (!schema.is_object() || !schema.contains("properties")) return false;
  const Json& properties = schema["properties"];
  if (!properties.is_object() || !properties.contains(key_)) return false;
  const Json& property = properties[key_];
  return property.is_object() && property.contains("type") && property["type"] == "string";
}

}  // namespace mneme::serve

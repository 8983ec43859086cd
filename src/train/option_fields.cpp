#include "train/option_fields.h"

#include <cstdlib>
#include <sstream>

#include "model/config.h"

namespace mneme::train {

namespace {

std::string written(const std::vector<int>& values) {
  std::string text;
  for (const int v : values) text += (text.empty() ? "" : ",") + std::to_string(v);
  return text;
}
std::string written(Residual kind) { return residual_name(kind); }
template <class T>
std::string written(T value) {
  std::ostringstream out;
  out.precision(17);
  out << value;
  return out.str();
}

bool parse(const std::string& text, std::vector<int>& out) {
  out.clear();
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    char* end = nullptr;
    out.push_back(static_cast<int>(std::strtol(part.c_str(), &end, 10)));
    if (end == part.c_str() || *end != 0) return false;
  }
  return true;
}
bool parse(const std::string& text, Residual& out) { return parse_residual(text, out); }
template <class T>
bool parse(const std::string& text, T& out) {
  std::istringstream in(text);
  in >> out;
  return !in.fail() && in.eof();
}

}  // namespace

std::string to_text(const ModelOptions& options) {
  std::string text;
  visit_model_options(options, [&](const char* name, const auto& value, const char*) {
    text.append(name).append("=").append(written(value)).append("\n");
  });
  return text;
}

bool from_text(const std::string& lines, ModelOptions& options, std::string& error) {
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    const size_t equals = line.find('=');
    const std::string wanted = line.substr(0, equals),
                      text = equals < line.size() ? line.substr(equals + 1) : "";
    bool known = false, good = false;
    visit_model_options(options, [&](const char* name, auto& value, const char*) {
      if (wanted != name) return;
      known = true;
      good = parse(text, value);
    });
    if (known && good) continue;
    error = (known ? "bad value: " : "unknown option: ") + line;
    return false;
  }
  return true;
}

std::string check(const ModelOptions& o) {
  if (o.dim < 32 || o.dim % 32 != 0) return "dim must be a multiple of 32";
  if (o.ffn_dim < 32 || o.ffn_dim % 32 != 0) return "ffn-dim must be a multiple of 32";
  if (o.layers < 1) return "at least one layer is needed";
  if (o.kv_heads < 1 || o.heads % o.kv_heads != 0) return "heads must be a multiple of kv-heads";
  if (o.head_dim < 2 || o.head_dim % 2 != 0) return "head-dim must be even";
  if (o.heads * o.head_dim % 32 != 0) return "heads x head-dim must be a multiple of 32";
  if (o.window < 1) return "window must be at least 1";
  if (o.look_ahead < 0 || o.look_ahead > model::kLookAheadMax)
    return "look-ahead must be 0 to " + std::to_string(model::kLookAheadMax);
  for (const int layer : o.global_layers) {
    if (layer < 0 || layer >= o.layers) return "global-layers names layer " + std::to_string(layer);
  }
  if (o.streams_used() > 1 && (o.streams < 2 || o.streams > 4)) return "streams must be 2 to 4";
  for (const int layer : o.engram.layers) {
    if (layer < 0 || layer >= o.layers) return "engram-layers names layer " + std::to_string(layer);
  }
  if (o.engram.width % 32 != 0 || o.engram.width < 32) return "engram-width must be a multiple of 32";
  if (o.engram.order_max < 2 || o.engram.order_max > 4) return "engram-order must be 2 to 4";
  return {};
}

}  // namespace mneme::train

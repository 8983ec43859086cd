#include <algorithm>
#include <array>
#include <limits>

#include "engram/hash.h"
#include "kernels/ops.h"
#include "model/config_reader.h"

namespace mneme::model {

namespace {

struct ResidualName {
  std::string_view name;
  ResidualKind kind;
};
constexpr std::array kResiduals{
    ResidualName{"plain", ResidualKind::kPlain},
    ResidualName{"alpha", ResidualKind::kAlpha},
    ResidualName{"rezero", ResidualKind::kRezero},
    ResidualName{"layerscale", ResidualKind::kLayerScale},
    ResidualName{"hc", ResidualKind::kHc},
    ResidualName{"mhc", ResidualKind::kMhc},
    ResidualName{"mhc-lite", ResidualKind::kMhcLite},
    ResidualName{"mhc-identity", ResidualKind::kMhcIdentity},
};

// Layer numbers of a list, which must rise.
std::vector<int> layer_list(ConfigReader& read, std::string_view key, int layers, bool optional) {
  std::vector<int> list;
  for (const uint32_t layer : read.list<uint32_t>(key, optional)) {
    const bool holds = layer < static_cast<uint32_t>(layers) &&
                       (list.empty() || layer > static_cast<uint32_t>(list.back()));
    read.require(holds, fmt::format("mneme.{} names layer {}: layers below {} in rising order are possible",
                                    key, layer, layers));
    if (!holds) return {};
    list.push_back(static_cast<int>(layer));
  }
  return list;
}

void read_attention(ConfigReader& read, Config& config) {
  MnemeConfig& m = config.mneme;
  const int window = read.number("attention.sliding_window", 1, uint64_t{1} << 30);
  m.windows.assign(static_cast<size_t>(config.layers), window);
  for (const int layer : layer_list(read, "attention.global_layers", config.layers, false))
    m.windows[static_cast<size_t>(layer)] = 0;
  m.look_ahead = read.number("attention.look_ahead", 1, kLookAheadMax, 0);
  m.log_length_train = read.number("attention.log_length_train", 0, uint64_t{1} << 30, 0);
  read.require(m.log_length_train != 1,
               "mneme.attention.log_length_train is 1: 0 or 2 and more are possible");
  if (m.log_length_train > 0) m.log_length_slope = read.real("attention.log_length_slope");
  m.indexer.heads = read.number("attention.indexer.head_count", 1, 4096, 0);
  if (m.indexer.heads == 0) return;
  m.indexer.key_dim = read.number("attention.indexer.key_length", 2, 4096);
  m.indexer.top_k = read.number("attention.indexer.top_k", 1, uint64_t{1} << 30);
}

void read_residual(ConfigReader& read, Config& config) {
  MnemeConfig& m = config.mneme;
  const std::string name = read.text("residual.kind");
  bool known = false;
  for (const auto& residual : kResiduals) {
    if (residual.name != name) continue;
    m.residual = residual.kind;
    known = true;
  }
  read.require(known,
               fmt::format("mneme.residual.kind \"{}\" is not known (plain, alpha, rezero, layerscale, "
                           "hc, mhc, mhc-lite, mhc-identity are)",
                           name));
  m.streams = read.number("residual.streams", 1, kernels::kStreamsMax);
  const bool has_streams = m.residual >= ResidualKind::kHc;
  read.require((m.streams > 1) == has_streams,
               fmt::format("mneme.residual.streams is {}: residual.kind \"{}\" has {}", m.streams, name,
                           has_streams ? "2 or more" : "1"));
}

// The table's keys; `config.vocab_size` is known.
void read_engram(ConfigReader& read, Config& config) {
  EngramConfig& e = config.mneme.engram;
  e.layers = layer_list(read, "engram.layers", config.layers, true);
  if (e.layers.empty()) return;
  e.order_max = read.number("engram.order_max", 2, engram::kOrderMax);
  e.heads = read.number("engram.head_count", 1, 1024);
  e.head_width = read.number("engram.head_width", 32, 1 << 16);
  e.primes = read.list<uint32_t>("engram.primes");
  e.multipliers = read.list<uint64_t>("engram.multipliers");
  e.token_map = read.list<uint32_t>("engram.token_map");
  e.pad = static_cast<uint32_t>(read.number("engram.pad", 0, std::numeric_limits<int>::max()));
  if (read.error()) return;
  read.require(e.head_width % 32 == 0,
               fmt::format("mneme.engram.head_width is {}, no multiple of 32", e.head_width));
  read.require(uint64_t(e.rows_per_token()) * uint64_t(e.head_width) <= kDimMax,
               fmt::format("mneme.engram.head_count {} of width {} are too wide", e.heads, e.head_width));
  const auto count = [&](std::string_view key, size_t size, size_t wanted) {
    read.require(size == wanted, fmt::format("mneme.{} has {} entries, not {}", key, size, wanted));
  };
  count("engram.primes", e.primes.size(), static_cast<size_t>(e.rows_per_token()));
  count("engram.multipliers", e.multipliers.size(), e.layers.size() * static_cast<size_t>(e.order_max));
  count("engram.token_map", e.token_map.size(), static_cast<size_t>(config.vocab_size));
  if (read.error()) return;
  for (size_t i = 0; i < e.layers.size(); ++i) {
    const auto order = static_cast<size_t>(e.order_max);
    auto valid = engram::validate({static_cast<uint32_t>(e.order_max), static_cast<uint32_t>(e.heads),
                                   e.primes, std::span(e.multipliers).subspan(i * order, order), e.token_map,
                                   e.pad});
    if (!valid) read.require(false, fmt::format("mneme.engram: {}", valid.error().message));
  }
}

}  // namespace

uint64_t residual_coefficients(ResidualKind kind, int streams) {
  const auto n = static_cast<uint64_t>(streams);
  uint64_t factorial = 1;
  switch (kind) {
    case ResidualKind::kHc:
    case ResidualKind::kMhc: return n * n;
    case ResidualKind::kMhcLite:
      for (uint64_t i = 2; i <= n; ++i) factorial *= i;
      return factorial;
    default: return 0;
  }
}

int shift_ring(const Config& config, int layer) {
  const auto& windows = config.mneme.windows;
  return static_cast<int>(std::count(windows.begin(), windows.begin() + layer, 0));
}

int shift_row_width(const Config& config) {
  return (config.mneme.look_ahead > 0 ? 4 : 1) * config.kv_heads * config.head_dim;
}

int engram_ring(const Config& config, int table) { return shift_ring(config, config.layers) + table; }

kv::KvShape kv_shape(const Config& config) {
  kv::KvShape shape{config.layers, config.kv_heads, config.head_dim, config.mneme.windows, {}};
  if (config.architecture != Architecture::kMneme) return shape;
  shape.recent_widths.assign(static_cast<size_t>(shift_ring(config, config.layers)), shift_row_width(config));
  shape.recent_history = std::max(shape.recent_history, config.mneme.look_ahead + 1);
  shape.recent_widths.insert(shape.recent_widths.end(), config.mneme.engram.layers.size(),
                             config.dim + config.mneme.streams);
  return shape;
}

void read_mneme(ConfigReader& read, Config& config) {
  read_attention(read, config);
  read_residual(read, config);
  read_engram(read, config);
}

}  // namespace mneme::model

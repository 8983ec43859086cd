#include "model/config.h"

#include <array>
#include <string>

#include "kernels/ops.h"
#include "model/config_reader.h"

namespace mneme::model {

namespace {

struct ArchitectureName {
  std::string_view name;
  Architecture architecture;
  bool interleaved_rope, qk_norm;
};
constexpr std::array kArchitectures{
    ArchitectureName{"llama", Architecture::kLlama, true, false},
    ArchitectureName{"qwen2", Architecture::kQwen2, false, false},
    ArchitectureName{"qwen3", Architecture::kQwen3, false, true},
    ArchitectureName{"mneme", Architecture::kMneme, false, false},
};

void read_rope(ConfigReader& read, Config& config) {
  RopeConfig& rope = config.rope;
  rope.base = read.real("rope.freq_base", 10000.0f);
  rope.dims = read.number("rope.dimension_count", 2, kDimMax, config.head_dim);
  read.require(rope.base > 0, fmt::format("rope.freq_base is {}", rope.base));
  read.require(rope.dims % 2 == 0 && rope.dims <= config.head_dim,
               fmt::format("rope.dimension_count {} does not fit heads of {}", rope.dims, config.head_dim));
  const std::string scaling = read.text("rope.scaling.type");
  if (scaling == "linear")
    rope.scaling = RopeScaling::kLinear;
  else if (scaling == "yarn")
    rope.scaling = RopeScaling::kYarn;
  else if (scaling == "llama3")
    rope.scaling = RopeScaling::kLlama3;
  else
    read.require(scaling.empty() || scaling == "none",
                 fmt::format("rope.scaling.type \"{}\" is not supported", scaling));
  if (rope.scaling == RopeScaling::kNone) return;
  rope.factor = read.real("rope.scaling.factor");
  rope.context_original = read.number("rope.scaling.original_context_length", 1, uint64_t{1} << 30,
                                      config.context_length);
  rope.attention_factor = read.real("rope.scaling.attn_factor", 1.0f);
  rope.beta_fast = read.real("rope.scaling.yarn_beta_fast", 32.0f);
  rope.beta_slow = read.real("rope.scaling.yarn_beta_slow", 1.0f);
  rope.low_frequency_factor = read.real("rope.scaling.low_freq_factor", 1.0f);
  rope.high_frequency_factor = read.real("rope.scaling.high_freq_factor", 4.0f);
  read.require(rope.factor >= 1, fmt::format("rope.scaling.factor is {}", rope.factor));
}

}  // namespace

Result<Config> read_config(const Gguf& file) {
  auto architecture = file.require_string("general.architecture");
  if (!architecture) return core::pass(architecture);
  const ArchitectureName* known = nullptr;
  for (const auto& candidate : kArchitectures) {
    if (candidate.name == *architecture) known = &candidate;
  }
  if (known == nullptr) {
    return core::fail("{}: architecture \"{}\" is not supported (llama, qwen2, qwen3, mneme are)",
                      file.path(), *architecture);
  }

  ConfigReader read(file, *architecture);
  Config config;
  config.architecture = known->architecture;
  config.qk_norm = known->qk_norm;
  config.rope.interleaved = known->interleaved_rope;
  auto name = file.get_string("general.name");
  config.name = name && *name ? std::string(**name) : std::string(*architecture);
  config.layers = read.number("block_count", 1, 4096);
  config.dim = read.number("embedding_length", 32, kDimMax);
  config.ffn_dim = read.number("feed_forward_length", 32, kDimMax);
  config.heads = read.number("attention.head_count", 1, 4096);
  config.kv_heads = read.number("attention.head_count_kv", 1, 4096, config.heads);
  config.context_length = read.number("context_length", 1, uint64_t{1} << 30);
  config.norm_epsilon = read.real("attention.layer_norm_rms_epsilon", 1e-5f);
  config.head_dim = read.number("attention.key_length", 2, 4096,
                                config.heads > 0 ? config.dim / config.heads : 0);
  const int value_dim = read.number("attention.value_length", 2, 4096, config.head_dim);
  read.require(read.number("expert_count", 0, 4096, 0) == 0,
               "mixture-of-experts models are not supported yet");
  if (read.error()) return tl::unexpected(*read.error());
  read.require(
      value_dim == config.head_dim,
      fmt::format("keys of {} channels with values of {} are not supported", config.head_dim, value_dim));
  read.require(config.head_dim % 2 == 0,
               fmt::format("heads of {} channels are not supported", config.head_dim));
  read.require(config.heads % config.kv_heads == 0 && config.group() <= kernels::kAttendRowsMax,
               fmt::format("{} query heads do not share {} KV heads evenly", config.heads, config.kv_heads));
  read.require(config.norm_epsilon >= 0, "attention.layer_norm_rms_epsilon is negative");
  read_rope(read, config);

  const TensorInfo* embedding = file.find_tensor("token_embd.weight");
  read.require(embedding != nullptr && embedding->dims.size() == 2,
               "tensor token_embd.weight is missing or no matrix");
  if (read.error()) return tl::unexpected(*read.error());
  read.require(embedding->rows() >= 1 && embedding->rows() <= (uint64_t{1} << 24),
               "token_embd.weight has an absurd number of rows");
  if (read.error()) return tl::unexpected(*read.error());
  config.vocab_size = static_cast<int>(embedding->rows());
  if (config.architecture == Architecture::kMneme) read_mneme(read, config);
  if (read.error()) return tl::unexpected(*read.error());
  return config;
}

}  // namespace mneme::model

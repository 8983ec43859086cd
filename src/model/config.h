// The numbers that define a model, read from the metadata and checked against what the forward pass can do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "kv/block.h"
#include "model/gguf.h"

namespace mneme::model {

enum class Architecture { kLlama, kQwen2, kQwen3, kMneme };

enum class RopeScaling { kNone, kLinear, kYarn, kLlama3 };

struct RopeConfig {
  float base = 10000.0f;
  int dims = 0;              // rotated channels of a head, even, <= head_dim
  bool interleaved = false;  // pairs (0,1),(2,3).. (llama's GGUF order) or (i, i + dims/2) (qwen)
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0f;                                              // context is stretched by this
  int context_original = 0;                                         // before stretching
  float attention_factor = 1.0f;                                    // yarn: multiplies cos and sin
  float beta_fast = 32.0f, beta_slow = 1.0f;                        // yarn
  float low_frequency_factor = 1.0f, high_frequency_factor = 4.0f;  // llama3 rule
};

// How a sublayer's output F(x) joins the residual stream (docs/formats/mneme-gguf.md, Residual connections).
enum class ResidualKind { kPlain, kAlpha, kRezero, kLayerScale, kHc, kMhc, kMhcLite, kMhcIdentity };

// Tables of n-grams (arXiv 2601.07372), the same sizes in every layer that has one.
struct EngramConfig {
  std::vector<int> layers;            // ascending; empty: the model has none
  int order_max = 0;                  // N: suffix n-grams of 2 .. N tokens
  int heads = 0;                      // K hash heads an order
  int head_width = 0;                 // w values of a row
  std::vector<uint32_t> primes;       // [(N-1) * K]: rows of each table
  std::vector<uint64_t> multipliers;  // [layers, N]
  std::vector<uint32_t> token_map;    // [vocab_size]
  uint32_t pad = 0;

  int rows_per_token() const { return order_max < 2 ? 0 : (order_max - 1) * heads; }
  int width() const { return rows_per_token() * head_width; }  // E
};

// Ranks tokens for sparse attention; dense attention does not read it.
struct IndexerConfig {
  int heads = 0;  // 0: the model has none
  int key_dim = 0;
  int top_k = 0;
};

// Tokens: a sequence keeps as many rows of each global layer.
inline constexpr int kLookAheadMax = 256;

// What the mneme architecture has and the others have not: defaults are what the others do.
struct MnemeConfig {
  std::vector<int> windows;  // [layers]: tokens that a local layer sees; 0: a global layer
  int look_ahead = 0;        // tokens behind its own that a key of a global layer knows, up to
                             // kLookAheadMax; 0: none
  int log_length_train = 0;  // tokens; 0: attention is not sharpened with the context's length
  float log_length_slope = 0;
  ResidualKind residual = ResidualKind::kPlain;
  int streams = 1;
  EngramConfig engram;
  IndexerConfig indexer;
};

// The numbers of residual coefficients that mhc and its kin compute for H_res.
uint64_t residual_coefficients(ResidualKind kind, int streams);

struct Config {
  Architecture architecture = Architecture::kLlama;
  std::string name;
  int layers = 0;
  int dim = 0;
  int ffn_dim = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab_size = 0;
  int context_length = 0;  // trained context
  float norm_epsilon = 1e-5f;
  RopeConfig rope;
  bool qk_norm = false;  // qwen3
  MnemeConfig mneme;

  int window(int layer) const {
    return mneme.windows.empty() ? 0 : mneme.windows[static_cast<size_t>(layer)];
  }
  int group() const { return heads / kv_heads; }
};

// What a sequence of the model keeps: windows, and rings of recent rows, which are those of
// every global layer of mneme (shift_row_width) and then of every n-gram table ([dim + streams]).
kv::KvShape kv_shape(const Config& config);
int shift_ring(const Config& config, int layer);
// What a token of a global layer leaves to those behind it: W_k_shift y [kv_heads * head_dim]; with
// look-ahead also W_k y, W_k_ahead y and v, in this order.
int shift_row_width(const Config& config);
int engram_ring(const Config& config, int table);

// An unknown architecture, a missing or absurd number: an error naming the key.
Result<Config> read_config(const Gguf& file);

}  // namespace mneme::model

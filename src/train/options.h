// What is trained and how: plain structs that the command line fills, checkpoints keep and the exporter
// writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mneme::train {

// Kinds of residual connection (docs/formats/mneme-gguf.md).
enum class Residual { kPlain, kAlpha, kRezero, kLayerScale, kHc, kMhc, kMhcLite, kMhcIdentity };

// n-gram tables (docs/formats/mneme-gguf.md, Engram).
struct EngramOptions {
  std::vector<int> layers;  // empty: none
  int order_max = 3;
  int heads = 4;
  int width = 32;                  // values of a row, a multiple of 32
  int rows = 20011;                // of each table, about; the primes lie from here upwards
  uint64_t seed = 0x656E6772616D;  // of the hash multipliers
};

struct IndexerOptions {
  int heads = 0;  // 0: none
  int head_dim = 32;
  int top_k = 512;
};

// Shape of the network. Everything here is needed to run the model and is exported.
struct ModelOptions {
  int vocab_size = 0;
  int dim = 256;
  int layers = 6;
  int heads = 4, kv_heads = 2, head_dim = 64;
  int ffn_dim = 768;
  int window = 128;                // of local layers, tokens
  std::vector<int> global_layers;  // without positions, with key shift
  int look_ahead = 0;              // of their keys, tokens; 0: none
  Residual residual = Residual::kPlain;
  int streams = 4;           // of the hyper-connection kinds
  float hyper_scale = 0.1f;  // start of a_pre, a_post, a_res
  bool value_residual = false;
  bool embedding_mix = false;
  bool sinks = true;
  bool tied = true;
  bool spelled = false;        // rows of embedding and head: sums of a part for letters and one for form
  float embedding_std = 0.5f;  // of token_embd at the start
  float temperature_global = 12.0f, temperature_local = 12.0f;  // tau at the start
  float norm_epsilon = 1e-6f;
  float rope_base = 10000.0f;
  float log_length_slope = 1.0f;
  int context_length = 1024;  // trained length; also n_train of the sharpening
  EngramOptions engram;
  IndexerOptions indexer;

  bool is_global(int layer) const;
  int streams_used() const { return residual >= Residual::kHc ? streams : 1; }
};

// Nothing for an unknown name.
bool parse_residual(const std::string& name, Residual& out);
std::string residual_name(Residual kind);

// How it is trained.
struct OptimizerOptions {
  bool muon = true;           // else AdamW for the matrices too
  double matrix_rate = 0.02;  // of Muon; with AdamW: adam_rate
  double adam_rate = 4e-3;
  double table_factor = 5;     // n-gram tables learn faster (arXiv 2601.07372)
  double hyper_factor = 3;     // mHC coefficients
  // Temperatures and sinks. A step of AdamW is about its rate, and recall forms at temperatures of 25 to 40:
  // from 12 that would take thousands of steps.
  double logit_factor = 10;
  double weight_decay = 0.01;  // of matrices
  double beta1 = 0.9, beta2 = 0.95, adam_epsilon = 1e-10;
  double momentum = 0.95;    // Muon
  double clip = 1.0;         // global gradient norm
  double ema = 0;            // decay of the averaged weights; 0: none
  int warmup = 50;           // steps
  double decay_share = 0.3;  // last share of the steps: linear to final_share
  double final_share = 0.02;
};

// Warm-up, stable, decay (arXiv 2404.06395): the factor of the learning rate at `step` of `steps`.
double rate_factor(const OptimizerOptions& options, int step, int steps);

}  // namespace mneme::train

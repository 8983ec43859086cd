// The mneme architecture as the trainer sees it (docs/formats/mneme-gguf.md says what it computes).
//
// Parameters carry the names and shapes of the model file's tensors, so that the exporter only writes them
// down. Masters are f32; with ForwardOptions::type bf16 the large products run in bf16.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "train/engram_layer.h"
#include "train/hyper_connection.h"
#include "train/indexer.h"
#include "train/options.h"
#include "train/spelling.h"

namespace mneme::train {

// What a parameter is to the optimiser.
enum class ParameterKind {
  kMatrix,     // inner matrices: Muon
  kEmbedding,  // token_embd, output
  kVector,     // gains, mixing scalars
  kLogit,      // temperatures and sinks: tens, not ones
  kHyper,      // coefficients of hyper-connections
  kTable,      // n-gram tables
};

struct Parameter {
  std::string name;  // as in the model file
  torch::Tensor value;
  ParameterKind kind;
};

struct ForwardOptions {
  torch::ScalarType type = torch::kFloat32;  // of the large products
  bool fused = true;
  bool cross_rows = false;                      // queries of global layers also see the other rows' tokens
  bool round_kv = false;                        // keys and values rounded to bf16, as the runtime stores them
  std::vector<torch::Tensor>* mixes = nullptr;  // receives every sublayer's H_res, for composite_gain()
  IndexerProbe* indexer = nullptr;              // receives what the indexers of global layers do
  int sparse_top_k = 0;  // > 0: global layers attend their window and so many tokens that the indexer chooses
};

class Network {
 public:
  // Fresh weights from the seed. The token map of Engram tables: [vocab_size], or empty for the identity.
  // With options.spelled the spelling of the vocabulary.
  Network(const ModelOptions& options, uint64_t seed, std::vector<uint32_t> token_map = {},
          Spelling spelling = {});

  const ModelOptions& options() const { return options_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // As the model file has them: rows in one piece.
  std::vector<Parameter> file_tensors() const;
  const EngramHash& engram_hash() const { return *engram_hash_; }
  const Spelling& spelling() const { return spelling_; }
  int64_t parameter_count() const;
  bool has_indexer() const { return options_.indexer.heads > 0 && !options_.global_layers.empty(); }
  void to(torch::Device device);

  // tokens: [B, T] int64 -> what the head reads: [B T, C] of the compute type.
  torch::Tensor hidden(const torch::Tensor& tokens, const ForwardOptions& forward) const;
  // [B T, vocab] f32
  torch::Tensor logits(const torch::Tensor& tokens, const ForwardOptions& forward) const;
  // Sum over targets of weight * cross-entropy, nats. tokens, targets: [B, T] int64; weights: [B, T] f32,
  // targets of weight zero cost nothing in the head.
  torch::Tensor loss_sum(const torch::Tensor& tokens, const torch::Tensor& targets,
                         const torch::Tensor& weights, const ForwardOptions& forward) const;

 private:
  struct Sublayer {
    torch::Tensor norm;   // [C]
    torch::Tensor scale;  // alpha, rezero, layerscale
    HyperWeights hyper;   // with streams
  };
  struct Layer {
    bool global = false;
    Sublayer attention, ffn;
    torch::Tensor query, key, key_shift, key_ahead, value, output;
    torch::Tensor temperature, sinks, value_mix, embedding_mix;
    torch::Tensor gate, up, down;
    std::unique_ptr<EngramLayer> engram;
    std::unique_ptr<Indexer> indexer;  // of global layers
  };
  struct Pass;

  torch::Tensor add(std::string name, torch::Tensor value, ParameterKind kind);
  torch::Tensor matrix(const std::string& name, int64_t rows, int64_t columns, double gain);
  void make_layer(int index, uint64_t seed);
  void make_sublayer(Sublayer& sublayer, const std::string& prefix, int index);
  // Rows of tokens, [vocab_size, C]: of their own, or sums.
  struct Rows {
    torch::Tensor whole;           // undefined where there are
    torch::Tensor letters, forms;  // [letters_count, C], [forms_count, C]
  };
  Rows make_rows(const std::string& name, double deviation);
  torch::Tensor weight(const Rows& rows) const;
  bool has_head() const { return !options_.tied; }

  // The two sublayers' F (attend(): the softmax of the first), as the paper writes it; h: [B T, C] f32.
  torch::Tensor attention(const Layer& layer, const torch::Tensor& h, Pass& pass) const;
  torch::Tensor raw_key(const Layer& layer, const torch::Tensor& y, const Pass& pass) const;
  torch::Tensor attend(const Layer& layer, const AttentionInputs& in, const torch::Tensor& value,
                       const ForwardOptions& forward) const;
  torch::Tensor feed_forward(const Layer& layer, const torch::Tensor& h, const Pass& pass) const;

  ModelOptions options_;
  std::shared_ptr<const EngramHash> engram_hash_;  // shared with the layers: a Network moves
  std::vector<Parameter> parameters_;
  Spelling spelling_;
  torch::Tensor letters_of_, forms_of_;  // [vocab_size] int64
  Rows embedding_, head_;
  torch::Tensor output_norm_;
  std::vector<Layer> layers_;
};

}  // namespace mneme::train

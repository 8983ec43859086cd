// The trained indexer of a global layer (docs/formats/mneme-gguf.md, Indexer; arXiv 2512.02556):
//   I[t, s] = sum_j w[t, j] relu(q[t, j] . k[s])
// ranks tokens, so that the layer needs to attend only the best of them.
//
// It learns to agree with its layer: KL(p || softmax I), p being the layer's attention weights summed over
// heads and normalised, at a few queries of every text. Both what it reads (y) and what it imitates (p) are
// detached, so that this loss moves nothing but the indexer. Two stages: dense attention with the loss beside
// it; then sparse attention over what the indexer chooses, p and softmax I over the chosen tokens.
//
// Sizes: B texts of T tokens; S keys a query may see, T or, across texts, B T; Q sampled queries a text;
// K key/value heads of G query heads; J indexer heads of d_I channels.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "train/indexer_loss.h"
#include "train/options.h"

namespace mneme::train {

struct Parameter;

// What a forward pass notes about its indexers.
struct IndexerProbe {
  int queries = 32;        // Q, from positions past 64 where the text is long enough
  uint64_t seed = 0;       // of the positions; all layers take the same ones
  bool with_loss = true;   // wanted: loss
  bool with_mass = false;  // wanted: mass

  torch::Tensor loss;  // sum over layers of the mean KL over queries, nats; undefined: no layer has an
                       // indexer
  double mass = 0;     // sum over layers: share of p that the top tenth of the visible tokens by I catches
  int layers = 0;      // with an indexer
};

// What a global layer attends with.
struct AttentionInputs {
  torch::Tensor y;          // [B T, C]
  torch::Tensor query;      // [B, K, T, G, d], times temperature and sharpening
  torch::Tensor key;        // [B, K, T, d]
  torch::Tensor sinks;      // [K G] or undefined
  bool cross_rows = false;  // queries also see the other texts
};

class Indexer {
 public:
  explicit Indexer(const ModelOptions& options);

  // With a generator of its own: the rest of the network starts as it would without an indexer.
  std::vector<Parameter> make_parameters(const std::string& prefix, uint64_t seed);

  // Which keys a query does not attend, [B, T, S] bool: all but the last `window` tokens and, of the older
  // (and other texts') ones, the top_k by I. Undefined where that hides nothing that is visible.
  torch::Tensor hidden_keys(const AttentionInputs& in, int64_t top_k, bool fused) const;

  // Adds to the probe. hidden: of hidden_keys(), or undefined (dense).
  void note(const AttentionInputs& in, const torch::Tensor& hidden, bool fused, IndexerProbe& probe) const;

  // Of all tokens: [B, T, d_I]; of some rows of y: [R, J, d_I] and [R, J]. f32 (or f64), unit vectors.
  torch::Tensor keys(const torch::Tensor& y, int64_t batch, bool fused) const;
  torch::Tensor queries(const torch::Tensor& y, bool fused) const;
  torch::Tensor head_weights(const torch::Tensor& y) const;

 private:
  int64_t heads_, dim_, channels_, window_;
  double epsilon_;
  torch::Tensor query_, key_, key_shift_, head_;  // [J d_I, C], [d_I, C], [d_I, C], [J, C]
};

// [B, Q] int64, ascending, distinct within a text.
torch::Tensor sampled_positions(int64_t batch, int64_t tokens, const IndexerProbe& probe);

// The layer's weights at positions [B, Q], summed over heads and normalised over what is not hidden
// [B, Q, S]: [B, Q, S] f32, no gradient.
torch::Tensor attention_shares(const AttentionInputs& in, const torch::Tensor& positions,
                               const torch::Tensor& hidden);

// softmax(q k^T) v where not hidden [B, T, S]; as banded_attention() otherwise, -> [B T, K G d]. The
// plain definition: B K G T S scores exist whole, about three times over in the backward pass, and hidden
// ones are computed too, so it saves no time: it is there to train with the choice that the runtime will
// make.
torch::Tensor sparse_attention(const AttentionInputs& in, const torch::Tensor& value,
                               const torch::Tensor& hidden);

bool is_of_indexer(const Parameter& parameter);
// Whether the other parameters hold still: they take no gradient, and the optimiser leaves them alone.
void learn_only_indexers(std::vector<Parameter>& parameters, bool only);

}  // namespace mneme::train

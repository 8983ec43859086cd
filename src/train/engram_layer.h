// n-gram tables in the network (docs/formats/mneme-gguf.md, Engram).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engram/hash.h"
#include "train/options.h"

namespace mneme::train {

struct ForwardOptions;
struct Parameter;

// What names the rows: a part of the model, written to its file.
struct EngramHash {
  std::vector<int> layers;
  uint32_t order_max = 0, heads = 0, width = 0;
  std::vector<uint32_t> primes;       // [(N-1) * K]
  std::vector<uint64_t> multipliers;  // [layers, N]
  std::vector<uint32_t> token_map;    // [vocabulary]
  uint32_t pad = 0;

  int index_of(int layer) const;  // among the layers with tables; -1: it has none
  engram::HashOptions options(int index) const;
};

EngramHash make_engram_hash(const ModelOptions& options, std::vector<uint32_t> token_map);

class EngramLayer {
 public:
  EngramLayer(const ModelOptions& options, std::shared_ptr<const EngramHash> hash, int index);

  std::vector<Parameter> make_parameters(const std::string& prefix);

  // tokens: [B, T]; streams: [B T, n, C] f32 -> what is added to them.
  torch::Tensor apply(const torch::Tensor& tokens, const torch::Tensor& streams,
                      const ForwardOptions& forward) const;

 private:
  torch::Tensor row_numbers(const torch::Tensor& tokens) const;  // [B T, (N-1) K] int64

  std::shared_ptr<const EngramHash> hash_;
  int index_, streams_;
  int64_t dim_;
  double epsilon_;
  torch::Tensor table_;                              // [rows, w]
  torch::Tensor key_, value_;                        // [n C, E], [C, E]
  torch::Tensor query_norm_, key_norm_, conv_norm_;  // [n C]
  torch::Tensor conv_;                               // [4, n C]
};

}  // namespace mneme::train

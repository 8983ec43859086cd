// What is to be loaded, found in the file and checked before anything is read.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/gguf.h"
#include "model/weights.h"

namespace mneme::model {

struct MatrixJob {
  const TensorInfo* tensor;
  kernels::PackedMatrix* matrix;
  bool decodes;  // read for every decoded token
};

struct VectorJob {
  const TensorInfo* tensor;
  std::span<const float>* vector;
};

// Values that go into others once they are loaded, by layer.
struct DerivedJob {
  std::span<const float> temperature;  // [heads]
  std::span<const float> conv;         // [4, streams * dim]
  std::span<const float> conv_norm;    // [streams * dim]
};

class WeightPlan {
 public:
  WeightPlan(const Gguf& file, const Config& config) : file_(file), config_(config) {}

  Result<void> layer(int index, LayerWeights& layer);
  Result<void> rest(Weights& weights);
  size_t bytes() const;

  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;
  std::deque<DerivedJob> derived;  // [layers] of mneme; stays where it is while it grows
  size_t derived_bytes = 0;

 private:
  Result<void> vector(const std::string& name, int size, bool required, std::span<const float>& out);
  Result<void> table(const std::string& name, uint64_t rows, uint64_t columns, std::span<const float>& out);
  Result<void> matrix(const std::string& name, int rows, int columns, kernels::PackedMatrix& out);
  // mneme_weights.cpp
  Result<void> mneme_layer(int index, LayerWeights& layer);
  Result<void> mneme_residual(const std::string& prefix, ResidualWeights& residual);
  Result<void> mneme_engram(const std::string& prefix, EngramWeights& engram, DerivedJob& job);
  Result<void> mneme_indexer(const std::string& prefix, IndexerWeights& indexer);

  const Gguf& file_;
  const Config& config_;
};

// The values that the forward pass wants in another form, once everything is loaded.
void derive_mneme(const Config& config, const WeightPlan& plan, Weights& weights);
// The n-gram tables, which are checked here.
Result<void> open_tables(const Gguf& file, const Config& config, engram::Placement placement,
                         Weights& weights);

}  // namespace mneme::model

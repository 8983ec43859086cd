// A trained network as a model file (docs/formats/mneme-gguf.md).
#pragma once

#include <string>

#include "core/error.h"
#include "corpus/vocabulary.h"
#include "tensor/dtype.h"
#include "train/network.h"

namespace mneme::train {

struct ExportOptions {
  // F32, F16, BF16 or Q8_0 (F16 where rows are not whole blocks of it).
  tensor::DType matrix_type = tensor::DType::kF16;  // matrices and embeddings
  tensor::DType table_type = tensor::DType::kQ8_0;  // n-gram tables
  // Sharpening beyond the trained length, where evaluation found a better one than the training's; below 0:
  // as it was trained.
  int log_length_train = -1;
  float log_length_slope = -1;
  std::string name = "mneme";        // general.name
  std::string licence, description;  // general.license, general.description; empty: left out
};

// `vocabulary` may be null (no tokenizer in the file): for tests of the arithmetic.
Result<void> export_gguf(const std::string& path, const Network& network,
                         const corpus::Vocabulary* vocabulary, const ExportOptions& options);

}  // namespace mneme::train

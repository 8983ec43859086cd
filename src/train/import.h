// A model file (docs/formats/mneme-gguf.md) as the start of a training: what export_gguf() wrote, back.
#pragma once

#include <string>

#include "core/error.h"
#include "model/gguf.h"
#include "train/network.h"

namespace mneme::train {

// The shape of a model file into `options`. What a file does not say stays: how fresh weights are made,
// whether rows are spelled, and the rows and seed of n-gram tables.
Result<void> read_shape(const model::Gguf& file, ModelOptions& options);

// The weights of a model file of the same shape and vocabulary, whatever their type. Spelled rows are the
// sums nearest to the file's; an error where these are further from them than rounding to 8 bits is, and
// where n-gram tables are hashed otherwise. After an error the network's weights are not to be used.
Result<void> import_gguf(const model::Gguf& file, Network& network);

}  // namespace mneme::train

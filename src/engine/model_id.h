// What tells one model file from another, for what is stored of its contexts.
#pragma once

#include "kv/segment_name.h"
#include "model/config.h"
#include "model/gguf.h"

namespace mneme::engine {

// Of metadata that decides keys and values (all but names and texts), of the tensors' names, types and
// shapes, and of samples of their bytes: 16 stretches of 4 KiB a tensor, spread evenly. Equal files have
// equal ids wherever they lie; files that were trained apart have not.
kv::ModelId model_id(const model::Gguf& file);

// Names of the model's segments: its id and the shape of its keys and values.
kv::SegmentModel segment_model(const model::Gguf& file, const kv::KvShape& shape);
// How many of its layers keep every token, as far as the shape in it says so; at least 1.
int layers_whole(const kv::SegmentModel& model);

}  // namespace mneme::engine

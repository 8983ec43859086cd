// The mneme architecture straight from docs/formats/mneme-gguf.md: one whole sequence at a time, everything
// in double but for keys and values, which are rounded to bf16 as the page says. It shares nothing with the
// runtime's forward pass. Compiled into this room's test program alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/mneme_model_for_test.h"

namespace mneme::model {

// Logits after every token: [tokens, vocab_size].
std::vector<double> reference_logits(const MnemeModelForTest& model, std::span<const int32_t> tokens);

}  // namespace mneme::model

// Rotary position embedding (Su et al. 2021): pair (a, b) of a head at position p turns by p * frequency of
// the pair.
#pragma once

#include <cstdint>
#include <span>

namespace mneme::kernels {

// cos and sin of one position: out[2 i] = scale cos(p f_i), out[2 i + 1] = scale sin(p f_i). out: [2 *
// frequencies.size()].
void rope_table(int position, std::span<const float> frequencies, float scale, std::span<float> out);

// Turns one head in place. table: [dims] from rope_table; the first `dims` channels turn, pairs (2 i, 2 i +
// 1) when interleaved, else (i, i + dims / 2).
void rope_apply(float* head, int dims, bool interleaved, const float* table);

}  // namespace mneme::kernels

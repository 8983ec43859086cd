#include "kernels/rope.h"

#include <cmath>

namespace mneme::kernels {

void rope_table(int position, std::span<const float> frequencies, float scale, std::span<float> out) {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    // In double: a position of a million times a frequency near 1 leaves f32 no digits for the angle.
    const double angle = double{frequencies[i]} * position;
    out[2 * i] = static_cast<float>(std::cos(angle)) * scale;
    out[2 * i + 1] = static_cast<float>(std::sin(angle)) * scale;
  }
}

void rope_apply(float* head, int dims, bool interleaved, const float* table) {
  const int step = interleaved ? 2 : 1, distance = interleaved ? 1 : dims / 2;
  for (int i = 0; i < dims / 2; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + distance];
    const float cosine = table[2 * i], sine = table[2 * i + 1];
    const float turned = a * cosine - b * sine;
    b = a * sine + b * cosine;
    a = turned;
  }
}

}  // namespace mneme::kernels

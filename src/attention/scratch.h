// Memory for the kernels of one thread, from a multiple of 64 bytes on.
#pragma once

#include <cstddef>
#include <vector>

namespace mneme::attention {

class Scratch {
 public:
  void resize(size_t bytes) { lines_.resize((bytes + sizeof(Line) - 1) / sizeof(Line)); }
  void* data() { return lines_.data(); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
};

}  // namespace mneme::attention

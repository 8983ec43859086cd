#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mneme::core {

// XXH3 of bytes, 64 bits. The value is written to disk by formats that say so: never change the function.
uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed = 0);

}  // namespace mneme::core

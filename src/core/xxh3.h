// XXH3 beyond what hash.h gives: over bytes that come in pieces, and with 128 bits. Both are written to disk
// by formats that say so: never change them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace mneme::core {

// hash64 of the pieces one after another, however they are cut. One thread at a time.
class Xxh3Stream {
 public:
  explicit Xxh3Stream(uint64_t seed = 0);
  void add(std::span<const std::byte> bytes);
  uint64_t digest() const;  // of everything so far; more may be added after it

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

// XXH3-128 of bytes, in its canonical (big-endian) order.
std::array<uint8_t, 16> hash128(std::span<const std::byte> bytes);

}  // namespace mneme::core

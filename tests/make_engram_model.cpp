// make_engram_model FILE DIM LAYERS ROWS: a random model whose n-gram tables are large, for measuring what
// they cost in memory and on disk (docs/benchmarks.md). Q8_0; tables before layers 1 and LAYERS / 2, each of
// 16 hash heads of up to ROWS rows of 32 values. About 4 GB of memory for half a gigabyte of file.
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "core/rng.h"
#include "engram/hash.h"
#include "model/mneme_model_for_test.h"

namespace {

using mneme::tensor::DType;

// Rows as they stand in a Q8_0 file: f16 scales near 2^-7 and codes of every value.
std::vector<std::byte> random_rows(uint64_t rows, mneme::core::Rng& rng) {
  constexpr size_t kBlockBytes = 34;
  std::vector<std::byte> bytes(rows * kBlockBytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.next_u32() >> 24);
  for (size_t block = 0; block < bytes.size(); block += kBlockBytes) bytes[block + 1] = std::byte{0x20};
  return bytes;
}

mneme::Result<void> make(const char* path, int dim, int layers, uint32_t rows) {
  mneme::model::MnemeOptionsForTest o;
  o.layers = layers, o.dim = dim, o.ffn_dim = 4 * dim, o.head_dim = 64, o.heads = dim / 64;
  o.kv_heads = o.heads / 2, o.vocab_size = 16384, o.context_length = 32768, o.window = 512;
  o.global_layers.clear();
  for (int i = 2; i < layers; i += 3) o.global_layers.push_back(static_cast<uint32_t>(i));
  o.engram_layers = {1, static_cast<uint32_t>(layers / 2)};
  o.engram_heads = 8, o.engram_type = o.matrix_type = DType::kQ8_0, o.byte_tokenizer = true;
  constexpr uint64_t kSeed = 1;
  auto model = mneme::model::random_mneme_model(o, kSeed);
  auto primes = mneme::engram::distinct_primes(rows, model.engram.primes.size());
  if (!primes) return mneme::core::pass(primes);
  model.engram.primes = std::move(*primes);
  const uint64_t count = std::accumulate(model.engram.primes.begin(), model.engram.primes.end(), uint64_t{0});
  mneme::core::Rng rng(kSeed);
  for (const uint32_t layer : o.engram_layers) {
    auto& table = model.tensors[fmt::format("blk.{}.engram.table", layer)];
    table = {DType::kQ8_0, {32, count}, {}, random_rows(count, rng)};
  }
  return model.write(path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: make_engram_model FILE DIM LAYERS ROWS\n", stderr);
    return 2;
  }
  auto made = make(argv[1], std::atoi(argv[2]), std::atoi(argv[3]),
                   static_cast<uint32_t>(std::atoi(argv[4])));
  if (made) return 0;
  std::fprintf(stderr, "%s\n", made.error().message.c_str());
  return 1;
}

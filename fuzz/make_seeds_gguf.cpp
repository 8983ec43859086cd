// Small GGUF files for corpus/gguf: one of every metadata kind, one of every tensor type, a vocabulary, a
// part of a split.
#include <cstdio>
#include <string>
#include <vector>

#include "model/gguf_writer.h"
#include "tensor/quantize.h"

namespace {

using namespace mneme;

model::GgufWriter every_kind() {
  model::GgufWriter writer;
  writer.add("u8", uint8_t{1});
  writer.add("i8", int8_t{-1});
  writer.add("u16", uint16_t{1});
  writer.add("i16", int16_t{-1});
  writer.add("u32", uint32_t{1});
  writer.add("i32", int32_t{-1});
  writer.add("u64", uint64_t{1});
  writer.add("i64", int64_t{-1});
  writer.add("f32", 1.0f);
  writer.add("f64", 1.0);
  writer.add("bool", true);
  writer.add("text", "text");
  const std::vector<float> numbers = {1, 2};
  writer.add_array("numbers", std::span<const float>(numbers));
  return writer;
}

model::GgufWriter every_type() {
  model::GgufWriter writer;
  writer.set_alignment(8);
  for (uint32_t number = 0; number < 40; ++number) {
    const tensor::DTypeInfo* info = tensor::find_dtype(number);
    if (info == nullptr) continue;
    const std::vector<float> values(info->block_elements, 1.0f);
    writer.add_tensor(info->name, info->type, {values.size()}, tensor::quantize(info->type, values));
  }
  return writer;
}

model::GgufWriter vocabulary() {
  model::GgufWriter writer;
  writer.add("general.architecture", "llama");
  writer.add("tokenizer.ggml.model", "gpt2");
  const std::vector<std::string> tokens = {"a", "b", "ab", "<|eos|>"};
  const std::vector<std::string> merges = {"a b"};
  const std::vector<int32_t> types = {1, 1, 1, 3};
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string>(merges));
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  writer.add_tensor("t", tensor::DType::kF32, {2, 2, 1, 1}, std::vector<std::byte>(16));
  return writer;
}

model::GgufWriter split_part() {
  model::GgufWriter writer;
  writer.add("split.no", uint16_t{0});
  writer.add("split.count", uint16_t{2});
  writer.add("split.tensors.count", int32_t{2});
  writer.add_tensor("t", tensor::DType::kF16, {2}, std::vector<std::byte>(4));
  return writer;
}

bool write(const model::GgufWriter& writer, const std::string& path) {
  auto done = writer.write(path);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds_gguf FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  const bool done = write(every_kind(), folder + "/kinds.gguf") &&
                    write(every_type(), folder + "/types.gguf") &&
                    write(vocabulary(), folder + "/vocabulary.gguf") &&
                    write(split_part(), folder + "/split.gguf");
  return done ? 0 : 1;
}

// Writes tests/data/fixture.gguf: a llama model of random weights, the same bytes on every machine, small
// enough to commit.
//
// 4 layers of width 256, 8 heads on 2 KV heads of 32, feed-forward 512, Q8_0, context 32768; 512 tokens of
// byte-level BPE whose merges are learned from the text below; a ChatML template. It says nothing sensible,
// but its logits are spread widely enough (a few nats) that greedy decoding does not hang on the last bit of
// a kernel.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "model/gguf_writer.h"
#include "tensor/quantize.h"

namespace {

using namespace mneme;

constexpr uint32_t kLayers = 4, kWidth = 256, kHeads = 8, kKvHeads = 2, kHeadDim = 32, kFeedForward = 512;
constexpr uint32_t kContext = 32768, kVocabulary = 512;
constexpr std::string_view kSpecials[] = {"<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"};
constexpr size_t kMerges = kVocabulary - 256 - std::size(kSpecials);
constexpr int32_t kNormal = 1, kControl = 3;  // token types of the format

// ChatML, as model files write it: the \n are Jinja's, not C++'s.
constexpr std::string_view kTemplate =
    R"({% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }})"
    R"({{ '<|im_end|>\n' }}{% endfor %})"
    R"({% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})";

// What the merges are learned from: English, Chinese, code and numbers, each with a few tokens of
// its own.
constexpr std::string_view kText =
    R"(The memory of a conversation is kept in blocks. Each block holds the keys and the values of sixty-four
tokens, and the model reads the blocks that matter for the question that was asked. What was written once
is never changed: a block that is full is sealed, and the copy on the disk is the one that counts. When
the user comes back the next day, the session is opened again, and the first token of the answer is there
before the rest of the memory has been read. The user asks a question and the assistant answers it. The
assistant remembers what the user said, what the user decided, and what the user likes. If the user says
something else later, the newer thing is the one that holds, and the older one stays in the history. You
are a helpful assistant. Please tell me what the model remembers about this project, and why it believes
that. There was a man who could remember everything that he had ever read; he could not forget, and so he
could not think, because thinking is forgetting the differences. The other was a river that took the
memory of all who drank from it. Between the one and the other there is a house with many rooms, and in
every room something is kept where it will be found again.
You are a helpful assistant. Hello! How are you today? Hello, world! Thank you for the question. Yes. No.
 I do not know.
int main(int argc, char** argv) { for (int i = 0; i < count; ++i) { total += values[i]; } return 0; }
const std::string name = "mneme"; if (name.empty()) return false; std::vector<float> values(count);
def answer(question): return memory.find(question) if question in memory else None
{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}, {"name": "get",
 "arguments": {}}
The numbers are 0 1 2 3 4 5 6 7 8 9 and 10 and 100 and 1000 and 2024 and 2025.
你好,世界。你好!记忆是什么?记忆是我们所知道的一切。模型会记住用户说过的
话。模型会回答用户的问题。用户的问题是什么?
用户说的话,模型都会记住;我们不知道的,模型也不知道。谢谢你的问题。今天我
们说的是记忆。明天的问题,明天回答。
)";

// GPT-2's printable stand-in for a byte, in UTF-8: printable Latin-1 bytes stand for themselves, the others,
// in order, for U+0100 and on.
std::string byte_token(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  int point = byte;
  if (!printable(byte)) {
    point = 256;
    for (int b = 0; b < byte; ++b) point += printable(b) ? 0 : 1;
  }
  if (point < 128) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0 | (point >> 6)), static_cast<char>(0x80 | (point & 63))};
}

// Bytes of the letter at `at`, 0 where none is: ASCII, or a Chinese character (U+4000 to U+9FFF).
size_t letter_bytes(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  const auto c = static_cast<unsigned char>(text[at]);
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return 1;
  return c >= 0xE4 && c <= 0xE9 ? 3 : 0;
}

using Word = std::vector<std::string>;  // tokens

// The text in pieces that no merge crosses, finer than any pre-tokeniser of this family: an optional space
// and letters, or one byte alone. Counted.
std::map<Word, int> words_of(std::string_view text) {
  std::map<Word, int> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = text[at] == ' ' && letter_bytes(text, at + 1) > 0 ? at + 1 : at;
    while (letter_bytes(text, end) > 0) end += letter_bytes(text, end);
    end = std::max(end, at + 1);
    Word word;
    for (const char c : text.substr(at, end - at)) word.push_back(byte_token(static_cast<unsigned char>(c)));
    ++words[word];
    at = end;
  }
  return words;
}

using Pair = std::pair<std::string, std::string>;

// The most frequent pair of neighbours; among equals the first in byte order.
Pair best_pair(const std::map<Word, int>& words) {
  std::map<Pair, int> counts;
  for (const auto& [word, count] : words) {
    for (size_t i = 0; i + 1 < word.size(); ++i) counts[{word[i], word[i + 1]}] += count;
  }
  MNEME_CHECK(!counts.empty(), "the text is too short for {} merges", kMerges);
  return std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; })->first;
}

std::map<Word, int> merged(const std::map<Word, int>& words, const Pair& pair) {
  std::map<Word, int> out;
  for (const auto& [word, count] : words) {
    Word joined;
    for (size_t i = 0; i < word.size(); ++i) {
      const bool here = i + 1 < word.size() && word[i] == pair.first && word[i + 1] == pair.second;
      joined.push_back(here ? word[i] + word[i + 1] : word[i]);
      if (here) ++i;
    }
    out[joined] += count;
  }
  return out;
}

void add_tokenizer(model::GgufWriter& writer) {
  std::vector<std::string> tokens;
  std::vector<std::string> merges;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(byte_token(byte));
  for (std::map<Word, int> words = words_of(kText); merges.size() < kMerges;) {
    const Pair pair = best_pair(words);
    words = merged(words, pair);
    merges.push_back(pair.first + " " + pair.second);
    tokens.push_back(pair.first + pair.second);
  }
  std::vector<int32_t> types(tokens.size(), kNormal);
  const auto bos = static_cast<uint32_t>(tokens.size());
  for (const std::string_view special : kSpecials) {
    tokens.emplace_back(special);
    types.push_back(kControl);
  }
  MNEME_CHECK(tokens.size() == kVocabulary);
  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", "qwen2");
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string>(merges));
  writer.add("tokenizer.ggml.bos_token_id", bos);
  writer.add("tokenizer.ggml.eos_token_id", bos + 1);
  writer.add("tokenizer.ggml.eot_token_id", bos + 3);
  writer.add("tokenizer.ggml.add_bos_token", false);
  writer.add("tokenizer.chat_template", kTemplate);
}

void add_config(model::GgufWriter& writer) {
  constexpr uint32_t kMostlyQ8_0 = 7;
  writer.add("general.architecture", "llama");
  writer.add("general.name", "mneme fixture");
  writer.add("general.file_type", kMostlyQ8_0);
  writer.add("llama.block_count", kLayers);
  writer.add("llama.context_length", kContext);
  writer.add("llama.embedding_length", kWidth);
  writer.add("llama.feed_forward_length", kFeedForward);
  writer.add("llama.attention.head_count", kHeads);
  writer.add("llama.attention.head_count_kv", kKvHeads);
  writer.add("llama.attention.key_length", kHeadDim);
  writer.add("llama.attention.value_length", kHeadDim);
  writer.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.add("llama.rope.freq_base", 500000.0f);
  writer.add("llama.rope.dimension_count", kHeadDim);
  writer.add("llama.vocab_size", kVocabulary);
}

// Bell-shaped values without any library's distribution: the sum of 12 uniforms has deviation 1.
float next_bell(core::Rng& rng) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += rng.next_unit();
  return sum;
}

class Weights {
 public:
  explicit Weights(model::GgufWriter& writer) : writer_(writer) {}

  // A matrix [rows, columns] whose products with a vector of unit variance have deviation `gain`.
  void matrix(const std::string& name, uint32_t rows, uint32_t columns, float gain = 1) {
    std::vector<float> values(size_t{rows} * columns);
    const float deviation = gain / std::sqrt(static_cast<float>(columns));
    for (float& x : values) x = deviation * next_bell(rng_);
    writer_.add_tensor(name, tensor::DType::kQ8_0, {columns, rows},
                       tensor::quantize(tensor::DType::kQ8_0, values));
  }

  void norm(const std::string& name) {
    std::vector<float> values(kWidth);
    for (float& x : values) x = 1 + 0.1f * next_bell(rng_);
    writer_.add_tensor(name, tensor::DType::kF32, {kWidth}, tensor::quantize(tensor::DType::kF32, values));
  }

 private:
  model::GgufWriter& writer_;
  core::Rng rng_{20};
};

void add_weights(model::GgufWriter& writer) {
  Weights weights(writer);
  weights.matrix("token_embd.weight", kVocabulary, kWidth, 16);  // rows of unit variance
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = fmt::format("blk.{}.", layer);
    weights.norm(at + "attn_norm.weight");
    weights.matrix(at + "attn_q.weight", kHeads * kHeadDim, kWidth, 1.5f);  // attention with a point of view
    weights.matrix(at + "attn_k.weight", kKvHeads * kHeadDim, kWidth, 1.5f);
    weights.matrix(at + "attn_v.weight", kKvHeads * kHeadDim, kWidth);
    weights.matrix(at + "attn_output.weight", kWidth, kHeads * kHeadDim);
    weights.norm(at + "ffn_norm.weight");
    weights.matrix(at + "ffn_gate.weight", kFeedForward, kWidth);
    weights.matrix(at + "ffn_up.weight", kFeedForward, kWidth);
    weights.matrix(at + "ffn_down.weight", kWidth, kFeedForward);
  }
  weights.norm("output_norm.weight");
  weights.matrix("output.weight", kVocabulary, kWidth, 3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fixture FILE.gguf\n");
    return 2;
  }
  model::GgufWriter writer;
  add_config(writer);
  add_tokenizer(writer);
  add_weights(writer);
  if (auto done = writer.write(argv[1]); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}

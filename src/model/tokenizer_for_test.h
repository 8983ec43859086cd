// Small vocabularies made in memory, for the tests and the fuzzer of the tokenizer.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "model/tokenizer.h"
#include "model/tokenizer_vocabulary.h"

namespace mneme::model {

struct VocabularyForTest {
  std::string model = "gpt2";
  std::string pre = "gpt-2";  // "": no such key
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;                              // empty: no such key
  std::vector<std::string> merges;                        // empty: no such key
  std::vector<std::pair<std::string, uint32_t>> numbers;  // further keys
  std::vector<std::pair<std::string, bool>> flags;

  int32_t add(std::string text, TokenType type = TokenType::kNormal, float score = 0) {
    tokens.push_back(std::move(text));
    types.push_back(static_cast<int32_t>(type));
    if (model == "llama") scores.push_back(score);
    return static_cast<int32_t>(tokens.size()) - 1;
  }
  // Adds the merge and its result.
  void add_merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    add(left + right);
  }
};

// The 256 bytes (each its own id), some English merges, and special tokens.
inline VocabularyForTest byte_level_for_test() {
  VocabularyForTest vocabulary;
  for (int byte = 0; byte < 256; byte++) {
    std::string letter;
    const char raw = static_cast<char>(byte);
    append_byte_level({&raw, 1}, letter);
    vocabulary.add(letter);
  }
  const std::pair<const char*, const char*> merges[] = {
      {"Ġ", "t"},    {"h", "e"}, {"Ġt", "he"}, {"i", "n"}, {"e", "r"}, {"Ġ", "a"}, {"l", "l"},   {"he", "ll"},
      {"hell", "o"}, {"Ġ", "Ġ"}, {"ĠĠ", "ĠĠ"}, {"Ċ", "Ċ"}, {"Ã", "©"}, {"a", "a"}, {"aa", "aa"}, {"in", "g"},
  };
  for (const auto& [left, right] : merges) vocabulary.add_merge(left, right);
  vocabulary.add("<|bos|>", TokenType::kControl);
  vocabulary.add("<|eos|>", TokenType::kControl);
  vocabulary.add("<|im_end|>", TokenType::kControl);
  vocabulary.add("<tool", TokenType::kUserDefined);
  vocabulary.add("<tool_call>", TokenType::kUserDefined);
  vocabulary.add("<|im", TokenType::kControl);
  return vocabulary;
}

// <unk> <s> </s>, the 256 byte tokens (from id 3), and some pieces.
inline VocabularyForTest sentence_piece_for_test() {
  VocabularyForTest vocabulary;
  vocabulary.model = "llama";
  vocabulary.pre = "";
  vocabulary.add("<unk>", TokenType::kUnknown);
  vocabulary.add("<s>", TokenType::kControl);
  vocabulary.add("</s>", TokenType::kControl);
  for (int byte = 0; byte < 256; byte++) vocabulary.add(fmt::format("<0x{:02X}>", byte), TokenType::kByte);
  const char* pieces[] = {"▁t",    "he", "▁the", "in", "▁a", "er", "ll",   "▁▁", "▁▁▁▁",
                          "hello", "▁",  "h",    "e",  "l",  "o",  "hell", "t",  "a",
                          "i",     "n",  "r",    "s>", "<",  "s",  ">",    "é",  "▁hello"};
  float score = 0;
  for (const char* piece : pieces) vocabulary.add(piece, TokenType::kNormal, score -= 1);
  vocabulary.add("<tool>", TokenType::kUserDefined);
  return vocabulary;
}

inline GgufWriter write_for_test(const VocabularyForTest& vocabulary) {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", vocabulary.model);
  if (!vocabulary.pre.empty()) writer.add("tokenizer.ggml.pre", vocabulary.pre);
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(vocabulary.tokens));
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(vocabulary.types));
  if (!vocabulary.scores.empty()) {
    writer.add_array("tokenizer.ggml.scores", std::span<const float>(vocabulary.scores));
  }
  if (!vocabulary.merges.empty()) {
    writer.add_array("tokenizer.ggml.merges", std::span<const std::string>(vocabulary.merges));
  }
  for (const auto& [key, value] : vocabulary.numbers) writer.add("tokenizer.ggml." + key, value);
  for (const auto& [key, value] : vocabulary.flags) writer.add("tokenizer.ggml." + key, value);
  return writer;
}

// The vocabulary as a file, which is deleted before this returns.
inline Result<Gguf> open_for_test(const VocabularyForTest& vocabulary) {
  static std::atomic<int> count = 0;
  const std::string name = fmt::format("mneme-tokenizer-{}-{}.gguf", ::getpid(), count++);
  const std::string path = std::filesystem::temp_directory_path() / name;
  auto written = write_for_test(vocabulary).write(path);
  if (!written) return core::pass(written);
  auto file = Gguf::open(path);
  std::filesystem::remove(path);
  return file;
}

inline Result<Tokenizer> load_for_test(const VocabularyForTest& vocabulary) {
  auto file = open_for_test(vocabulary);
  if (!file) return core::pass(file);
  return Tokenizer::load(*file);
}

}  // namespace mneme::model

#include "corpus/bpe_trainer.h"

#include <algorithm>
#include <queue>

namespace mneme::corpus {

using core::pass;

namespace {

constexpr size_t kWordBytesMax = 256;

struct Word {
  std::vector<TokenId> tokens;
  uint64_t count;
};

struct Pair {
  uint64_t count = 0;
  std::vector<uint32_t> words;  // where it occurs, or once did
};

struct Candidate {
  uint64_t count;
  Merge merge;
  // Of a queue whose greatest comes first.
  bool operator<(const Candidate& other) const {
    if (count != other.count) return count < other.count;
    if (merge.left != other.merge.left) return merge.left > other.merge.left;
    return merge.right > other.merge.right;
  }
};

uint64_t key_of(Merge merge) {
  return static_cast<uint64_t>(static_cast<uint32_t>(merge.left)) << 32 | static_cast<uint32_t>(merge.right);
}

Merge merge_of(uint64_t key) {
  return {static_cast<TokenId>(key >> 32), static_cast<TokenId>(key & 0xFFFFFFFF)};
}

class Trainer {
 public:
  Trainer(const WordCounts& words, const BpeOptions& options);
  std::vector<Merge> run();

 private:
  void queue(Merge merge, uint64_t count);
  void apply(Merge merge, TokenId result);
  // Takes the word's pairs out of the counts, or puts them in. Pairs that changed are noted in touched_.
  void uncount(const Word& word);
  void recount(const Word& word, uint32_t index);

  const BpeOptions& options_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<std::string> spellings_;
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<uint64_t> touched_;
};

Trainer::Trainer(const WordCounts& words, const BpeOptions& options) : options_(options) {
  for (int byte = 0; byte < kByteCount; byte++) {
    spellings_.emplace_back(1, static_cast<char>(byte));
    ids_.emplace(spellings_.back(), byte);
  }
  for (const auto& [text, count] : words.counts()) {
    if (text.size() < 2) continue;
    Word word{{}, count};
    for (const char byte : text) word.tokens.push_back(static_cast<uint8_t>(byte));
    words_.push_back(std::move(word));
  }
  for (uint32_t i = 0; i < words_.size(); i++) recount(words_[i], i);
  for (const auto& [key, pair] : pairs_) queue(merge_of(key), pair.count);
}

void Trainer::queue(Merge merge, uint64_t count) {
  const size_t bytes = spellings_[static_cast<size_t>(merge.left)].size() +
                       spellings_[static_cast<size_t>(merge.right)].size();
  if (bytes <= options_.token_bytes_max && count >= options_.count_min) queue_.push({count, merge});
}

void Trainer::uncount(const Word& word) {
  for (size_t i = 0; i + 1 < word.tokens.size(); i++) {
    const uint64_t key = key_of({word.tokens[i], word.tokens[i + 1]});
    pairs_[key].count -= word.count;
    touched_.push_back(key);
  }
}

void Trainer::recount(const Word& word, uint32_t index) {
  for (size_t i = 0; i + 1 < word.tokens.size(); i++) {
    const uint64_t key = key_of({word.tokens[i], word.tokens[i + 1]});
    Pair& pair = pairs_[key];
    pair.count += word.count;
    if (pair.words.empty() || pair.words.back() != index) pair.words.push_back(index);
    touched_.push_back(key);
  }
}

void Trainer::apply(Merge merge, TokenId result) {
  std::vector<uint32_t> where = std::move(pairs_[key_of(merge)].words);
  std::sort(where.begin(), where.end());
  where.erase(std::unique(where.begin(), where.end()), where.end());
  touched_.clear();
  for (const uint32_t index : where) {
    Word& word = words_[index];
    uncount(word);
    size_t to = 0;
    for (size_t from = 0; from < word.tokens.size(); to++) {
      const bool here = from + 1 < word.tokens.size() && word.tokens[from] == merge.left &&
                        word.tokens[from + 1] == merge.right;
      word.tokens[to] = here ? result : word.tokens[from];
      from += here ? 2 : 1;
    }
    word.tokens.resize(to);
    recount(word, index);
  }
  std::sort(touched_.begin(), touched_.end());
  touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
  for (const uint64_t key : touched_) {
    const auto found = pairs_.find(key);
    if (found->second.count == 0)
      pairs_.erase(found);
    else
      queue(merge_of(key), found->second.count);
  }
}

std::vector<Merge> Trainer::run() {
  std::vector<Merge> merges;
  int learned = 0;
  while (learned < options_.learned && !queue_.empty()) {
    const Candidate best = queue_.top();
    queue_.pop();
    const auto found = pairs_.find(key_of(best.merge));
    // Counts change while candidates wait; every change queued the pair anew.
    if (found == pairs_.end() || found->second.count != best.count) continue;
    const std::string spelling = spellings_[static_cast<size_t>(best.merge.left)] +
                                 spellings_[static_cast<size_t>(best.merge.right)];
    const auto [known, is_new] = ids_.emplace(spelling, static_cast<TokenId>(spellings_.size()));
    if (is_new) {
      spellings_.push_back(spelling);
      learned++;
      if (options_.progress && learned % 256 == 0) options_.progress(learned);
    }
    merges.push_back(best.merge);
    apply(best.merge, known->second);
  }
  return merges;
}

}  // namespace

Result<WordCounts> WordCounts::make() {
  auto pretokenizer = model::Pretokenizer::make(kPretokenizer);
  if (!pretokenizer) return pass(pretokenizer);
  return WordCounts(std::move(*pretokenizer));
}

void WordCounts::add(std::string_view text) {
  std::string word;
  pretokenizer_.split(text, size_t{1} << 20, [&](std::string_view piece) {
    if (piece.size() > kWordBytesMax) return;
    word.assign(piece);
    counts_[word]++;
  });
}

std::vector<Merge> train_bpe(const WordCounts& words, const BpeOptions& options) {
  return Trainer(words, options).run();
}

}  // namespace mneme::corpus

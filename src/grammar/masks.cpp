#include "grammar/masks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "grammar/limits.h"
#include "mneme/grammar.h"

namespace mneme::grammar {

MaskCache::MaskCache(std::shared_ptr<const Machine> machine, std::shared_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      automaton_(std::move(machine)),
      start_(automaton_.start()),
      path_(vocabulary_->trie().depth_max() + 1) {
  find_plain_classes();
}

bool MaskCache::full() {
  const std::scoped_lock lock(mutex_);
  return automaton_.bytes() + mask_bytes_ > kCacheBytesMax;
}

std::shared_ptr<MaskCache> MaskCache::fresh() const {
  return std::make_shared<MaskCache>(automaton_.shared_machine(), vocabulary_);
}

ConfigId MaskCache::adopt(MaskCache& other, ConfigId config) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  return automaton_.adopt(other.automaton_, config);
}

void NewestMasks::bring_up_to_date(std::shared_ptr<MaskCache>& cache, ConfigId& config) {
  const std::shared_ptr<MaskCache> newest = get();
  if (newest == cache) return;
  config = newest->adopt(*cache, config);
  cache = newest;
}

std::shared_ptr<MaskCache> NewestMasks::get() {
  const std::scoped_lock lock(mutex_);
  if (newest_->full()) newest_ = newest_->fresh();
  return newest_;
}

ConfigId MaskCache::next(ConfigId config, std::string_view bytes) {
  const std::scoped_lock lock(mutex_);
  automaton_.allow_work(kWorkMax);
  return automaton_.next(config, bytes);
}

bool MaskCache::may_end(ConfigId config) {
  const std::scoped_lock lock(mutex_);
  return automaton_.may_end(config);
}

bool MaskCache::may_go_on(ConfigId config) {
  const std::scoped_lock lock(mutex_);
  automaton_.allow_work(kWorkMax);
  for (size_t c = 0; c < automaton_.machine().class_bytes.size(); ++c) {
    if (automaton_.next_of_class(config, static_cast<uint8_t>(c)) != kDead) return true;
  }
  return false;
}

std::string MaskCache::forced(ConfigId config, size_t bytes_max) {
  const std::scoped_lock lock(mutex_);
  automaton_.allow_work(kWorkMax);
  std::string bytes;
  while (bytes.size() < bytes_max) {
    const auto byte = automaton_.forced(config);
    if (!byte || *byte == static_cast<uint8_t>(kSpecialMark)) break;
    bytes += static_cast<char>(*byte);
    config = automaton_.next(config, *byte);
  }
  return bytes;
}

std::span<const uint64_t> MaskCache::mask(ConfigId config) {
  const std::scoped_lock lock(mutex_);
  automaton_.allow_work(kWorkMax);
  const auto at = static_cast<size_t>(config);
  if (masks_.size() <= at) masks_.resize(automaton_.config_count());
  if (!masks_[at]) {
    Mask made = make_mask(config);
    masks_[at] = std::move(made);
  }
  return {masks_[at].get(), (vocabulary_->size() + 63) / 64};
}

MaskCache::Mask MaskCache::make_mask(ConfigId config) {
  const Trie& trie = vocabulary_->trie();
  const size_t words = (vocabulary_->size() + 63) / 64;
  mask_bytes_ += words * sizeof(uint64_t);
  auto bits = std::make_unique<uint64_t[]>(words);
  if (takes_plain_text(config)) {
    std::copy(trie.plain().begin(), trie.plain().end(), bits.get());
    walk(config, trie.rest(), bits.get());
  } else {
    walk(config, trie.all(), bits.get());
  }
  trie.add_twins({bits.get(), words});
  if (automaton_.may_end(config)) {
    for (const TokenId end : vocabulary_->ends())
      bits[static_cast<size_t>(end) / 64] |= uint64_t{1} << (end % 64);
  }
  return bits;
}

void MaskCache::walk(ConfigId config, std::span<const Trie::Node> nodes, uint64_t* bits) {
  const auto& class_of = automaton_.machine().class_of;
  path_[0] = config;
  for (size_t i = 0; i < nodes.size();) {
    const Trie::Node& node = nodes[i];
    const ConfigId next = automaton_.next_of_class(path_[node.depth - 1u], class_of[node.byte]);
    if (next == kDead) {
      i = node.after;
      continue;
    }
    path_[node.depth] = next;
    if (node.token >= 0) bits[node.token / 64] |= uint64_t{1} << (node.token % 64);
    ++i;
  }
}

// Whether every plain token may follow: any plain character, as often as the longest of them has some.
bool MaskCache::takes_plain_text(ConfigId config) {
  std::set<ConfigId> now = {config}, seen;
  for (int length = 0; length < vocabulary_->trie().plain_characters_max(); ++length) {
    std::set<ConfigId> after;
    for (const ConfigId one : now) {
      if (!seen.insert(one).second) continue;
      const auto& next = after_plain(one);
      if (next.empty()) return false;
      after.insert(next.begin(), next.end());
    }
    if (after.empty()) return true;  // all were seen before: it goes on for ever
    // A character class may lead to many places, a string to one: what is not simple is tested token by
    // token.
    if (after.size() > 8) return false;
    now = std::move(after);
  }
  return true;
}

const std::vector<ConfigId>& MaskCache::after_plain(ConfigId config) {
  const auto at = static_cast<size_t>(config);
  if (plain_.size() <= at) plain_.resize(at + 1);
  if (plain_[at].known) return plain_[at].configs;
  std::set<ConfigId> reached;
  const auto collect = [&] {
    for (const PlainLead& lead : leads_) {
      std::set<ConfigId> now = {automaton_.next_of_class(config, lead.byte_class)};
      for (const auto& classes : lead.later) {
        if (now.contains(kDead)) return false;
        std::set<ConfigId> after;
        for (const ConfigId one : now) {
          for (const uint8_t c : classes) after.insert(automaton_.next_of_class(one, c));
        }
        now = std::move(after);
      }
      if (now.contains(kDead) || reached.size() > 16) return false;
      reached.insert(now.begin(), now.end());
    }
    return true;
  };
  const bool all = collect();
  plain_[at].known = true;
  if (all) plain_[at].configs.assign(reached.begin(), reached.end());
  return plain_[at].configs;
}

void MaskCache::find_plain_classes() {
  const auto& class_of = automaton_.machine().class_of;
  const auto classes = [&](int first, int last) {
    std::set<uint8_t> found;
    for (int byte = first; byte <= last; ++byte) found.insert(class_of[static_cast<size_t>(byte)]);
    return std::vector<uint8_t>(found.begin(), found.end());
  };
  std::set<uint8_t> single;
  for (int byte = 0x20; byte < 0x7F; ++byte) {
    if (byte != '"' && byte != '\\') single.insert(class_of[static_cast<size_t>(byte)]);
  }
  for (const uint8_t c : single) leads_.push_back({c, {}});
  // Table 3-7 of the Unicode standard: first bytes, and the range of the second.
  struct Row {
    int first, last, second_first, second_last, later;
  };
  constexpr Row kRows[] = {{0xC2, 0xDF, 0x80, 0xBF, 1}, {0xE0, 0xE0, 0xA0, 0xBF, 2},
                           {0xE1, 0xEC, 0x80, 0xBF, 2}, {0xED, 0xED, 0x80, 0x9F, 2},
                           {0xEE, 0xEF, 0x80, 0xBF, 2}, {0xF0, 0xF0, 0x90, 0xBF, 3},
                           {0xF1, 0xF3, 0x80, 0xBF, 3}, {0xF4, 0xF4, 0x80, 0x8F, 3}};
  for (const Row& row : kRows) {
    for (const uint8_t c : classes(row.first, row.last)) {
      PlainLead lead{c, {classes(row.second_first, row.second_last)}};
      for (int i = 1; i < row.later; ++i) lead.later.push_back(classes(0x80, 0xBF));
      leads_.push_back(std::move(lead));
    }
  }
}

}  // namespace mneme::grammar

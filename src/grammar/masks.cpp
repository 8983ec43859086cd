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
      path_(vocabulary_->trie().depth_max() + 1) {
  find_plain_classes();
}

size_t MaskCache::mask_words() const { return (vocabulary_->size() + 63) / 64; }

bool MaskCache::full() {
  const std::scoped_lock lock(mutex_);
  return automaton_.bytes() + masks_.size() * mask_words() * sizeof(uint64_t) > kCacheBytesMax;
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
  if (mask_of_.size() <= at) mask_of_.resize(automaton_.config_count());
  if (mask_of_[at] == nullptr) mask_of_[at] = find_mask(config);
  return {mask_of_[at], mask_words()};
}

const uint64_t* MaskCache::find_mask(ConfigId config) {
  Automaton::Outline outline = automaton_.outline(config);
  const auto known = masks_by_outline_.find(outline.ways);
  if (known != masks_by_outline_.end() && masks_[known->second].bytes_seen < outline.margin)
    return masks_[known->second].bits.get();
  masks_.push_back(make_mask(config));
  if (masks_.back().bytes_seen < outline.margin)
    masks_by_outline_[std::move(outline.ways)] = masks_.size() - 1;
  return masks_.back().bits.get();
}

MaskCache::Mask MaskCache::make_mask(ConfigId config) {
  const Trie& trie = vocabulary_->trie();
  const size_t words = mask_words();
  Mask mask{std::make_unique<uint64_t[]>(std::max<size_t>(words, 1))};
  uint64_t* const bits = mask.bits.get();
  if (plain_room(config) >= trie.plain_characters_max()) {
    std::copy(trie.plain().begin(), trie.plain().end(), bits);
    mask.bytes_seen = std::max(trie.plain_bytes_max(), walk(config, trie.rest(), bits));
  } else {
    mask.bytes_seen = walk(config, trie.all(), bits);
  }
  trie.add_twins({bits, words});
  if (automaton_.may_end(config)) {
    for (const TokenId end : vocabulary_->ends())
      bits[static_cast<size_t>(end) / 64] |= uint64_t{1} << (end % 64);
  }
  return mask;
}

size_t MaskCache::walk(ConfigId config, std::span<const Trie::Node> nodes, uint64_t* bits) {
  const auto& class_of = automaton_.machine().class_of;
  const Trie& trie = vocabulary_->trie();
  path_[0] = config;
  size_t bytes_seen = 0;
  for (size_t i = 0; i < nodes.size();) {
    const Trie::Node& node = nodes[i];
    const ConfigId next = automaton_.next_of_class(path_[node.depth - 1u], class_of[node.byte]);
    bytes_seen = std::max<size_t>(bytes_seen, node.depth);
    if (next == kDead) {
      i = node.after;
      continue;
    }
    path_[node.depth] = next;
    if (node.plain_below != Trie::kMixed && plain_room(next) >= node.plain_below) {
      for (uint32_t k = trie.tokens()[i].first; k < trie.tokens()[i].after; ++k)
        bits[trie.order()[k] / 64] |= uint64_t{1} << (trie.order()[k] % 64);
      bytes_seen = std::max(bytes_seen, trie.plain_bytes_max());
      i = node.after;
      continue;
    }
    if (node.token >= 0) bits[node.token / 64] |= uint64_t{1} << (node.token % 64);
    ++i;
  }
  return bytes_seen;
}

// How many plain characters may follow, whichever they are; no more than the longest plain token has.
int MaskCache::plain_room(ConfigId config) {
  const auto at = static_cast<size_t>(config);
  if (at < plain_.size() && plain_[at].room >= 0) return plain_[at].room;
  const int most = vocabulary_->trie().plain_characters_max();
  std::set<ConfigId> now = {config}, seen;
  int room = 0;
  for (; room < most; ++room) {
    std::set<ConfigId> after;
    bool all = true;
    for (const ConfigId one : now) {
      if (!seen.insert(one).second) continue;
      const auto& next = after_plain(one);
      all = all && !next.empty();
      after.insert(next.begin(), next.end());
    }
    // A string leads to one place, a pattern may lead to many: what is not simple is tried token by token.
    if (!all || after.size() > 8) break;
    if (after.empty()) room = most - 1;  // all were seen before: it goes on for ever
    now = std::move(after);
  }
  after_plain(config);
  plain_[at].room = room;
  return room;
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
  const auto classes = [&](const ByteRange& range) {
    std::set<uint8_t> found;
    for (int byte = range.first; byte <= range.last; ++byte)
      found.insert(class_of[static_cast<size_t>(byte)]);
    return std::vector<uint8_t>(found.begin(), found.end());
  };
  std::set<uint8_t> single;  // of characters that are one byte
  for (const ByteRanges& spelling : utf8_spellings(plain_characters())) {
    std::vector<std::vector<uint8_t>> later;
    for (size_t i = 1; i < spelling.size(); ++i) later.push_back(classes(spelling[i]));
    for (const uint8_t c : classes(spelling[0])) {
      if (!later.empty() || single.insert(c).second) leads_.push_back({c, later});
    }
  }
}

}  // namespace mneme::grammar

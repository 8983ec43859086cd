// Which tokens may follow, for every configuration of an automaton that was asked about: computed once.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/trie.h"

namespace mneme::grammar {

class Vocabulary;

// Thread safe.
class MaskCache {
 public:
  MaskCache(std::shared_ptr<const Machine> machine, std::shared_ptr<const Vocabulary> vocabulary);

  ConfigId start() const { return automaton_.start(); }
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  bool full();                                        // has grown to kCacheBytesMax
  std::shared_ptr<MaskCache> fresh() const;           // of the same machine and vocabulary
  ConfigId adopt(MaskCache& other, ConfigId config);  // the same place in this cache
  ConfigId next(ConfigId config, std::string_view bytes);
  bool may_end(ConfigId config);
  bool may_go_on(ConfigId config);
  std::string forced(ConfigId config, size_t bytes_max);
  std::span<const uint64_t> mask(ConfigId config);  // valid as long as the cache

 private:
  struct Mask {
    std::unique_ptr<uint64_t[]> bits;
    size_t bytes_seen = 0;  // how far its tokens were followed
  };

  size_t mask_words() const;
  const uint64_t* find_mask(ConfigId config);
  Mask make_mask(ConfigId config);
  size_t walk(ConfigId config, std::span<const Trie::Node> nodes, uint64_t* bits);  // bytes seen
  int plain_room(ConfigId config);
  const std::vector<ConfigId>& after_plain(ConfigId config);
  void find_plain_classes();

  struct PlainAfter {
    bool known = false;
    int room = -1;                  // plain_room(), -1: not known
    std::vector<ConfigId> configs;  // empty: some plain character may not follow
  };
  // A way to spell plain characters: by classes of bytes, so that each is tried once.
  struct PlainLead {
    uint8_t byte_class = 0;
    std::vector<std::vector<uint8_t>> later;  // [byte after the first], classes
  };

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::mutex mutex_;
  Automaton automaton_;
  std::vector<const uint64_t*> mask_of_;  // [config], null: not asked for
  std::vector<Mask> masks_;
  // Masks by outline, of configurations whose counters are far enough from their ends not to matter: strings
  // with a maximal length are a new configuration with every character, but nearly always the same mask.
  std::map<std::vector<uint64_t>, size_t> masks_by_outline_;
  std::vector<PlainAfter> plain_;  // [config]
  std::vector<PlainLead> leads_;
  std::vector<ConfigId> path_;  // [depth], of a walk
};

// The cache that the guides of a constraint share. A full one is replaced: each guide goes over to the new
// one with its configuration when it is used next, and the last of them takes the old one away.
class NewestMasks {
 public:
  explicit NewestMasks(std::shared_ptr<MaskCache> first) : newest_(std::move(first)) {}
  void bring_up_to_date(std::shared_ptr<MaskCache>& cache, ConfigId& config);
  std::shared_ptr<MaskCache> get();

 private:
  std::mutex mutex_;
  std::shared_ptr<MaskCache> newest_;
};

}  // namespace mneme::grammar

// A machine in use: all ways of reading the text so far are followed at once, as one configuration. What a
// byte makes of a configuration is computed when it is first asked, and kept: a lazy deterministic automaton.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/machine.h"

namespace mneme::grammar {

using ConfigId = int32_t;
inline constexpr ConfigId kDead = -1;  // no way goes on, and the text may not end

// Belongs to one thread at a time. Every configuration but kDead can be brought to an end of the text.
class Automaton {
 public:
  explicit Automaton(std::shared_ptr<const Machine> machine);

  ConfigId start() const { return start_; }
  ConfigId next(ConfigId config, uint8_t byte) { return next_of_class(config, machine_->class_of[byte]); }
  ConfigId next(ConfigId config, std::string_view bytes) {
    for (const char byte : bytes) {
      if (config == kDead) break;
      config = next(config, static_cast<uint8_t>(byte));
    }
    return config;
  }
  ConfigId next_of_class(ConfigId config, uint8_t byte_class) {
    const ConfigId known = table_[static_cast<size_t>(config) * classes_ + byte_class];
    return known != kUnknown ? known : find_next(config, byte_class);
  }
  bool may_end(ConfigId config) const { return configs_[static_cast<size_t>(config)].may_end; }
  // The byte that must follow; nothing where the text may end, or where there is a choice.
  std::optional<uint8_t> forced(ConfigId config);
  // What a configuration is but for the numbers in its counters: equal outlines take the same bytes for as
  // long as no counter comes to its minimum or maximum, which is after `margin` bytes at least.
  struct Outline {
    std::vector<uint64_t> ways;  // rising; hashes
    uint32_t margin = UINT32_MAX;
  };
  Outline outline(ConfigId config) const;
  // The same ways of reading in this automaton, for a configuration of another one of the same machine.
  ConfigId adopt(const Automaton& other, ConfigId config);

  const Machine& machine() const { return *machine_; }
  const std::shared_ptr<const Machine>& shared_machine() const { return machine_; }
  size_t config_count() const { return configs_.size(); }
  size_t bytes() const;
  // How many items may be looked at from now on; what is asked beyond that is answered with kDead.
  void allow_work(size_t items) { work_left_ = items; }

 private:
  static constexpr ConfigId kUnknown = -2;
  static constexpr uint32_t kNoStack = 0;  // the outermost rule is open, and nothing else

  // Where reading goes on when the open rule ends. Equal stacks are one.
  struct Frame {
    StateId state = 0;   // kCounted, or where a call returns to
    uint32_t count = 0;  // of a kCounted state: which of its repetitions is open, from 1
    uint32_t below = 0;  // frames_
    uint32_t depth = 0;
  };
  struct Item {
    StateId state = 0;  // kBytes
    uint32_t stack = 0;
    bool operator==(const Item&) const = default;
    auto operator<=>(const Item&) const = default;
  };
  struct Config {
    uint32_t first = 0, count = 0;  // items_, rising
    bool may_end = false;
  };

  ConfigId find_next(ConfigId config, uint8_t byte_class);
  void follow(Item from);
  void follow_one(Item item);
  void follow_end(uint32_t stack);
  void follow_counter(StateId state, uint32_t done, uint32_t stack);
  uint32_t push(StateId state, uint32_t count, uint32_t below);
  ConfigId intern();

  std::shared_ptr<const Machine> machine_;
  size_t classes_;
  ConfigId start_ = kDead;
  size_t work_left_ = SIZE_MAX;
  std::vector<Frame> frames_;
  std::unordered_multimap<uint64_t, uint32_t> frames_by_hash_;
  std::vector<Item> items_;
  std::vector<Config> configs_;
  std::unordered_multimap<uint64_t, ConfigId> configs_by_hash_;
  std::vector<ConfigId> table_;  // [config, class]

  // The configuration being put together.
  std::vector<Item> open_, found_;
  std::vector<uint64_t> seen_;  // open addressing, 0: free
  size_t seen_count_ = 0;
  bool found_end_ = false;
};

}  // namespace mneme::grammar

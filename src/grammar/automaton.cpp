#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

#include "grammar/limits.h"

namespace mneme::grammar {

using Kind = Machine::Kind;

namespace {

uint64_t mixed(uint64_t x) {  // splitmix64's finisher
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

uint64_t joined(uint64_t hash, uint64_t value) { return mixed(hash * 0x9E3779B97F4A7C15ull + value + 1); }

// A set in a table of powers of two; values are not 0. True where the value is new.
bool insert(std::vector<uint64_t>& table, size_t& count, uint64_t value) {
  if (2 * count >= table.size()) {
    std::vector<uint64_t> old(std::max<size_t>(64, 2 * table.size()), 0);
    old.swap(table);
    count = 0;
    for (const uint64_t x : old) {
      if (x != 0) insert(table, count, x);
    }
  }
  size_t at = mixed(value) & (table.size() - 1);
  while (table[at] != 0 && table[at] != value) at = (at + 1) & (table.size() - 1);
  if (table[at] == value) return false;
  table[at] = value;
  ++count;
  return true;
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Machine> machine)
    : machine_(std::move(machine)), classes_(machine_->class_bytes.size()) {
  frames_.push_back({});
  follow({machine_->start, kNoStack});
  start_ = intern();
}

size_t Automaton::bytes() const {
  constexpr size_t kMapEntry = 40;
  return frames_.size() * (sizeof(Frame) + kMapEntry) + items_.size() * sizeof(Item) +
         configs_.size() * (sizeof(Config) + kMapEntry) + table_.size() * sizeof(ConfigId);
}

ConfigId Automaton::find_next(ConfigId config, uint8_t byte_class) {
  const uint8_t byte = machine_->class_bytes[byte_class];
  const Config from = configs_[static_cast<size_t>(config)];
  if (work_left_ == 0 || bytes() > 2 * kCacheBytesMax) return kDead;
  for (uint32_t i = 0; i < from.count; ++i) {
    const Item item = items_[from.first + i];
    const Machine::State& state = machine_->states[item.state];
    for (uint32_t e = state.a; e < state.b; ++e) {
      const Machine::Edge& edge = machine_->edges[e];
      if (edge.first <= byte && byte <= edge.last) follow({edge.target, item.stack});
    }
  }
  work_left_ -= std::min(work_left_, from.count + seen_count_ + 1);
  const ConfigId next = intern();
  return table_[static_cast<size_t>(config) * classes_ + byte_class] = next;
}

// Everything that is reached without reading a byte.
void Automaton::follow(Item from) {
  open_.push_back(from);
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    // Ways that never end, or only too deep, are no ways.
    const uint32_t needed = machine_->frames_needed[item.state];
    if (needed == Machine::kNever || frames_[item.stack].depth + needed > kDepthMax) continue;
    if (seen_count_ > 16 * kItemsMax) continue;
    const uint64_t key = (uint64_t{item.state} + 1) << 32 | item.stack;
    if (insert(seen_, seen_count_, key)) follow_one(item);
  }
}

void Automaton::follow_one(Item item) {
  const Machine::State& state = machine_->states[item.state];
  switch (state.kind) {
    case Kind::kBytes:
      if (found_.size() < kItemsMax) found_.push_back(item);
      break;
    case Kind::kSplit:
      for (uint32_t i = state.a; i < state.b; ++i) open_.push_back({machine_->branches[i], item.stack});
      break;
    case Kind::kCall: open_.push_back({machine_->rule_starts[state.a], push(state.b, 0, item.stack)}); break;
    case Kind::kTail: open_.push_back({machine_->rule_starts[state.a], item.stack}); break;
    case Kind::kCounted: follow_counter(item.state, 0, item.stack); break;
    case Kind::kEnd: follow_end(item.stack); break;
  }
}

void Automaton::follow_end(uint32_t stack) {
  if (stack == kNoStack) {
    found_end_ = true;
    return;
  }
  const Frame frame = frames_[stack];
  if (machine_->states[frame.state].kind == Kind::kCounted && frame.count > 0) {
    follow_counter(frame.state, frame.count, frame.below);
  } else {
    open_.push_back({frame.state, frame.below});
  }
}

// After `done` repetitions, in the rule that has the counter.
void Automaton::follow_counter(StateId state, uint32_t done, uint32_t stack) {
  const Machine::Counter& counter = machine_->counters[machine_->states[state].a];
  if (done >= counter.min) open_.push_back({counter.next, stack});
  if (done >= counter.max) return;
  // Without a maximum nobody asks how far beyond the minimum it is.
  const uint32_t count = counter.max == kUnbounded ? std::min(done + 1, std::max(counter.min, 1u)) : done + 1;
  const uint32_t after = machine_->frames_needed[counter.next];
  if (after == Machine::kNever || frames_[stack].depth + after > kDepthMax) return;
  open_.push_back({machine_->rule_starts[counter.rule], push(state, count, stack)});
}

uint32_t Automaton::push(StateId state, uint32_t count, uint32_t below) {
  const uint64_t hash = joined(joined(state, count), below);
  const auto [first, last] = frames_by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    const Frame& frame = frames_[it->second];
    if (frame.state == state && frame.count == count && frame.below == below) return it->second;
  }
  frames_.push_back({state, count, below, frames_[below].depth + 1});
  const auto id = static_cast<uint32_t>(frames_.size() - 1);
  frames_by_hash_.emplace(hash, id);
  return id;
}

// The configuration of what was followed, which is forgotten then.
ConfigId Automaton::intern() {
  std::sort(found_.begin(), found_.end());
  const bool may_end = std::exchange(found_end_, false);
  std::fill(seen_.begin(), seen_.end(), 0);
  seen_count_ = 0;
  if (seen_.size() > 4096) seen_.clear();
  if (found_.empty() && !may_end) return kDead;
  uint64_t hash = may_end ? 1 : 0;
  for (const Item& item : found_) hash = joined(joined(hash, item.state), item.stack);
  const auto [first, last] = configs_by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    const Config& config = configs_[static_cast<size_t>(it->second)];
    const auto items = std::span(items_).subspan(config.first, config.count);
    if (config.may_end == may_end && std::equal(items.begin(), items.end(), found_.begin(), found_.end())) {
      found_.clear();
      return it->second;
    }
  }
  const auto id = static_cast<ConfigId>(configs_.size());
  configs_.push_back({static_cast<uint32_t>(items_.size()), static_cast<uint32_t>(found_.size()), may_end});
  items_.insert(items_.end(), found_.begin(), found_.end());
  table_.insert(table_.end(), classes_, kUnknown);
  configs_by_hash_.emplace(hash, id);
  found_.clear();
  return id;
}

std::optional<uint8_t> Automaton::forced(ConfigId config) {
  if (may_end(config)) return std::nullopt;
  std::optional<uint8_t> only;
  for (size_t c = 0; c < classes_; ++c) {
    if (next_of_class(config, static_cast<uint8_t>(c)) == kDead) continue;
    const size_t first = machine_->class_bytes[c];
    const size_t end = c + 1 < classes_ ? machine_->class_bytes[c + 1] : 256;
    if (only || end - first != 1) return std::nullopt;
    only = static_cast<uint8_t>(first);
  }
  return only;
}

Automaton::Outline Automaton::outline(ConfigId config) const {
  const Config& from = configs_[static_cast<size_t>(config)];
  Outline result;
  result.ways.push_back(from.may_end ? 1 : 0);
  for (uint32_t i = 0; i < from.count; ++i) {
    const Item item = items_[from.first + i];
    uint64_t hash = joined(0, item.state);
    for (uint32_t at = item.stack; at != kNoStack; at = frames_[at].below) {
      const Frame& frame = frames_[at];
      hash = joined(hash, frame.state);
      if (machine_->states[frame.state].kind != Kind::kCounted || frame.count == 0) continue;
      const Machine::Counter& counter = machine_->counters[machine_->states[frame.state].a];
      const bool enough = frame.count >= counter.min;
      hash = joined(hash, enough ? 1 : 2);
      if (!enough) result.margin = std::min(result.margin, counter.min - frame.count);
      if (counter.max != kUnbounded) result.margin = std::min(result.margin, counter.max - frame.count);
    }
    result.ways.push_back(hash);
  }
  std::sort(result.ways.begin(), result.ways.end());
  result.ways.erase(std::unique(result.ways.begin(), result.ways.end()), result.ways.end());
  return result;
}

ConfigId Automaton::adopt(const Automaton& other, ConfigId config) {
  if (config == kDead) return kDead;
  const Config& from = other.configs_[static_cast<size_t>(config)];
  found_end_ = from.may_end;
  std::vector<uint32_t> path;
  for (uint32_t i = 0; i < from.count; ++i) {
    const Item item = other.items_[from.first + i];
    path.clear();
    for (uint32_t at = item.stack; at != kNoStack; at = other.frames_[at].below) path.push_back(at);
    uint32_t stack = kNoStack;
    for (size_t k = path.size(); k > 0; --k) {
      const Frame& frame = other.frames_[path[k - 1]];
      stack = push(frame.state, frame.count, stack);
    }
    found_.push_back({item.state, stack});
  }
  return intern();
}

}  // namespace mneme::grammar

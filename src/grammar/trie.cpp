#include "grammar/trie.h"

#include <algorithm>
#include <limits>

#include "core/utf8.h"

namespace mneme::grammar {

namespace {

// Tokens with more characters are tested one by one; few are.
constexpr int kPlainMax = 24;
// Tokens below a node: for fewer, trying each is faster than asking for all.
constexpr uint32_t kWorthATest = 32;

// 0: not plain.
int count_plain(std::string_view text) {
  int count = 0;
  while (!text.empty()) {
    const core::Utf8Char next = core::decode_utf8(text);
    const bool plain = next.valid && plain_characters().contains(next.code_point);
    if (!plain || ++count > kPlainMax) return 0;
    text.remove_prefix(next.length);
  }
  return count;
}

// `order`: token ids by spelling, each spelling once.
std::vector<Trie::Node> make_nodes(std::span<const std::string> spellings, std::span<const int32_t> order,
                                   std::vector<Trie::Tokens>& ranges) {
  std::vector<Trie::Node> nodes;
  ranges.clear();
  std::vector<uint32_t> path;  // the node of each depth
  uint32_t tokens = 0;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes[path.back()].after = static_cast<uint32_t>(nodes.size());
      ranges[path.back()].after = tokens;
    }
  };
  std::string_view last;
  for (; tokens < order.size(); ++tokens) {
    const int32_t token = order[tokens];
    const std::string_view now = spellings[static_cast<size_t>(token)];
    const auto differs = std::mismatch(last.begin(), last.end(), now.begin(), now.end()).second;
    close(static_cast<size_t>(differs - now.begin()));
    while (path.size() < now.size()) {
      const auto byte = static_cast<uint8_t>(now[path.size()]);
      path.push_back(static_cast<uint32_t>(nodes.size()));
      Trie::Node& node = nodes.emplace_back();
      ranges.push_back({tokens, tokens});
      node.depth = static_cast<uint16_t>(path.size());
      node.byte = byte;
    }
    nodes.back().token = token;
    last = now;
  }
  close(0);
  return nodes;
}

// From the leaves up: what is below a node is plain where all of its children's tokens are.
void find_plain_below(std::span<Trie::Node> nodes, std::span<const Trie::Tokens> ranges,
                      std::span<const int32_t> order, std::span<const std::string> spellings) {
  std::vector<uint8_t> most(nodes.size(), 0);  // characters, from the text's beginning; 0: not all are plain
  for (size_t i = nodes.size(); i > 0; --i) {
    Trie::Node& node = nodes[i - 1];
    bool plain = true;
    int longest = 0;
    if (node.token >= 0) {
      longest = count_plain(spellings[static_cast<size_t>(node.token)]);
      plain = longest > 0;
    }
    for (size_t child = i; plain && child < node.after; child = nodes[child].after) {
      plain = most[child] > 0;
      longest = std::max<int>(longest, most[child]);
    }
    if (!plain) continue;
    most[i - 1] = static_cast<uint8_t>(longest);
    const std::string_view token = spellings[static_cast<size_t>(order[ranges[i - 1].first])];
    const int here = count_plain(token.substr(0, node.depth));  // 0 within a character
    const bool many = ranges[i - 1].after - ranges[i - 1].first >= kWorthATest;
    if (here > 0 && many) node.plain_below = static_cast<uint8_t>(longest - here);
  }
}

}  // namespace

const CodePoints& plain_characters() {
  static const CodePoints kSet = CodePoints{{0x20, 0x10FFFF}}.without(
      {{'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
  return kSet;
}

Trie::Trie(std::span<const std::string> spellings) : plain_((spellings.size() + 63) / 64) {
  std::vector<int32_t> order;
  for (size_t i = 0; i < spellings.size(); ++i) {
    const size_t size = spellings[i].size();
    if (size > 0 && size <= std::numeric_limits<uint16_t>::max()) order.push_back(static_cast<int32_t>(i));
  }
  const auto spelling = [&](int32_t token) -> const std::string& {
    return spellings[static_cast<size_t>(token)];
  };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int c = spelling(a).compare(spelling(b));
    return c != 0 ? c < 0 : a < b;
  });
  std::vector<int32_t> once, not_plain;
  for (const int32_t token : order) {
    if (!once.empty() && spelling(once.back()) == spelling(token)) {
      twins_.emplace_back(once.back(), token);
      continue;
    }
    once.push_back(token);
    depth_max_ = std::max(depth_max_, spelling(token).size());
    const int count = count_plain(spelling(token));
    plain_characters_max_ = std::max(plain_characters_max_, count);
    if (count == 0) {
      not_plain.push_back(token);
    } else {
      plain_bytes_max_ = std::max(plain_bytes_max_, spelling(token).size());
      plain_[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
    }
  }
  rest_ = make_nodes(spellings, not_plain, tokens_);
  all_ = make_nodes(spellings, once, tokens_);
  find_plain_below(all_, tokens_, once, spellings);
  order_ = std::move(once);
}

void Trie::add_twins(std::span<uint64_t> bits) const {
  for (const auto& [token, twin] : twins_) {
    const uint64_t bit = bits[static_cast<size_t>(token) / 64] >> (token % 64) & 1;
    bits[static_cast<size_t>(twin) / 64] |= bit << (twin % 64);
  }
}

}  // namespace mneme::grammar

#include "tasks/text.h"

#include <algorithm>

#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

size_t group_of(TextKind kind, Language language) {
  return static_cast<size_t>(kind) * 2 + static_cast<size_t>(language);
}

}  // namespace

InMemoryText::InMemoryText(std::vector<Document> documents) {
  for (Document& document : documents) {
    if (document.text.empty() || !valid_utf8(document.text)) {
      ++left_out_;
      continue;
    }
    Group& group = groups_[group_of(document.kind, document.language)];
    const uint64_t before = group.ends.empty() ? 0 : group.ends.back();
    group.members.push_back(static_cast<uint32_t>(documents_.size()));
    group.ends.push_back(before + document.text.size());
    documents_.push_back(document);
  }
}

const InMemoryText::Group& InMemoryText::nearest(TextKind kind, Language language) const {
  const size_t wanted = group_of(kind, language);
  // ^1 is the other language, ^2 the other kind.
  for (const size_t group : {wanted, wanted ^ 1, wanted ^ 2, wanted ^ 3}) {
    if (!groups_[group].members.empty()) return groups_[group];
  }
  return groups_[wanted];
}

Document InMemoryText::pick(core::Rng& rng, TextKind kind, Language language) const {
  const Group& group = nearest(kind, language);
  const uint64_t draw = (static_cast<uint64_t>(rng.next_u32()) << 32) | rng.next_u32();
  if (group.members.empty()) return {};
  const auto found = std::upper_bound(group.ends.begin(), group.ends.end(), draw % group.ends.back());
  return documents_[group.members[static_cast<size_t>(found - group.ends.begin())]];
}

Document SyntheticText::pick(core::Rng& rng, TextKind kind, Language language) const {
  const std::vector<Made>& made = made_[group_of(kind, language)];
  const Made& one = made[rng.next_below(static_cast<uint32_t>(made.size()))];
  return {one.name, one.text, kind, language};
}

}  // namespace mneme::tasks

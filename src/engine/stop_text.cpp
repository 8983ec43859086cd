#include "engine/stop_text.h"

#include <algorithm>
#include <utility>

namespace mneme::engine {

StopText::StopText(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::erase_if(texts_, [](const std::string& text) { return text.empty(); });
}

std::string StopText::push(std::string_view piece) {
  if (matched_) return {};
  pending_ += piece;
  size_t best_start = std::string::npos;
  size_t best_end = std::string::npos;
  for (const std::string& text : texts_) {
    const size_t start = pending_.find(text);
    if (start == std::string::npos) continue;
    const size_t end = start + text.size();
    if (end > best_end || (end == best_end && start > best_start)) continue;
    best_start = start;
    best_end = end;
    matched_text_ = text;
  }
  matched_ = best_start != std::string::npos;
  const size_t shown = matched_ ? best_start : pending_.size() - held_bytes();
  std::string out = pending_.substr(0, shown);
  pending_.erase(0, matched_ ? std::string::npos : shown);
  return out;
}

std::string StopText::finish() { return std::exchange(pending_, {}); }

// The longest end of what is pending that begins one of the texts.
size_t StopText::held_bytes() const {
  size_t held = 0;
  for (const std::string& text : texts_) {
    for (size_t size = std::min(text.size() - 1, pending_.size()); size > held; --size) {
      if (std::string_view(pending_).ends_with(std::string_view(text).substr(0, size))) {
        held = size;
        break;
      }
    }
  }
  return held;
}

}  // namespace mneme::engine

#include "cli/thought.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cli/terminal.h"
#include "mneme/text.h"

namespace mneme::cli {

namespace {

constexpr std::string_view kOpen = kThoughtOpen, kClose = kThoughtClose, kBlanks = " \t\r\n";

// Bytes at the end of text that could be the beginning of mark.
size_t begun(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

ThoughtReader::Part ThoughtReader::push(std::string_view piece) {
  held_ += piece;
  return take(false);
}

ThoughtReader::Part ThoughtReader::finish() { return take(true); }

ThoughtReader::Part ThoughtReader::take(bool end) {
  Part part;
  if (at_ == At::kBeginning) {
    const size_t first = std::min(held_.find_first_not_of(kBlanks), held_.size());
    const std::string_view text = std::string_view(held_).substr(first);
    if (text.starts_with(kOpen)) {
      held_.erase(0, first + kOpen.size());
      at_ = At::kThought;
    } else if (!end && kOpen.starts_with(text)) {
      return part;
    } else {
      at_ = At::kAnswer;
    }
  }
  if (at_ == At::kThought) {
    const size_t close = held_.find(kClose);
    const size_t size = close != std::string::npos ? close : held_.size() - (end ? 0 : begun(held_, kClose));
    part.thought = held_.substr(0, size);
    held_.erase(0, size);
    if (close == std::string::npos) return part;
    held_.erase(0, kClose.size());
    at_ = At::kBehind;
  }
  if (at_ == At::kBehind) {
    held_.erase(0, std::min(held_.find_first_not_of(kBlanks), held_.size()));
    if (held_.empty()) return part;
    at_ = At::kAnswer;
  }
  part.answer = std::move(held_);
  held_.clear();
  return part;
}

ThoughtReader::Part parts_of(std::string_view text) {
  ThoughtReader reader;
  ThoughtReader::Part part = reader.push(text);
  const ThoughtReader::Part rest = reader.finish();
  part.thought += rest.thought;
  part.answer += rest.answer;
  return part;
}

void ThoughtfulOutput::show(const ThoughtReader::Part& part) {
  const bool dim = is_terminal(STDERR_FILENO);
  if (!part.thought.empty()) {
    if (!open_ && dim) std::cerr << "\033[2m";
    for (std::string_view left = part.thought; !left.empty();) {
      const size_t line = std::min(left.find('\n'), left.size());
      std::cerr << visible(left.substr(0, line)) << (line < left.size() ? "\n" : "");
      left.remove_prefix(std::min(line + 1, left.size()));
    }
    std::cerr << std::flush;
    open_ = true;
  }
  if (part.answer.empty()) return;
  if (open_) std::cerr << (dim ? "\033[0m\n" : "\n") << std::flush;
  open_ = false;
  output_->write(part.answer);
}

void ThoughtfulOutput::finish() {
  show(reader_.finish());
  if (open_) std::cerr << (is_terminal(STDERR_FILENO) ? "\033[0m\n" : "\n") << std::flush;
  open_ = false;
}

}  // namespace mneme::cli

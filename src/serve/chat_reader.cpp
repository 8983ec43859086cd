#include "serve/chat_reader.h"

#include <algorithm>
#include <utility>

namespace mneme::serve {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

size_t trailing(std::string_view text, bool (*wanted)(char)) {
  size_t count = 0;
  while (count < text.size() && wanted(text[text.size() - 1 - count])) ++count;
  return count;
}

// Bytes at the end that may be the beginning of the mark.
size_t begun_mark(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n)
    if (text.ends_with(mark.substr(0, n))) return n;
  return 0;
}

}  // namespace

ChatReader::ChatReader(const ReaderOptions& options, ReaderEvents& events)
    : dialect_(options.dialect), events_(&events), reasoning_(options.reasoning || options.reasoning_open) {
  for (const ToolSpec& tool : options.tools) tools_[tool.name] = tool.parameters;
  if (options.reasoning_open) mode_ = Mode::kReasoning;
}

void ChatReader::push(std::string_view piece) {
  in_ += piece;
  while (step(false)) {
  }
  compact();
}

void ChatReader::finish() {
  while (step(true)) {
  }
  compact();
}

bool ChatReader::step(bool end) {
  switch (mode_) {
    case Mode::kStart: return start(end);
    case Mode::kReasoning: return reasoning(end);
    case Mode::kText: return text(end);
    case Mode::kCall: return call(end);
    case Mode::kBetween: return between(end);
  }
  return false;
}

bool ChatReader::start(bool end) {
  const auto first = std::find_if_not(in_.begin() + static_cast<std::ptrdiff_t>(at_), in_.end(), is_blank);
  const auto blanks = static_cast<size_t>(first - in_.begin()) - at_;
  if (after_reasoning_) at_ += blanks;
  const size_t before = after_reasoning_ ? 0 : blanks;
  if (first == in_.end() && !end) return false;
  const std::string_view now = rest().substr(before);
  if (reasoning_ && !after_reasoning_) {
    if (now.starts_with(kThoughtOpen)) {
      at_ += before + kThoughtOpen.size();
      mode_ = Mode::kReasoning;
      return true;
    }
    if (!end && kThoughtOpen.starts_with(now)) return false;
  }
  mode_ = Mode::kText;
  if (!tools_.empty() && dialect_.family == ToolFamily::kBare && now.starts_with('{')) begin_call(0);
  return true;
}

bool ChatReader::reasoning(bool end) {
  const auto is_break = [](char c) { return c == '\n'; };
  if (!reasoning_begun_) {
    while (at_ < in_.size() && is_break(in_[at_])) ++at_;
    reasoning_begun_ = at_ < in_.size();
  }
  const size_t close = rest().find(kThoughtClose);
  const bool closed = close != std::string_view::npos;
  std::string_view thought = closed ? rest().substr(0, close) : rest();
  if (!closed && !end) thought.remove_suffix(begun_mark(thought, kThoughtClose));
  const size_t breaks = trailing(thought, is_break);
  if (closed || !end) thought.remove_suffix(breaks);
  if (!thought.empty()) events_->on_reasoning(thought);
  at_ += thought.size();
  if (!closed) return false;
  at_ += breaks + kThoughtClose.size();
  after_reasoning_ = true;
  mode_ = Mode::kStart;
  return true;
}

bool ChatReader::text(bool end) {
  const std::string& mark = dialect_.open;
  if (tools_.empty() || mark.empty()) {
    emit_text(rest().size());
    return false;
  }
  const size_t from = std::max(at_, literal_until_);
  const size_t found = in_.find(mark, std::min(from, in_.size()));
  const bool called = found != std::string::npos;
  size_t until = called ? found : in_.size();
  if (!called && !end && from < in_.size()) until -= begun_mark(std::string_view(in_).substr(from), mark);
  const std::string_view before = std::string_view(in_).substr(at_, until - at_);
  const size_t blanks = called || !end ? trailing(before, is_blank) : 0;
  emit_text(before.size() - blanks);
  if (!called) return false;
  // The line break between text and call belongs to the call, where calls stand on lines.
  const bool breaks = dialect_.on_lines && in_[found - (blanks > 0 ? 1 : 0)] == '\n';
  if (text_begun_) emit_text(blanks - (breaks ? 1 : 0));
  at_ = found;
  begin_call(mark.size());
  return true;
}

void ChatReader::begin_call(size_t mark_bytes) {
  call_start_ = at_, call_mark_ = mark_bytes;
  at_ += mark_bytes;
  mode_ = Mode::kCall;
  phase_ = Phase::kBefore;
  call_begun_ = false;
  object_ = CallObject();
}

bool ChatReader::call(bool end) {
  const bool more = dialect_.family == ToolFamily::kXml ? xml_call(end) : object_call(end);
  if (mode_ != Mode::kCall) return more;
  emit_arguments();
  if (!end || more) return more;
  if (!call_begun_) return fail_call();
  at_ = in_.size();
  end_arguments();
  return false;
}

bool ChatReader::object_call(bool) {
  for (; at_ < in_.size(); ++at_) {
    const char byte = in_[at_];
    if (phase_ == Phase::kBefore) {
      if (is_blank(byte)) continue;
      if (dialect_.family == ToolFamily::kMistral && byte == '[' && !in_list_) {
        in_list_ = true;
        continue;
      }
      if (byte != '{') return fail_call();
      phase_ = Phase::kObject;
    }
    if (!call_begun_ && at_ - call_start_ > kUnknownBytesMax) return fail_call();
    const auto step = object_.push(byte);
    if (step == CallObject::Step::kBad) return fail_call();
    if (object_.begun() && !call_begun_) {
      // JSON without a mark is a call only where it calls something.
      const bool bare = call_mark_ == 0 && dialect_.family == ToolFamily::kBare;
      if (bare && !tools_.contains(object_.name())) return fail_call();
      begin_arguments(object_.name());
    }
    if (call_begun_) arguments_ += object_.take_arguments();
    if (step != CallObject::Step::kDone) continue;
    ++at_;
    end_arguments();
    return true;
  }
  return false;
}

bool ChatReader::between(bool end) {
  skip_blanks();
  if (close_expected_) {
    const Found close = find_here(dialect_.close, end);
    if (close == Found::kPartly) return false;
    close_expected_ = false;
    if (close == Found::kWhole) at_ += dialect_.close.size();
    return true;
  }
  if (rest().empty()) return false;
  const char byte = in_[at_];
  if (in_list_) {
    if (byte == ',' || byte == ']') ++at_;
    if (byte == ',') {
      begin_call(0);
    } else {
      in_list_ = false;
    }
    return true;
  }
  if (dialect_.family == ToolFamily::kBare) {
    if (byte == ';' || byte == ',') return ++at_, true;
    if (byte == '{') return begin_call(0), true;
  }
  if (!dialect_.open.empty()) {
    const Found open = find_here(dialect_.open, end);
    if (open == Found::kPartly) return false;
    if (open == Found::kWhole) return begin_call(dialect_.open.size()), true;
  }
  mode_ = Mode::kText;
  text_begun_ = false;
  return true;
}

// What has not begun is text, its mark too; what has ends where it stops making sense.
bool ChatReader::fail_call() {
  in_list_ = false;
  if (call_begun_) {
    emit_arguments();
    end_arguments();
    close_expected_ = false;
    return true;
  }
  at_ = call_start_;
  literal_until_ = call_start_ + call_mark_;
  mode_ = Mode::kText;
  return true;
}

void ChatReader::begin_arguments(const std::string& name) {
  call_begun_ = true;
  events_->on_tool_begin(name);
}

void ChatReader::emit_arguments() {
  if (call_begun_ && !arguments_.empty()) events_->on_tool_arguments(std::exchange(arguments_, {}));
}

void ChatReader::end_arguments() {
  emit_arguments();
  events_->on_tool_end();
  close_expected_ = !dialect_.close.empty();
  mode_ = Mode::kBetween;
}

void ChatReader::emit_text(size_t bytes) {
  if (bytes == 0) return;
  text_begun_ = true;
  events_->on_text(rest().substr(0, bytes), gone_ + at_);
  at_ += bytes;
}

ChatReader::Found ChatReader::find_here(std::string_view mark, bool end) const {
  if (rest().starts_with(mark)) return Found::kWhole;
  return !end && mark.starts_with(rest()) ? Found::kPartly : Found::kNo;
}

size_t ChatReader::skip_blanks() {
  const size_t before = at_;
  while (at_ < in_.size() && is_blank(in_[at_])) ++at_;
  return at_ - before;
}

void ChatReader::compact() {
  const bool whole_call = mode_ == Mode::kCall && !call_begun_;
  const size_t done = whole_call ? call_start_ : at_;
  in_.erase(0, done);
  gone_ += done;
  at_ -= done;
  call_start_ -= std::min(call_start_, done);
  literal_until_ -= std::min(literal_until_, done);
}

}  // namespace mneme::serve

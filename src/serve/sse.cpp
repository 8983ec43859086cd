#include "serve/sse.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"

namespace mneme::serve {

namespace {

// A line break in the text is a line of its own in the event.
void append_data(std::string& out, std::string_view text) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out.append("data: ").append(text.substr(at, end - at)).append("\n");
    at = end + 1;
  }
  out += '\n';
}

}  // namespace

EventStream::EventStream(std::shared_ptr<Answer> answer, std::string ping, double ping_every_s)
    : answer_(std::move(answer)), ping_(std::move(ping)), ping_every_s_(ping_every_s) {}

void EventStream::begin(Headers more) {
  if (begun_.exchange(true)) return;
  // Proxies keep events back unless they are told not to.
  more.emplace_back("Cache-Control", "no-cache");
  more.emplace_back("X-Accel-Buffering", "no");
  written_s_ = core::now_s();
  answer_->begin(200, "text/event-stream; charset=utf-8", std::move(more));
}

void EventStream::data(std::string_view text) {
  std::string piece;
  append_data(piece, text);
  write(std::move(piece));
}

void EventStream::event(std::string_view name, std::string_view text) {
  std::string piece = "event: ";
  piece.append(name).append("\n");
  append_data(piece, text);
  write(std::move(piece));
}

void EventStream::keep_alive() {
  if (core::now_s() - written_s_.load() >= ping_every_s_) write(ping_);
}

void EventStream::end() { answer_->end(); }

void EventStream::write(std::string piece) {
  begin();
  written_s_ = core::now_s();
  answer_->write(std::move(piece));
}

}  // namespace mneme::serve

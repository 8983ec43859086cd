#include "serve/http_connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "serve/http_text.h"

namespace mneme::serve {
namespace {

using namespace std::chrono_literals;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = size_t{4} << 10, kReadBodyBytes = size_t{64} << 10;
constexpr size_t kInputBytesMax = size_t{128} << 10;
// Bytes of a body that count as progress, so that one byte a minute is none.
constexpr size_t kProgressBytes = 1024;
// Between the end of what the client sends and taking it for gone: programs that close their side after a
// request get quick answers still.
constexpr auto kHalfClosed = 100ms;
constexpr auto kLinger = 2000ms, kLingerDraining = 100ms;

}  // namespace

Connection::Connection(std::shared_ptr<ConnectionCore> core, std::unique_ptr<Stream> stream,
                       asio::any_io_executor executor, std::string peer)
    : core_(std::move(core)),
      stream_(std::move(stream)),
      executor_(std::move(executor)),
      peer_(std::move(peer)),
      changed_(executor_),
      watch_timer_(executor_),
      incoming_(kReadBytes) {}

Connection::~Connection() {
  if (current_) {
    current_->detach();
    current_->client_left();
  }
  hold_body(0);
}

void Connection::start() {
  changed_.expires_at(Clock::time_point::max());
  const auto self = shared_from_this();
  asio::co_spawn(executor_, serve(), [self](const std::exception_ptr&) { self->finish(); });
  asio::co_spawn(executor_, watch(), [self](const std::exception_ptr&) {});
}

void Connection::finish() {
  if (closed_) return;
  closed_ = closing_ = left_ = true;
  answering_ = false;
  if (current_) {
    current_->detach();
    current_->client_left();
    current_ = nullptr;
  }
  hold_body(0);
  stream_->close();
  watch_timer_.cancel();
  notify();
  const std::lock_guard lock(core_->mutex);
  core_->connections.erase(this);
  core_->changed.notify_all();
}

void Connection::drain() {
  asio::post(executor_, [self = shared_from_this()] {
    self->draining_ = true;
    if (self->current_) self->current_->close_after();
    self->notify();
  });
}

void Connection::cut() {
  asio::post(executor_, [self = shared_from_this()] {
    self->client_left();
    self->stream_->close();
  });
}

asio::awaitable<void> Connection::serve() {
  set_deadline(core_->options.limits.header_time);
  writing_ = true;
  if (const error_code error = co_await stream_->handshake(); error) co_return;
  writing_ = false;
  asio::co_spawn(executor_, pump(), [self = shared_from_this()](const std::exception_ptr& failed) {
    if (failed) self->finish();
  });
  while (!left_ && !draining_) {
    RequestReader reader(core_->options.limits);
    if (!co_await read_request(reader)) break;
    if (!co_await answer(reader)) break;
  }
  co_await close();
}

// False: there is none, and what was to be said about it is said.
asio::awaitable<bool> Connection::read_request(RequestReader& reader) {
  using State = RequestReader::State;
  const HttpLimits& limits = core_->options.limits;
  bool begun = false, in_body = false, continued = false;
  size_t progress = 0;
  set_deadline(limits.idle_time);
  for (;;) {
    const size_t used = reader.take(input_);
    input_.erase(0, used);
    const size_t left = input_.size();
    notify();  // pump() may wait for room
    if (reader.state() == State::kWhole) break;
    if (reader.state() == State::kFault) {
      co_await refuse(reader.fault().status, reader.fault().reason, reader);
      co_return false;
    }
    const size_t body = reader.request().body.size();
    if (!hold_body(body)) {
      co_await refuse(503, "too many large requests at once", reader);
      co_return false;
    }
    if (reader.state() == State::kBody) {
      if (!in_body || body >= progress + kProgressBytes) {
        set_deadline(limits.body_time);
        progress = body;
      }
      reading_body_ = in_body = true;
      if (reader.wants_continue() && !std::exchange(continued, true)) {
        if (!co_await write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
        set_deadline(limits.body_time);
      }
    } else if (!begun && left > 0) {
      begun = true;
      set_deadline(limits.header_time);
    }
    begun = begun || in_body;
    while (input_.size() == left && !ended_ && !left_ && !timed_out_ && (begun || !draining_)) {
      co_await wait_for_change();
    }
    if (input_.size() > left && !left_) continue;
    if (timed_out_ && begun) co_await refuse(408, "the request came too slowly", reader);
    co_return false;
  }
  reading_body_ = false;
  clear_deadline();
  co_return hold_body(reader.request().body.size()) && !left_;
}

// False: the connection is to be closed.
asio::awaitable<bool> Connection::answer(RequestReader& reader) {
  auto request = std::make_shared<HttpRequest>(std::move(reader.request()));
  request->peer = peer_;
  const std::string_view id = request->header("x-request-id");
  request->id = is_sane_id(id) ? std::string(id) : new_request_id();
  reader.request().id = request->id;
  reader.request().method = request->method;
  current_ = new_stream(reader, reader.keeps_alive() && !draining_);
  answering_ = true;
  core_->workers->add(
      [self = shared_from_this(), request = std::move(request), given = give_answer(current_)]() mutable {
        self->run_request(std::move(request), std::move(given));
      });
  const bool sent = co_await send_answer();
  const bool again = sent && current_->keeps_alive();
  if (!sent) client_left();
  current_->detach();
  current_ = nullptr;
  answering_ = false;
  hold_body(0);
  co_return again;
}

void Connection::run_request(std::shared_ptr<HttpRequest> request, std::shared_ptr<Answer> answer) {
  try {
    core_->answer_request(std::move(request), answer);
  } catch (const std::exception&) {
    // Letting go of the answer says that it failed.
  }
}

asio::awaitable<bool> Connection::send_answer() {
  for (;;) {
    if (left_) co_return false;
    std::string bytes = current_->take();
    if (!bytes.empty()) {
      if (!co_await write(std::move(bytes))) co_return false;
      continue;
    }
    if (current_->finished()) co_return true;
    if (ended_ && timed_out_) co_return false;
    if (ended_ && deadline_ == Clock::time_point::max()) set_deadline(kHalfClosed);
    co_await wait_for_change();
  }
}

asio::awaitable<bool> Connection::write(std::string bytes) {
  asio::const_buffer rest(bytes.data(), bytes.size());
  writing_ = true;
  while (rest.size() > 0 && !left_) {
    set_deadline(core_->options.limits.write_time);
    const auto [error, count] = co_await stream_->write_some(rest);
    if (error) left_ = true;
    rest += count;
  }
  writing_ = false;
  clear_deadline();
  co_return !left_;
}

asio::awaitable<void> Connection::refuse(int status, std::string reason, RequestReader& reader) {
  HttpRequest& request = reader.request();
  request.peer = peer_;
  const std::string_view id = request.header("x-request-id");
  request.id = is_sane_id(id) ? std::string(id) : new_request_id();
  std::string body;
  if (core_->options.describe_refusal) {
    body = core_->options.describe_refusal(status, reason, request);
  } else {
    body = nlohmann::json{{"error", {{"message", reason}}}}.dump(-1, ' ', false,
                                                                 nlohmann::json::error_handler_t::replace);
  }
  current_ = new_stream(reader, false);
  current_->send(status, "application/json", std::move(body), {{"x-request-id", request.id}});
  co_await send_answer();
  current_->detach();
  current_ = nullptr;
}

asio::awaitable<void> Connection::close() {
  closing_ = true;
  input_.clear();
  notify();
  if (!left_) {
    // Closing at once would reset the connection, and the answer might be lost with it.
    set_deadline(draining_ ? kLingerDraining : kLinger);
    writing_ = true;  // the deadline closes
    co_await stream_->shut_down();
    while (!ended_ && !left_ && !timed_out_) co_await wait_for_change();
  }
}

asio::awaitable<void> Connection::pump() {
  while (!closed_) {
    if (input_.size() >= kInputBytesMax && !closing_) {
      co_await wait_for_change();
      continue;
    }
    const size_t room = reading_body_ ? kReadBodyBytes : kReadBytes;
    if (incoming_.size() != room) incoming_ = std::vector<char>(room);
    const auto [error, count] = co_await stream_->read_some(asio::buffer(incoming_));
    if (count > 0 && !closing_) input_.append(incoming_.data(), count);
    if (count > 0) notify();
    if (!error) continue;
    ended_ = true;
    notify();
    if (error != asio::error::eof && error != asio::ssl::error::stream_truncated) client_left();
    co_return;
  }
}

void Connection::client_left() {
  left_ = true;
  if (current_) current_->client_left();
  if (writing_) stream_->close();
  notify();
}

asio::awaitable<void> Connection::watch() {
  while (!closed_) {
    watch_timer_.expires_at(deadline_);
    (void)co_await watch_timer_.async_wait(kAwait);
    if (closed_) break;
    if (Clock::now() < deadline_) continue;
    timed_out_ = true;
    deadline_ = Clock::time_point::max();
    if (writing_) client_left();
    notify();
  }
}

void Connection::set_deadline(Clock::duration from_now) {
  deadline_ = Clock::now() + from_now;
  timed_out_ = false;
  if (deadline_ < watch_timer_.expiry()) watch_timer_.cancel();
}

asio::awaitable<void> Connection::wait_for_change() { (void)co_await changed_.async_wait(kAwait); }

void Connection::notify() { changed_.cancel(); }

// What the answer's writer has done.
void Connection::woken() {
  if (current_ && current_->gone()) client_left();
  notify();
}

std::shared_ptr<AnswerStream> Connection::new_stream(RequestReader& reader, bool keep_alive) {
  const AnswerStream::Wire wire{reader.is_http_1_0(), reader.request().method == "HEAD", keep_alive};
  auto wake = [weak = weak_from_this(), executor = executor_] {
    asio::post(executor, [weak] {
      if (const auto self = weak.lock()) self->woken();
    });
  };
  return std::make_shared<AnswerStream>(reader.request().id, wire, core_->options.limits.waiting_bytes_max,
                                        std::move(wake));
}

// Counts the body under way among all that are held; false where that is too much.
bool Connection::hold_body(size_t bytes) {
  core_->body_bytes += bytes - held_;  // wraps round where it shrinks, as it should
  held_ = bytes;
  return bytes == 0 || core_->body_bytes <= core_->options.limits.bodies_bytes_max;
}

}  // namespace mneme::serve

#include "serve/http_answer.h"

#include <algorithm>
#include <ctime>

#include "core/error.h"
#include "serve/http_text.h"

namespace mneme::serve {
namespace {

// A header must not become two.
std::string one_line(std::string_view text) {
  std::string out(text);
  std::erase_if(out, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
  return out;
}

std::string date_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text;
}

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

class GivenAnswer : public Answer {
 public:
  explicit GivenAnswer(std::shared_ptr<AnswerStream> stream) : stream_(std::move(stream)) {}
  ~GivenAnswer() override { stream_->abandon(); }
  GivenAnswer(const GivenAnswer&) = delete;
  GivenAnswer& operator=(const GivenAnswer&) = delete;
  void send(int status, std::string content_type, std::string body, Headers more) override {
    stream_->send(status, content_type, std::move(body), more);
  }
  void begin(int status, std::string content_type, Headers more) override {
    stream_->begin(status, content_type, more);
  }
  void write(std::string piece) override { stream_->write(piece); }
  void end() override { stream_->end(); }
  void write_all(std::function<std::string()> next) override { stream_->write_all(std::move(next)); }
  std::string request_id() const override { return stream_->request_id(); }
  bool gone() const override { return stream_->gone(); }
  void on_gone(std::function<void()> call) override { stream_->on_gone(std::move(call)); }

 private:
  std::shared_ptr<AnswerStream> stream_;
};

}  // namespace

AnswerStream::AnswerStream(std::string request_id, const Wire& wire, size_t waiting_bytes_max,
                           std::function<void()> wake)
    : request_id_(std::move(request_id)),
      waiting_bytes_max_(waiting_bytes_max),
      wire_(wire),
      wake_(std::move(wake)) {}

void AnswerStream::add_head(int status, std::string_view content_type, const Headers& more,
                            const size_t* length) {
  const bool chunked = length == nullptr && !wire_.is_http_1_0 && has_body(status);
  if (length == nullptr && wire_.is_http_1_0) wire_.keep_alive = false;  // the end is where the bytes end
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status, status_text(status), date_text());
  if (!content_type.empty()) head += "Content-Type: " + one_line(content_type) + "\r\n";
  if (length != nullptr && has_body(status)) head += fmt::format("Content-Length: {}\r\n", *length);
  if (chunked) head += "Transfer-Encoding: chunked\r\n";
  if (!wire_.keep_alive) head += "Connection: close\r\n";
  if (wire_.keep_alive && wire_.is_http_1_0) head += "Connection: keep-alive\r\n";
  for (const auto& [name, value] : more) head += one_line(name) + ": " + one_line(value) + "\r\n";
  waiting_ += head + "\r\n";
}

void AnswerStream::send(int status, std::string_view content_type, std::string body, const Headers& more) {
  const std::lock_guard lock(mutex_);
  if (begun_ || gone_) return;
  begun_ = ended_ = true;
  const size_t length = body.size();
  add_head(status, content_type, more, &length);
  if (!wire_.is_head && has_body(status)) waiting_ += body;
  wake_locked();
}

void AnswerStream::begin(int status, std::string_view content_type, const Headers& more) {
  const std::lock_guard lock(mutex_);
  if (begun_ || gone_) return;
  begun_ = true;
  add_head(status, content_type, more, nullptr);
  wake_locked();
}

void AnswerStream::add_piece(std::string_view piece) {
  if (piece.empty() || wire_.is_head) return;
  if (wire_.is_http_1_0) {
    waiting_ += piece;
    return;
  }
  waiting_ += fmt::format("{:x}\r\n", piece.size());
  waiting_ += piece;
  waiting_ += "\r\n";
}

void AnswerStream::add_end() {
  ended_ = true;
  if (!wire_.is_http_1_0 && !wire_.is_head) waiting_ += "0\r\n\r\n";
}

void AnswerStream::write(std::string_view piece) {
  std::unique_lock lock(mutex_);
  if (!begun_ || ended_ || gone_) return;
  if (waiting_.size() + passing_ + piece.size() > waiting_bytes_max_) {
    lock.unlock();
    client_left();
    return;
  }
  add_piece(piece);
  wake_locked();
}

void AnswerStream::end() {
  const std::lock_guard lock(mutex_);
  if (!begun_ || ended_ || gone_) return;
  add_end();
  wake_locked();
}

void AnswerStream::write_all(std::function<std::string()> next) {
  const std::lock_guard lock(mutex_);
  if (!begun_ || ended_ || gone_ || next_) return;
  next_ = std::make_shared<std::function<std::string()>>(std::move(next));
  wake_locked();
}

void AnswerStream::on_gone(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      if (!ended_) gone_calls_.push_back(std::move(call));
      return;
    }
  }
  call();
}

bool AnswerStream::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

void AnswerStream::abandon() {
  const std::lock_guard lock(mutex_);
  if (ended_ || gone_ || next_) return;
  if (begun_) {
    broken_ = ended_ = true;  // the stream breaks off where a client sees that it is not whole
  } else {
    begun_ = ended_ = true;
    const std::string body = R"({"error":{"message":"the server failed to answer","type":"server_error"}})";
    const size_t length = body.size();
    add_head(500, "application/json", {}, &length);
    if (!wire_.is_head) waiting_ += body;
  }
  wake_locked();
}

std::string AnswerStream::take() {
  std::unique_lock lock(mutex_);
  woken_ = false;
  if (waiting_.empty() && next_ && !ended_ && !gone_) {
    const auto next = next_;
    lock.unlock();
    const std::string piece = (*next)();
    lock.lock();
    if (piece.empty()) {
      add_end();
      next_ = nullptr;
    } else {
      add_piece(piece);
    }
  }
  passing_ = waiting_.size();
  return std::exchange(waiting_, {});
}

bool AnswerStream::finished() const {
  const std::lock_guard lock(mutex_);
  return ended_ && waiting_.empty();
}

bool AnswerStream::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool AnswerStream::keeps_alive() const {
  const std::lock_guard lock(mutex_);
  return wire_.keep_alive && !broken_ && !gone_;
}

void AnswerStream::close_after() {
  const std::lock_guard lock(mutex_);
  wire_.keep_alive = false;
}

void AnswerStream::client_left() {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    gone_ = true;
    waiting_.clear();
    calls.swap(gone_calls_);
    wake_locked();
  }
  for (const auto& call : calls) call();
}

void AnswerStream::detach() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
}

void AnswerStream::wake_locked() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

std::shared_ptr<Answer> give_answer(std::shared_ptr<AnswerStream> stream) {
  return std::make_shared<GivenAnswer>(std::move(stream));
}

}  // namespace mneme::serve

// One answer between who writes it and the connection that sends it: a queue of bytes as they go on the wire.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http.h"

namespace mneme::serve {

class AnswerStream {
 public:
  struct Wire {
    bool is_http_1_0 = false;
    bool is_head = false;  // headers alone
    bool keep_alive = true;
  };
  // `wake` is called, on any thread, when there is something to take; until detach().
  AnswerStream(std::string request_id, const Wire& wire, size_t waiting_bytes_max,
               std::function<void()> wake);

  // The writer's side.
  void send(int status, std::string_view content_type, std::string body, const Headers& more);
  void begin(int status, std::string_view content_type, const Headers& more);
  void write(std::string_view piece);
  void end();
  void write_all(std::function<std::string()> next);
  void on_gone(std::function<void()> call);
  bool gone() const;
  void abandon();  // nobody will write any more
  const std::string& request_id() const { return request_id_; }

  // The connection's side.
  std::string take();        // what is to be sent now; empty: nothing yet
  bool finished() const;     // all of it was taken
  bool ended() const;        // nothing more will be written
  bool keeps_alive() const;  // once it is finished
  void close_after();        // keeps_alive() no more, and says so where that can still be said
  void client_left();        // calls on_gone's
  void detach();             // wakes nobody from now on

 private:
  void add_head(int status, std::string_view content_type, const Headers& more, const size_t* length);
  void add_piece(std::string_view piece);
  void add_end();
  void wake_locked();

  const std::string request_id_;
  const size_t waiting_bytes_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Wire wire_;
  std::function<void()> wake_;
  std::shared_ptr<std::function<std::string()>> next_;  // has a state: never copied
  std::vector<std::function<void()>> gone_calls_;
  std::string waiting_;
  size_t passing_ = 0;  // bytes taken last, perhaps not sent yet
  bool begun_ = false, ended_ = false, gone_ = false, broken_ = false, woken_ = false;
};

// What a request is given: letting go of the last of it ends the answer.
std::shared_ptr<Answer> give_answer(std::shared_ptr<AnswerStream> stream);

}  // namespace mneme::serve

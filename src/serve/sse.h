// Server-sent events over an Answer, with signs of life while there is nothing to say: who prefills calls
// keep_alive() with each piece of work done, and a ping goes out where nothing else did for a while.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace mneme::serve {

// Thread safe, as the Answer is.
class EventStream {
 public:
  static constexpr double kPingEvery_s = 5;
  // `ping`: what a sign of life is; a comment by default, which clients skip.
  explicit EventStream(std::shared_ptr<Answer> answer, std::string ping = ": ping\n\n",
                       double ping_every_s = kPingEvery_s);

  void begin(Headers more = {});  // the headers, at once; a second time does nothing
  bool begun() const { return begun_.load(); }
  void data(std::string_view text);
  void event(std::string_view name, std::string_view text);  // with its name
  void keep_alive();
  void end();
  const std::shared_ptr<Answer>& answer() const { return answer_; }

 private:
  void write(std::string piece);

  std::shared_ptr<Answer> answer_;
  const std::string ping_;
  const double ping_every_s_;
  std::atomic<bool> begun_ = false;
  std::atomic<double> written_s_ = 0;
};

}  // namespace mneme::serve

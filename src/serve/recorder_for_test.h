// A listener that writes down what it hears, and in which order.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/backend.h"

namespace mneme::serve {

class Recorder final : public GenerationListener {
 public:
  struct End {
    GenerateReport report;
    std::optional<Failure> failure;
  };

  void on_begin(size_t prompt_tokens, size_t found_tokens) override {
    order += 'b';
    prompt = prompt_tokens;
    found = found_tokens;
  }
  void on_prefill(size_t done, size_t total) override {
    order += 'p';
    prefilled.push_back(done);
    prefill_total = total;
  }
  void on_prompt_token(const DrawnToken& token) override {
    order += 's';
    scores.push_back(token);
  }
  void on_token(const DrawnToken& token) override {
    order += 'k';
    tokens.push_back(token);
  }
  void on_text(std::string_view piece) override {
    order += 't';
    text += piece;
    if (during_text) during_text();
  }
  void on_end(const GenerateReport& report) override { finish('e', {report, std::nullopt}); }
  void on_failure(const Failure& failure) override { finish('f', {{}, failure}); }

  bool ended() const { return done.has_value(); }  // on the thread that calls it
  End wait() {
    if (future.valid()) waited = future.get();
    return *waited;
  }

  std::string order;  // b p s k t e f
  size_t prompt = 0, found = 0, prefill_total = 0;
  std::vector<size_t> prefilled;
  std::vector<DrawnToken> scores, tokens;
  std::string text;
  std::optional<End> done;
  std::function<void()> during_text;

 private:
  void finish(char what, End end) {
    order += what;
    done = end;
    promise.set_value(std::move(end));  // a second end throws
  }
  std::promise<End> promise;
  std::future<End> future = promise.get_future();
  std::optional<End> waited;
};

}  // namespace mneme::serve

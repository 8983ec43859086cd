#include "serve/server_answer.h"

#include <mutex>

#include "core/clock.h"

namespace mneme::serve {
namespace {

// What is known of an answer; told once.
class Account {
 public:
  Account(RequestRecord record, Headers headers, AnswerEnd end)
      : record_(std::move(record)),
        headers_(std::move(headers)),
        end_(std::move(end)),
        start_s_(core::now_s()) {}

  Headers begin(int status, Headers more) {
    const std::lock_guard lock(mutex_);
    if (record_.status == 0) record_.status = status;
    more.insert(more.end(), headers_.begin(), headers_.end());
    return more;
  }
  void add_bytes(size_t count) {
    const std::lock_guard lock(mutex_);
    record_.bytes += count;
  }
  void add_headers(Headers more) {
    const std::lock_guard lock(mutex_);
    headers_.insert(headers_.end(), more.begin(), more.end());
  }
  void assign(std::string_view owner, std::string_view pattern) {
    const std::lock_guard lock(mutex_);
    record_.owner = owner;
    record_.pattern = pattern;
  }
  void tokens(std::string_view model, uint64_t prompt, uint64_t generated) {
    const std::lock_guard lock(mutex_);
    record_.model = model;
    record_.prompt_tokens += prompt;
    record_.generated_tokens += generated;
  }
  void hold(std::shared_ptr<void> thing) {
    const std::lock_guard lock(mutex_);
    held_ = std::move(thing);
  }
  void end(bool gone) {
    AnswerEnd end;
    std::shared_ptr<void> held;
    RequestRecord record;
    {
      const std::lock_guard lock(mutex_);
      end.swap(end_);
      if (!end) return;
      held.swap(held_);
      if (record_.status == 0) record_.status = gone ? 499 : 500;
      record_.gone = gone;
      record_.seconds = core::now_s() - start_s_;
      record = record_;
    }
    end(record);
  }

 private:
  std::mutex mutex_;
  RequestRecord record_;
  Headers headers_;
  AnswerEnd end_;
  std::shared_ptr<void> held_;
  const double start_s_;
};

// Accounted for before its last bytes go out: who has an answer finds it in the log and the meters, and what
// it held is free again.
class AccountedAnswer : public Answer {
 public:
  AccountedAnswer(std::shared_ptr<Answer> inner, std::shared_ptr<Account> account)
      : inner_(std::move(inner)), account_(std::move(account)) {}
  ~AccountedAnswer() override {
    if (!streaming_all_) account_->end(inner_->gone());
  }
  AccountedAnswer(const AccountedAnswer&) = delete;
  AccountedAnswer& operator=(const AccountedAnswer&) = delete;

  void send(int status, std::string content_type, std::string body, Headers more) override {
    const Headers all = account_->begin(status, std::move(more));
    account_->add_bytes(body.size());
    account_->end(inner_->gone());
    inner_->send(status, std::move(content_type), std::move(body), all);
  }
  void begin(int status, std::string content_type, Headers more) override {
    inner_->begin(status, std::move(content_type), account_->begin(status, std::move(more)));
  }
  void write(std::string piece) override {
    account_->add_bytes(piece.size());
    inner_->write(std::move(piece));
  }
  void end() override {
    account_->end(inner_->gone());
    inner_->end();
  }
  void write_all(std::function<std::string()> next) override {
    streaming_all_ = true;
    inner_->on_gone([account = account_] { account->end(true); });
    inner_->write_all([account = account_, next = std::move(next)] {
      std::string piece = next();
      account->add_bytes(piece.size());
      if (piece.empty()) account->end(false);
      return piece;
    });
  }
  std::string request_id() const override { return inner_->request_id(); }
  bool gone() const override { return inner_->gone(); }
  void on_gone(std::function<void()> call) override { inner_->on_gone(std::move(call)); }

 private:
  std::shared_ptr<Answer> inner_;
  std::shared_ptr<Account> account_;
  bool streaming_all_ = false;
};

}  // namespace

WatchedAnswer watch_answer(std::shared_ptr<Answer> inner, RequestRecord record, Headers headers,
                           AnswerEnd end) {
  auto account = std::make_shared<Account>(std::move(record), std::move(headers), std::move(end));
  WatchedAnswer watched;
  watched.account = [account](std::string_view model, uint64_t prompt, uint64_t generated) {
    account->tokens(model, prompt, generated);
  };
  watched.assign = [account](std::string_view owner, std::string_view pattern) {
    account->assign(owner, pattern);
  };
  watched.add_headers = [account](Headers more) { account->add_headers(std::move(more)); };
  watched.hold = [account](std::shared_ptr<void> thing) { account->hold(std::move(thing)); };
  watched.answer = std::make_shared<AccountedAnswer>(std::move(inner), std::move(account));
  return watched;
}

}  // namespace mneme::serve

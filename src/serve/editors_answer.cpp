#include "serve/editors_answer.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "serve/answer_room.h"
#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

class EditListener final : public GenerationListener {
 public:
  EditListener(const Call& call, const std::shared_ptr<Backend>& backend, const EditRequest& request,
               EditAnswer answer)
      : stream_(call.answer),
        answer_(std::move(answer)),
        backend_(backend),
        account_(account_of(call, *backend)),
        predict_max_s_(request.predict_max_s),
        streams_(request.stream) {}

  void started(GenerationId id) {
    id_ = id;
    const std::lock_guard lock(mutex_);
    if (streams_ && !ended_) stream_.begin();
  }

  void on_prefill(size_t, size_t) override {
    const std::lock_guard lock(mutex_);
    if (streams_) stream_.keep_alive();
  }

  void on_text(std::string_view piece) override {
    const std::lock_guard lock(mutex_);
    if (streams_) stream_.data(json_text(answer_.write(piece, nullptr)));
    if (predict_max_s_ <= 0) return;
    if (first_text_s_ == 0) first_text_s_ = core::now_s();
    if (core::now_s() - first_text_s_ < predict_max_s_ || id_ == 0) return;
    out_of_time_ = true;
    predict_max_s_ = 0;
    if (const auto backend = backend_.lock()) backend->cancel(id_);
  }

  void on_end(const GenerateReport& report) override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    if (account_) account_(report.prompt_tokens + report.found_tokens, report.generated_tokens);
    GenerateReport end = report;
    if (out_of_time_) end.reason = StopReason::kLength;
    if (!streams_)
      return stream_.answer()->send(200, "application/json", json_text(answer_.write(end.text, &end)));
    stream_.data(json_text(answer_.write("", &end)));
    stream_.end();
  }

  void on_failure(const Failure& failure) override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    if (!stream_.begun()) return send_failure(*stream_.answer(), answer_.surface, failure);
    stream_.data(json_text(error_body(answer_.surface, failure)));
    stream_.end();
  }

 private:
  std::mutex mutex_;  // started() comes from another thread than the rest
  EventStream stream_;
  const EditAnswer answer_;
  const std::weak_ptr<Backend> backend_;
  const std::function<void(uint64_t, uint64_t)> account_;
  std::atomic<GenerationId> id_ = 0;
  double predict_max_s_, first_text_s_ = 0;
  const bool streams_;
  bool out_of_time_ = false, ended_ = false;
};

}  // namespace

size_t prompt_tokens_max(const Call& call, const Backend& backend, const EditRequest& request) {
  const uint64_t tokens = context_tokens_max(backend, call.caller.tokens_max);
  if (tokens == 0) return SIZE_MAX;
  const auto generated = static_cast<uint64_t>(std::max(request.generate.tokens_max, 1));
  return static_cast<size_t>(tokens - std::min(tokens, generated));
}

tl::expected<void, Failure> start_edit(const Call& call, const std::shared_ptr<Backend>& backend,
                                       EditRequest request, std::vector<TokenId> prompt, EditAnswer answer) {
  const auto listener = std::make_shared<EditListener>(call, backend, request, std::move(answer));
  GenerationRequest generation;
  generation.prompt = std::move(prompt);
  generation.generate = std::move(request.generate);
  generation.from = origin_of(call);
  if (request.warm_only) generation.from.priority = Priority::kLow;
  generation.warm_only = request.warm_only;
  const GenerationId id = backend->submit(std::move(generation), listener);
  cancel_when_gone(*call.answer, backend, {id});
  listener->started(id);
  return {};
}

}  // namespace mneme::serve

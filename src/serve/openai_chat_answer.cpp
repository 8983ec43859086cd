#include "serve/openai_chat_answer.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "serve/openai_progress.h"
#include "serve/sse.h"

namespace mneme::serve {

namespace {

Json token_json(const std::string& bytes, float logprob) {
  Json numbers = Json::array();
  for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
  return {{"token", sound_text(bytes)}, {"logprob", finite_logprob(logprob)}, {"bytes", std::move(numbers)}};
}

Json logprobs_json(std::span<const DrawnToken> tokens) {
  Json content = Json::array();
  for (const DrawnToken& token : tokens) {
    Json one = token_json(token.bytes, token.logprob);
    Json top = Json::array();
    for (const auto& other : token.top) top.push_back(token_json(other.bytes, other.logprob));
    one["top_logprobs"] = std::move(top);
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

struct WholeCall {
  std::string id, name, arguments;
};
struct WholeChoice {
  std::string text, reasoning;
  std::vector<WholeCall> calls;
  std::vector<DrawnToken> tokens;
  ChatEnd end;
};

// What a chunk tells of its choice.
struct Piece {
  Json delta = Json::object();
  Json logprobs = {}, finish = {}, progress = {};
  std::optional<TokenUsage> times = {};
};

// What the choices of one answer share. Thread safe: a failure may come while the request's own thread still
// submits other choices.
class SharedAnswer {
 public:
  SharedAnswer(const Call& call, const OpenAiChatRequest& request, std::string model)
      : answer_(call.answer),
        account_(call.account),
        stream_(call.answer),
        options_(request.stream),
        logprobs_(request.logprobs),
        legacy_(request.legacy_functions),
        id_(random_id("chatcmpl-")),
        model_(std::move(model)),
        created_(std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count()),
        choices_(static_cast<size_t>(request.chat.choices)) {}

  void begin() {
    const std::lock_guard lock(mutex_);
    if (options_.on && !over_) stream_.begin();
  }
  void keep_alive() {
    if (options_.on && stream_.begun()) stream_.keep_alive();
  }
  bool streams() const { return options_.on; }
  bool progress() const { return options_.progress; }
  bool timings() const { return options_.timings; }
  bool legacy() const { return legacy_; }
  bool logprobs() const { return logprobs_; }
  void chunk(size_t index, Piece piece);
  void end(size_t index, WholeChoice choice);
  void fail(const Failure& failure);

 private:
  Json head(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_},
            {"system_fingerprint", "mneme"}};
  }
  Json whole_choice(size_t index, const WholeChoice& choice) const;
  Json message_of(const WholeChoice& choice) const;
  TokenUsage usage() const;
  std::string finish_name(const ChatEnd& end) const;
  void finish_all();

  const std::shared_ptr<Answer> answer_;
  const std::function<void(std::string_view, uint64_t, uint64_t)> account_;
  EventStream stream_;
  const StreamOptions options_;
  const bool logprobs_, legacy_;
  const std::string id_, model_;
  const int64_t created_;
  std::mutex mutex_;
  std::vector<WholeChoice> choices_;
  size_t ended_ = 0;
  bool over_ = false;
};

std::string SharedAnswer::finish_name(const ChatEnd& end) const {
  switch (end.finish) {
    case Finish::kLength:
    case Finish::kFull: return "length";
    case Finish::kToolCalls: return legacy_ ? "function_call" : "tool_calls";
    default: return "stop";
  }
}

void SharedAnswer::chunk(size_t index, Piece piece) {
  Json chunk = head("chat.completion.chunk");
  chunk["choices"] = Json::array({{{"index", index},
                                   {"delta", std::move(piece.delta)},
                                   {"logprobs", std::move(piece.logprobs)},
                                   {"finish_reason", std::move(piece.finish)}}});
  if (options_.include_usage) chunk["usage"] = nullptr;
  if (!piece.progress.is_null()) chunk["prompt_progress"] = std::move(piece.progress);
  if (piece.times) chunk["timings"] = timings_json(*piece.times);
  const std::lock_guard lock(mutex_);
  if (!over_) stream_.data(json_text(chunk));
}

TokenUsage usage_of(const ChatEnd& end) {
  return {.prompt = end.prompt_tokens,
          .found = end.found_tokens,
          .generated = end.generated_tokens,
          .reasoning = end.reasoning_tokens,
          .prefill_s = end.prefill_s,
          .decode_s = end.decode_s};
}

TokenUsage SharedAnswer::usage() const {
  TokenUsage sum{.answers = choices_.size()};
  for (const WholeChoice& choice : choices_) {
    const TokenUsage one = usage_of(choice.end);
    sum.prompt = std::max(sum.prompt, one.prompt);
    sum.generated += one.generated;
    sum.reasoning += one.reasoning;
    sum.prefill_s = std::max(sum.prefill_s, one.prefill_s);
    sum.decode_s = std::max(sum.decode_s, one.decode_s);
  }
  // Of the first: the others find what it computed.
  sum.found = choices_.front().end.found_tokens;
  return sum;
}

void SharedAnswer::end(size_t index, WholeChoice choice) {
  if (options_.on) chunk(index, {.finish = finish_name(choice.end), .times = usage_of(choice.end)});
  const std::lock_guard lock(mutex_);
  choices_[index] = std::move(choice);
  if (++ended_ == choices_.size() && !over_) finish_all();
}

void SharedAnswer::finish_all() {
  over_ = true;
  const TokenUsage all = usage();
  if (account_) account_(model_, all.prompt, all.generated);
  if (options_.on) {
    if (options_.include_usage) {
      Json chunk = head("chat.completion.chunk");
      chunk["choices"] = Json::array();
      chunk["usage"] = usage_json(all);
      chunk["timings"] = timings_json(all);
      stream_.data(json_text(chunk));
    }
    stream_.data("[DONE]");
    return stream_.end();
  }
  Json body = head("chat.completion");
  Json choices = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) choices.push_back(whole_choice(i, choices_[i]));
  body["choices"] = std::move(choices);
  body["usage"] = usage_json(all);
  body["timings"] = timings_json(all);
  answer_->send(200, "application/json", json_text(body));
}

Json SharedAnswer::message_of(const WholeChoice& choice) const {
  Json message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  if (choice.text.empty() && !choice.calls.empty()) message["content"] = nullptr;
  if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
  Json calls = Json::array();
  for (const WholeCall& call : choice.calls) {
    Json function = {{"name", call.name}, {"arguments", call.arguments}};
    if (legacy_ && !message.contains("function_call")) message["function_call"] = function;
    calls.push_back({{"id", call.id}, {"type", "function"}, {"function", std::move(function)}});
  }
  if (!calls.empty() && !legacy_) message["tool_calls"] = std::move(calls);
  return message;
}

Json SharedAnswer::whole_choice(size_t index, const WholeChoice& choice) const {
  return {{"index", index},
          {"message", message_of(choice)},
          {"logprobs", logprobs_ ? logprobs_json(choice.tokens) : Json()},
          {"finish_reason", finish_name(choice.end)}};
}

void SharedAnswer::fail(const Failure& failure) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(over_, true)) return;
  if (!stream_.begun()) return send_failure(*answer_, Surface::kOpenAi, failure);
  stream_.data(json_text(error_body(Surface::kOpenAi, failure)));
  stream_.data("[DONE]");
  stream_.end();
}

class ChoiceListener final : public ChatListener {
 public:
  ChoiceListener(std::shared_ptr<SharedAnswer> shared, size_t index)
      : shared_(std::move(shared)), index_(index) {}

  void on_begin(size_t prompt_tokens, size_t found) override {
    progress_.begin(prompt_tokens, found);
    begin();
    tell_progress();
  }
  void on_prefill(size_t done, size_t) override {
    if (!begun_) return shared_->keep_alive();
    progress_.read(done);
    if (done > 0) tell_progress();
    shared_->keep_alive();
  }
  void on_token() override { progress_.token(); }
  void on_text(std::string_view piece, std::span<const DrawnToken> tokens) override {
    if (!shared_->streams()) {
      choice_.text += piece;
      choice_.tokens.insert(choice_.tokens.end(), tokens.begin(), tokens.end());
      return;
    }
    begin();
    say({{"content", piece}}, shared_->logprobs() ? logprobs_json(tokens) : Json());
  }
  void on_reasoning(std::string_view piece) override {
    if (!shared_->streams()) return static_cast<void>(choice_.reasoning += piece);
    begin();
    say({{"reasoning_content", piece}});
  }
  void on_tool_begin(size_t index, const std::string& id, const std::string& name) override {
    if (!shared_->streams()) return static_cast<void>(choice_.calls.push_back({id, name, ""}));
    begin();
    const Json function = {{"name", name}, {"arguments", ""}};
    if (shared_->legacy()) return say({{"function_call", function}});
    say_call({{"index", index}, {"id", id}, {"type", "function"}, {"function", function}});
  }
  void on_tool_arguments(size_t index, std::string_view piece) override {
    if (!shared_->streams()) return static_cast<void>(choice_.calls.back().arguments += piece);
    const Json function = {{"arguments", piece}};
    if (shared_->legacy()) return say({{"function_call", function}});
    say_call({{"index", index}, {"function", function}});
  }
  void on_end(const ChatEnd& end) override {
    if (shared_->streams()) begin();
    choice_.end = end;
    shared_->end(index_, std::move(choice_));
  }
  void on_failure(const Failure& failure) override { shared_->fail(failure); }

 private:
  void begin() {
    if (!shared_->streams() || std::exchange(begun_, true)) return;
    shared_->chunk(index_, {.delta = {{"role", "assistant"}, {"content", ""}}});
  }
  std::optional<TokenUsage> times() const {
    return shared_->timings() ? std::optional(progress_.usage()) : std::nullopt;
  }
  void tell_progress() {
    if (shared_->progress()) shared_->chunk(index_, {.progress = progress_.prompt_json(), .times = times()});
  }
  void say(Json delta, Json logprobs = nullptr) {
    shared_->chunk(index_, {.delta = std::move(delta), .logprobs = std::move(logprobs), .times = times()});
  }
  void say_call(Json call) {
    Json calls = Json::array();
    calls.push_back(std::move(call));
    Json delta = Json::object();
    delta["tool_calls"] = std::move(calls);
    say(std::move(delta));
  }

  const std::shared_ptr<SharedAnswer> shared_;
  const size_t index_;
  bool begun_ = false;
  Progress progress_;
  WholeChoice choice_;
};

}  // namespace

OpenAiChatAnswer answer_openai_chat(const Call& call, const OpenAiChatRequest& request,
                                    const std::string& model) {
  auto shared = std::make_shared<SharedAnswer>(call, request, model);
  OpenAiChatAnswer answer;
  for (size_t i = 0; i < static_cast<size_t>(request.chat.choices); ++i)
    answer.listeners.push_back(std::make_shared<ChoiceListener>(shared, i));
  answer.begin = [shared] { shared->begin(); };
  return answer;
}

}  // namespace mneme::serve

// Answers of /v1/completions: all choices of all prompts, as a whole or as a stream.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <numeric>
#include <utility>

#include "serve/openai_completions.h"
#include "serve/openai_progress.h"
#include "serve/sse.h"

namespace mneme::serve {

namespace {

struct Choice {
  std::string text;
  std::vector<DrawnToken> tokens;
  GenerateReport report;
  size_t prompt_tokens = 0, found = 0;
  double rank() const {
    if (tokens.empty()) return 0;
    double sum = 0;
    for (const DrawnToken& token : tokens) sum += finite_logprob(token.logprob);
    return sum / static_cast<double>(tokens.size());
  }
};

// The lists that an answer has of its tokens.
class TokenLists {
 public:
  // `token` null: nothing is known of it but its text.
  void add(std::string_view bytes, size_t offset, const DrawnToken* token) {
    texts_.push_back(sound_text(bytes));
    offsets_.push_back(offset);
    logprobs_.push_back(token != nullptr ? Json(finite_logprob(token->logprob)) : Json());
    Json& top = tops_.emplace_back(nullptr);
    if (token == nullptr) return;
    top = Json::object();
    for (const auto& other : token->top) top[sound_text(other.bytes)] = finite_logprob(other.logprob);
  }
  // `offset`: characters before the first token; moved behind the last.
  void add(std::span<const DrawnToken> tokens, size_t& offset) {
    for (const DrawnToken& token : tokens) {
      add(token.bytes, offset, &token);
      offset += characters_of(token.bytes);
    }
  }
  Json json() && {
    return {{"tokens", std::move(texts_)},
            {"token_logprobs", std::move(logprobs_)},
            {"top_logprobs", std::move(tops_)},
            {"text_offset", std::move(offsets_)}};
  }

 private:
  Json texts_ = Json::array(), logprobs_ = Json::array(), tops_ = Json::array(), offsets_ = Json::array();
};

const char* finish_name(StopReason reason) {
  return reason == StopReason::kLength || reason == StopReason::kFull ? "length" : "stop";
}

// What a chunk tells of its choice.
struct Piece {
  std::string_view text = {};
  Json logprobs = {}, finish = {}, progress = {};
  std::optional<TokenUsage> times = {};
};

class SharedCompletion {
 public:
  SharedCompletion(const Call& call, const CompletionRequest& request, std::string model)
      : answer_(call.answer),
        account_(call.account),
        stream_(call.answer),
        request_(request),
        id_(random_id("cmpl-")),
        model_(std::move(model)),
        created_(std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count()),
        choices_(request.prompts.size() * static_cast<size_t>(request.best_of)),
        scores_(request.prompts.size()) {}

  const CompletionRequest& request() const { return request_; }
  size_t count() const { return choices_.size(); }
  const std::string& prompt_of(size_t index) const { return request_.prompts[prompt_index(index)].text; }
  // Of the prompt that this choice answers; of several choices the first is told.
  void score(size_t index, const DrawnToken& token) {
    const std::lock_guard lock(mutex_);
    scores_[prompt_index(index)].push_back(token);
  }
  Json prompt_logprobs(size_t index) {
    const std::lock_guard lock(mutex_);
    TokenLists lists;
    add_prompt(index, lists);
    return std::move(lists).json();
  }
  void begin() {
    const std::lock_guard lock(mutex_);
    if (request_.stream.on && !over_) stream_.begin();
  }
  void keep_alive() {
    if (request_.stream.on && stream_.begun()) stream_.keep_alive();
  }
  void chunk(size_t index, Piece piece) {
    Json chunk = head();
    chunk["choices"] = Json::array({{{"index", index},
                                     {"text", piece.text},
                                     {"logprobs", std::move(piece.logprobs)},
                                     {"finish_reason", std::move(piece.finish)}}});
    if (request_.stream.include_usage) chunk["usage"] = nullptr;
    if (!piece.progress.is_null()) chunk["prompt_progress"] = std::move(piece.progress);
    if (piece.times) chunk["timings"] = timings_json(*piece.times);
    const std::lock_guard lock(mutex_);
    if (!over_) stream_.data(json_text(chunk));
  }
  void end(size_t index, Choice choice) {
    const std::lock_guard lock(mutex_);
    choices_[index] = std::move(choice);
    if (++ended_ == choices_.size() && !over_) finish_all();
  }
  void fail(const Failure& failure) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(over_, true)) return;
    if (!stream_.begun()) return send_failure(*answer_, Surface::kOpenAi, failure);
    stream_.data(json_text(error_body(Surface::kOpenAi, failure)));
    stream_.data("[DONE]");
    stream_.end();
  }

 private:
  Json head() const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", model_},
            {"system_fingerprint", "mneme"}};
  }
  size_t prompt_index(size_t index) const { return index / static_cast<size_t>(request_.best_of); }
  void add_prompt(size_t index, TokenLists& lists) const;
  TokenUsage usage() const;
  Json whole_choices() const;
  void finish_all();

  const std::shared_ptr<Answer> answer_;
  const std::function<void(std::string_view, uint64_t, uint64_t)> account_;
  EventStream stream_;
  const CompletionRequest request_;
  const std::string id_, model_;
  const int64_t created_;
  std::mutex mutex_;
  std::vector<Choice> choices_;
  std::vector<std::vector<DrawnToken>> scores_;  // [prompts][tokens - 1], where they are scored
  size_t ended_ = 0;
  bool over_ = false;
};

TokenUsage SharedCompletion::usage() const {
  TokenUsage sum{.answers = choices_.size()};
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    sum.generated += choice.report.generated_tokens;
    sum.prefill_s += choice.report.prefill_s;
    sum.decode_s = std::max(sum.decode_s, choice.report.decode_s);
    if (i % static_cast<size_t>(request_.best_of) != 0) continue;  // a prompt counts once
    sum.prompt += choice.prompt_tokens;
    sum.found += choice.found;
  }
  return sum;
}

// Of the first token nothing is known.
void SharedCompletion::add_prompt(size_t index, TokenLists& lists) const {
  const std::vector<CompletionRequest::Piece>& pieces = request_.prompts[prompt_index(index)].pieces;
  const std::vector<DrawnToken>& scores = scores_[prompt_index(index)];
  for (size_t i = 0; i < pieces.size(); ++i)
    lists.add(pieces[i].bytes, pieces[i].offset, i > 0 && i <= scores.size() ? &scores[i - 1] : nullptr);
}

Json SharedCompletion::whole_choices() const {
  Json all = Json::array();
  const auto best_of = static_cast<size_t>(request_.best_of);
  for (size_t first = 0; first < choices_.size(); first += best_of) {
    std::vector<size_t> order(best_of);
    std::iota(order.begin(), order.end(), first);
    if (request_.best_of > request_.choices)
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return choices_[a].rank() > choices_[b].rank(); });
    order.resize(static_cast<size_t>(request_.choices));
    for (const size_t i : order) {
      const Choice& choice = choices_[i];
      const std::string before = request_.echo ? prompt_of(i) : "";
      size_t offset = characters_of(before);
      TokenLists lists;
      add_prompt(i, lists);
      lists.add(choice.tokens, offset);
      all.push_back({{"index", all.size()},
                     {"text", before + choice.text},
                     {"logprobs", request_.logprobs >= 0 ? std::move(lists).json() : Json()},
                     {"finish_reason", finish_name(choice.report.reason)}});
    }
  }
  return all;
}

void SharedCompletion::finish_all() {
  over_ = true;
  const TokenUsage all = usage();
  if (account_) account_(model_, all.prompt, all.generated);
  Json body = head();
  if (request_.stream.on) {
    if (request_.stream.include_usage) {
      body["choices"] = Json::array();
      body["usage"] = usage_json(all);
      body["timings"] = timings_json(all);
      stream_.data(json_text(body));
    }
    stream_.data("[DONE]");
    return stream_.end();
  }
  body["choices"] = whole_choices();
  body["usage"] = usage_json(all);
  body["timings"] = timings_json(all);
  answer_->send(200, "application/json", json_text(body));
}

class CompletionListener final : public GenerationListener {
 public:
  CompletionListener(std::shared_ptr<SharedCompletion> shared, size_t index)
      : shared_(std::move(shared)), index_(index) {}

  void on_begin(size_t prompt_tokens, size_t found) override {
    choice_.prompt_tokens = prompt_tokens, choice_.found = found;
    progress_.begin(prompt_tokens, found);
    begun_ = true;
    tell_progress();
    if (!shared_->request().scores_prompts()) tell_echo();
  }
  void on_prefill(size_t done, size_t) override {
    if (begun_) progress_.read(done);
    if (begun_ && done > 0) tell_progress();
    shared_->keep_alive();
  }
  void on_prompt_token(const DrawnToken& token) override { shared_->score(index_, token); }
  void on_token(const DrawnToken& token) override {
    progress_.token();
    if (!token.bytes.empty()) choice_.tokens.push_back(token);
  }
  void on_text(std::string_view piece) override {
    if (!stream().on) return static_cast<void>(choice_.text += piece);
    tell_echo();
    shared_->chunk(index_, {.text = piece, .logprobs = take_logprobs(), .times = times()});
  }
  void on_end(const GenerateReport& report) override {
    choice_.report = report;
    if (stream().on) {
      tell_echo();
      shared_->chunk(index_,
                     {.logprobs = take_logprobs(), .finish = finish_name(report.reason), .times = times()});
    }
    shared_->end(index_, std::move(choice_));
  }
  void on_failure(const Failure& failure) override { shared_->fail(failure); }

 private:
  const StreamOptions& stream() const { return shared_->request().stream; }
  std::optional<TokenUsage> times() const {
    return stream().timings ? std::optional(progress_.usage()) : std::nullopt;
  }
  void tell_progress() {
    if (stream().progress) shared_->chunk(index_, {.progress = progress_.prompt_json(), .times = times()});
  }
  // Before the first piece; where the prompt is scored, when that is done.
  void tell_echo() {
    if (!stream().on || !shared_->request().echo || std::exchange(echoed_, true)) return;
    shared_->chunk(index_, {.text = shared_->prompt_of(index_),
                            .logprobs = shared_->request().scores_prompts() ? shared_->prompt_logprobs(index_)
                                                                            : Json()});
    offset_ = characters_of(shared_->prompt_of(index_));
  }
  // Of the tokens since the last piece.
  Json take_logprobs() {
    const std::vector<DrawnToken> tokens = std::exchange(choice_.tokens, {});
    if (shared_->request().logprobs < 0 || tokens.empty()) return nullptr;
    TokenLists lists;
    lists.add(tokens, offset_);
    return std::move(lists).json();
  }

  const std::shared_ptr<SharedCompletion> shared_;
  const size_t index_;
  Choice choice_;
  Progress progress_;
  bool begun_ = false, echoed_ = false;
  size_t offset_ = 0;
};

}  // namespace

size_t characters_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

CompletionAnswer answer_completion(const Call& call, const CompletionRequest& request,
                                   const std::string& model) {
  auto shared = std::make_shared<SharedCompletion>(call, request, model);
  CompletionAnswer answer;
  for (size_t i = 0; i < shared->count(); ++i)
    answer.listeners.push_back(std::make_shared<CompletionListener>(shared, i));
  answer.begin = [shared] { shared->begin(); };
  return answer;
}

}  // namespace mneme::serve

#include "serve/chat.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "core/error.h"
#include "serve/answer_room.h"
#include "serve/chat_prompt.h"
#include "serve/chat_reader.h"
#include "serve/tool_grammar.h"

namespace mneme::serve {

namespace {

struct Reading {
  ToolDialect dialect;
  bool tools = false, reasoning = false, reasoning_open = false;
};

// One choice: the backend's tokens and text on one side, the protocol's listener on the other.
class ChoiceReader final : public GenerationListener, private ReaderEvents {
 public:
  ChoiceReader(const Backend& backend, const ChatRequest& request, const Reading& reading,
               std::shared_ptr<ChatListener> listener)
      : text_(&backend.text()),
        dialect_(reading.dialect),
        wants_tokens_(request.generate.top_logprobs >= 0),
        listener_(std::move(listener)),
        reader_(
            {.dialect = reading.dialect,
             .tools = reading.tools ? std::span<const ToolSpec>(request.tools) : std::span<const ToolSpec>(),
             .reasoning = reading.reasoning,
             .reasoning_open = reading.reasoning_open},
            *this) {}

  void on_begin(size_t prompt_tokens, size_t found) override {
    prompt_tokens_ = prompt_tokens, found_ = found;
    listener_->on_begin(prompt_tokens, found);
  }
  void on_prefill(size_t done, size_t total) override { listener_->on_prefill(done, total); }
  void on_token(const DrawnToken& token) override;
  void on_text(std::string_view piece) override { reader_.push(piece); }
  void on_end(const GenerateReport& report) override;
  void on_failure(const Failure& failure) override { listener_->on_failure(failure); }

 private:
  void on_text(std::string_view piece, size_t begin) override;
  void on_reasoning(std::string_view piece) override {
    reasoning_ += piece;
    listener_->on_reasoning(piece);
  }
  void on_tool_begin(const std::string& name) override {
    listener_->on_tool_begin(calls_, new_call_id(dialect_), name);
  }
  void on_tool_arguments(std::string_view piece) override { listener_->on_tool_arguments(calls_, piece); }
  void on_tool_end() override { listener_->on_tool_end(calls_++); }

  struct PlacedToken {
    DrawnToken token;
    size_t begin = 0;  // among the answer's bytes
  };
  const Text* text_;
  const ToolDialect dialect_;
  const bool wants_tokens_;
  const std::shared_ptr<ChatListener> listener_;
  ChatReader reader_;
  size_t prompt_tokens_ = 0, found_ = 0, calls_ = 0;
  std::deque<PlacedToken> tokens_;  // not shown yet
  size_t token_bytes_ = 0;
  std::string reasoning_;
};

void ChoiceReader::on_token(const DrawnToken& token) {
  listener_->on_token();
  size_t bytes = token.bytes.size();
  if (bytes == 0) {
    bytes = text_->decode({&token.token, 1}, false).size();
    // A mark that is not shown as text: the reader needs to see it all the same.
    if (bytes == 0 && dialect_.hides_marks) {
      const std::string mark = text_->decode({&token.token, 1}, true);
      if (mark == dialect_.open || mark == dialect_.close || mark == kThoughtOpen || mark == kThoughtClose) {
        reader_.push(mark);
        bytes = mark.size();
      }
    }
  }
  if (wants_tokens_ && !token.bytes.empty()) tokens_.push_back({token, token_bytes_});
  token_bytes_ += bytes;
}

void ChoiceReader::on_text(std::string_view piece, size_t begin) {
  std::vector<DrawnToken> shown;
  while (!tokens_.empty() && tokens_.front().begin < begin + piece.size()) {
    if (tokens_.front().begin >= begin) shown.push_back(std::move(tokens_.front().token));
    tokens_.pop_front();
  }
  listener_->on_text(piece, shown);
}

void ChoiceReader::on_end(const GenerateReport& report) {
  reader_.finish();
  ChatEnd end;
  end.prompt_tokens = prompt_tokens_ > 0 ? prompt_tokens_ : report.prompt_tokens + report.found_tokens;
  end.found_tokens = found_ > 0 ? found_ : report.found_tokens;
  end.generated_tokens = report.generated_tokens;
  end.prefill_s = report.prefill_s, end.decode_s = report.decode_s;
  end.message = report.message;
  if (!reasoning_.empty()) end.reasoning_tokens = text_->encode(reasoning_, {.add_bos_eos = false}).size();
  end.reasoning_tokens = std::min(end.reasoning_tokens, end.generated_tokens);
  switch (report.reason) {
    case StopReason::kEnd:
    case StopReason::kNoToken: end.finish = calls_ > 0 ? Finish::kToolCalls : Finish::kStop; break;
    case StopReason::kLength: end.finish = Finish::kLength; break;
    case StopReason::kStopText:
      end.finish = Finish::kStopText;
      end.stop_text = report.stop_text;
      break;
    case StopReason::kCancelled: end.finish = Finish::kCancelled; break;
    case StopReason::kFull: end.finish = Finish::kFull; break;
  }
  listener_->on_end(end);
}

// A grammar of the client's own has no place for reasoning.
ChatRequest adapted(const ChatRequest& request, const ToolDialect& dialect) {
  ChatRequest copy = request;
  if (request.format == AnswerFormat::kGrammar && dialect.thinks) copy.thinking = false;
  return copy;
}

Reasoning reasoning_of(const ChatRequest& request, const ToolDialect& dialect, const ChatPrompt& prompt) {
  if (request.format == AnswerFormat::kGrammar || request.continues_last) return Reasoning::kNone;
  if (prompt.reasoning_open) return Reasoning::kOpen;
  const bool off = request.thinking == false || !dialect.thinks;
  return off ? Reasoning::kNone : Reasoning::kMayBegin;
}

// The prompt closed what it opened: <think></think>.
bool reasoning_is_over(const ChatPrompt& prompt) {
  const size_t last = prompt.text.find_last_not_of(" \t\r\n");
  return last != std::string::npos && prompt.text.substr(0, last + 1).ends_with(kThoughtClose);
}

}  // namespace

tl::expected<std::string, Failure> render_prompt(const Text& text, const ChatRequest& request) {
  const ToolDialect dialect = dialect_of(text);
  auto prompt = make_chat_prompt(text, dialect, adapted(request, dialect));
  if (!prompt) return tl::unexpected(std::move(prompt.error()));
  return std::move(prompt->text);
}

tl::expected<std::vector<TokenId>, Failure> encode_prompt(const Text& text, const ChatRequest& request) {
  auto prompt = render_prompt(text, request);
  if (!prompt) return tl::unexpected(std::move(prompt.error()));
  return text.encode(*prompt, {.add_bos_eos = false});
}

tl::expected<std::vector<GenerationId>, Failure> start_chat(
    Backend& backend, const ChatRequest& asked, std::span<const std::shared_ptr<ChatListener>> listeners) {
  const Text& text = backend.text();
  Reading reading{.dialect = dialect_of(text)};
  const ChatRequest request = adapted(asked, reading.dialect);
  auto prompt = make_chat_prompt(text, reading.dialect, request);
  if (!prompt) return tl::unexpected(std::move(prompt.error()));
  const Reasoning reasoning = reasoning_is_over(*prompt) ? Reasoning::kNone
                                                         : reasoning_of(request, reading.dialect, *prompt);
  auto constraint = answer_constraint(backend.constraints(), text, request, reading.dialect, reasoning);
  if (!constraint) return tl::unexpected(std::move(constraint.error()));

  GenerationRequest generation;
  generation.prompt = text.encode(prompt->text, {.add_bos_eos = false});
  generation.generate = request.generate;
  if (auto fits = fit_answer(generation.generate.tokens_max, generation.prompt.size(),
                             context_tokens_max(backend, request.from.context_tokens_max), "messages");
      !fits)
    return tl::unexpected(std::move(fits.error()));
  generation.generate.constraint = *constraint;
  if (reading.dialect.hides_marks && generation.generate.top_logprobs < 0)
    generation.generate.top_logprobs = 0;
  generation.from = request.from;

  reading.tools = !request.tools.empty() && request.tool_choice != ToolChoice::kNone;
  reading.reasoning = reasoning != Reasoning::kNone;
  reading.reasoning_open = reasoning == Reasoning::kOpen;
  std::vector<GenerationId> ids;
  for (size_t i = 0; i < listeners.size(); ++i) {
    auto reader = std::make_shared<ChoiceReader>(backend, request, reading, listeners[i]);
    GenerationRequest one = generation;
    one.generate.sampling.seed += i;
    if (i > 0) {
      one.from.session.clear();  // a session is one conversation
      one.beside = ids.front();
    }
    ids.push_back(backend.submit(std::move(one), std::move(reader)));
  }
  return ids;
}

}  // namespace mneme::serve

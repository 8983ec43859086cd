#include "serve/openai_completions.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "serve/answer_room.h"
#include "serve/call_parts.h"
#include "serve/editors.h"
#include "serve/tool_grammar.h"

namespace mneme::serve {

namespace {

constexpr size_t kPromptsMax = 64;
constexpr int kChoicesMax = 16;
constexpr int kLogprobsMax = 20;
constexpr size_t kScoresMax = size_t{1} << 18;  // of all prompts: some 10 MB of JSON

using Prompt = CompletionRequest::Prompt;

// Tokens, and texts between them.
std::optional<Prompt> prompt_of_tokens(const Json& list, const std::string& path, const Text& text,
                                       RequestErrors& errors) {
  Prompt prompt;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    if (list[i].is_string()) {
      const auto more = text.encode(list[i].get<std::string>(), {.add_bos_eos = false});
      prompt.tokens.insert(prompt.tokens.end(), more.begin(), more.end());
      continue;
    }
    const auto token = whole_number(list[i]);
    if (!token) {
      errors.wrong_type(place, "a token or a string", list[i]);
      return std::nullopt;
    }
    if (*token < 0 || *token >= text.vocab_size()) {
      errors.wrong_value(place,
                         fmt::format("{} is no token: the vocabulary has {}", *token, text.vocab_size()));
      return std::nullopt;
    }
    prompt.tokens.push_back(static_cast<TokenId>(*token));
  }
  prompt.text = text.decode(prompt.tokens, true);
  return prompt;
}

// The prompt in front of a gap, and the suffix behind it.
void fill_in_middle(const std::string& suffix, const Fields& fields, const Text& text, Prompt& prompt) {
  const auto marks = text.fill_in_middle();
  if (!marks) return fields.errors().wrong_value("suffix", "this model does not fill in the middle");
  const EncodeOptions plain{.add_bos_eos = false, .parse_specials = false};
  std::vector<TokenId> tokens = {marks->prefix};
  const auto append = [&](const std::vector<TokenId>& more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  append(text.encode(prompt.text, plain));
  tokens.push_back(marks->suffix);
  append(text.encode(suffix, plain));
  tokens.push_back(marks->middle);
  prompt.tokens = std::move(tokens);
}

// The tokens of a prompt, each with its place in the text. A special token that the text does not show, as
// one that begins every prompt, takes no room in it; nor does the space that some vocabularies begin with.
std::vector<CompletionRequest::Piece> pieces_of(const Prompt& prompt, const Text& text) {
  std::vector<CompletionRequest::Piece> pieces;
  std::string_view rest = prompt.text;
  size_t offset = 0;
  for (const TokenId token : prompt.tokens) {
    std::string bytes = text.token_bytes(token);
    const bool special = bytes.empty();
    if (special) bytes = text.decode({&token, 1}, true);
    size_t size = std::min(bytes.size(), rest.size());
    if (special && !rest.starts_with(bytes)) size = 0;
    if (offset == 0 && bytes.starts_with(' ') && !rest.starts_with(' ')) size -= std::min<size_t>(size, 1);
    pieces.push_back({std::move(bytes), offset});
    offset += characters_of(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return pieces;
}

// `echo` and `logprobs`: the prompts' own, as harnesses that compare answers ask for them.
void read_scores(const Fields& fields, const Text& text, CompletionRequest& request) {
  if (!request.scores_prompts()) return;
  if (!fields.text("suffix").empty())
    return fields.errors().wrong_value("echo", "with a suffix a prompt has no log probabilities");
  size_t tokens = 0;
  for (const Prompt& prompt : request.prompts) tokens += prompt.tokens.size();
  tokens *= static_cast<size_t>(request.choices);
  if (const size_t each = 1 + static_cast<size_t>(request.logprobs); tokens > kScoresMax / each) {
    return fields.errors().wrong_value(
        "logprobs", fmt::format("{} tokens with {} log probabilities each, at most {} in one answer", tokens,
                                each, kScoresMax));
  }
  for (Prompt& prompt : request.prompts) prompt.pieces = pieces_of(prompt, text);
}

// Holds the answers to the format asked for.
tl::expected<void, Failure> constrain(Backend& backend, CompletionRequest& request) {
  ChatRequest shape;
  static_cast<FormatRequest&>(shape) = request.format;
  auto constraint = answer_constraint(backend.constraints(), backend.text(), shape, {}, Reasoning::kNone);
  if (!constraint) return tl::unexpected(std::move(constraint.error()));
  request.generate.constraint = std::move(*constraint);
  return {};
}

// best_of of each prompt, prompt by prompt.
tl::expected<std::vector<GenerationRequest>, Failure> generations_of(const CompletionRequest& request,
                                                                     const Origin& from,
                                                                     uint64_t tokens_max) {
  std::vector<GenerationRequest> generations;
  for (const Prompt& prompt : request.prompts) {
    GenerationRequest generation{.from = from, .prompt = prompt.tokens, .generate = request.generate};
    const size_t first = generations.size();
    int& answer_max = generation.generate.tokens_max;
    if (auto fits = fit_answer(answer_max, prompt.tokens.size(), tokens_max, "prompt"); !fits)
      return tl::unexpected(std::move(fits.error()));
    for (int choice = 0; choice < request.best_of; ++choice) {
      GenerationRequest& one = generations.emplace_back(generation);
      one.generate.sampling.seed += static_cast<uint64_t>(choice);
      one.generate.score_prompt = request.scores_prompts() && generations.size() == first + 1;
      if (generations.size() > 1) one.from.session.clear();  // a session is one conversation
    }
  }
  return generations;
}

void complete(const Call& call, Models& models) {
  auto body = read_openai_body(call, models);
  if (!body) return;
  if (is_tabby_completion(body->json)) return answer_tabby_completion(call, body->backend, body->json);
  RequestErrors errors;
  const Fields fields(body->json, "", errors);
  CompletionRequest request = read_completion(fields, body->backend->text());
  const Origin from = origin_of(call, fields.text("prompt_cache_key"), fields.text("session"));
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());
  if (auto held = constrain(*body->backend, request); !held)
    return send_failure(*call.answer, Surface::kOpenAi, held.error());
  auto generations = generations_of(request, from,
                                    context_tokens_max(*body->backend, from.context_tokens_max));
  if (!generations) return send_failure(*call.answer, Surface::kOpenAi, generations.error());

  const CompletionAnswer answer = answer_completion(call, request, body->model);
  std::vector<GenerationId> ids;
  for (size_t i = 0; i < answer.listeners.size(); ++i) {
    GenerationRequest& generation = (*generations)[i];
    if (const size_t choice = i % static_cast<size_t>(request.best_of); choice > 0)
      generation.beside = ids[i - choice];
    ids.push_back(body->backend->submit(std::move(generation), answer.listeners[i]));
  }
  answer.begin();
  cancel_when_gone(*call.answer, body->backend, std::move(ids));
}

}  // namespace

std::vector<Prompt> read_prompts(const Fields& fields, std::string_view key, const Text& text,
                                 size_t count_max) {
  std::vector<Prompt> prompts;
  const Json* value = fields.require(key);
  if (!value) return prompts;
  const std::string path = fields.path_of(key);
  RequestErrors& errors = fields.errors();
  const auto add_text = [&](const Json& item) {
    std::string words = item.get<std::string>();
    prompts.push_back({text.encode(words, {}), std::move(words), {}});
  };
  if (value->is_string()) {
    add_text(*value);
  } else if (!value->is_array()) {
    errors.wrong_type(path, "a string, a list of strings, tokens or a list of tokens", *value);
  } else if (std::any_of(value->begin(), value->end(), [](const Json& item) { return item.is_number(); })) {
    if (auto prompt = prompt_of_tokens(*value, path, text, errors)) prompts.push_back(std::move(*prompt));
  } else if (value->size() > count_max) {
    errors.wrong_value(path, fmt::format("{} texts in one request, at most {}", value->size(), count_max));
  } else {
    for (size_t i = 0; i < value->size() && !errors.any(); ++i) {
      const Json& item = (*value)[i];
      const std::string place = fmt::format("{}[{}]", path, i);
      if (item.is_string()) {
        add_text(item);
      } else if (!item.is_array()) {
        errors.wrong_type(place, "a string or a list of tokens", item);
      } else if (auto prompt = prompt_of_tokens(item, place, text, errors)) {
        prompts.push_back(std::move(*prompt));
      }
    }
  }
  if (prompts.empty()) errors.wrong_value(path, "there is nothing in it");
  return prompts;
}

CompletionRequest read_completion(const Fields& fields, const Text& text) {
  CompletionRequest request;
  request.prompts = read_prompts(fields, "prompt", text, kPromptsMax);
  if (const std::string suffix = fields.text("suffix"); !suffix.empty())
    for (Prompt& prompt : request.prompts) fill_in_middle(suffix, fields, text, prompt);
  for (const Prompt& prompt : request.prompts)
    if (prompt.tokens.empty()) fields.errors().wrong_value("prompt", "a prompt has at least one token");
  read_sampling(fields, text, request.generate);
  constexpr int kTokensDefault = 16;  // the protocol's
  const char* const maximum = fields.has("max_tokens") ? "max_tokens" : "n_predict";
  const int64_t tokens = fields.whole(maximum, kTokensDefault, {-1, INT64_MAX});
  request.generate.tokens_max = static_cast<int>(std::min<int64_t>(tokens, INT32_MAX));
  request.generate.ignore_end = fields.flag("ignore_eos", false);
  read_format(fields, request.format);
  request.choices = static_cast<int>(fields.whole("n", 1, {1, kChoicesMax}));
  request.best_of = static_cast<int>(fields.whole("best_of", request.choices, {1, kChoicesMax}));
  request.echo = fields.flag("echo", false);
  request.stream = read_stream_options(fields);
  // `logprobs` of the chat protocol is a flag: some clients send false here too.
  const Json* logprobs = fields.find("logprobs");
  if (logprobs && logprobs->is_boolean()) {
    request.logprobs = logprobs->get<bool>() ? 0 : -1;
  } else {
    request.logprobs = static_cast<int>(fields.whole("logprobs", -1, {0, kLogprobsMax}));
  }
  if (request.best_of < request.choices) fields.errors().wrong_value("best_of", "it is not less than 'n'");
  if (request.best_of > request.choices && request.stream.on)
    fields.errors().wrong_value("best_of", "a stream cannot wait for the best of several");
  read_scores(fields, text, request);
  const bool ranks = request.best_of > request.choices;
  const bool counts = ranks || request.stream.timings;
  request.generate.top_logprobs = counts ? std::max(request.logprobs, 0) : request.logprobs;
  return request;
}

void add_openai_completions(Router& router, Models& models) {
  const auto endpoint = [&models](const Call& call) { complete(call, models); };
  router.add("POST", "/v1/completions", endpoint);
  router.add("POST", "/completions", endpoint);
}

}  // namespace mneme::serve

#include "engine/eval_prompt.h"

#include <algorithm>
#include <optional>

namespace mneme::engine {

using core::fail;
using core::pass;
using tasks::Layout;
using tasks::Sample;

namespace {

constexpr std::string_view kPrefixMark = "<|fim_prefix|>", kSuffixMark = "<|fim_suffix|>",
                           kMiddleMark = "<|fim_middle|>";

Result<std::vector<TokenId>> make_chat(const Text& text, const Sample& sample,
                                       std::span<const std::string> answers) {
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i <= answers.size(); ++i) {
    const std::string& question = sample.turns[2 * i].text;
    messages.push_back({"user", i == 0 ? sample.context + question : question});
    if (i < answers.size()) messages.push_back({"assistant", answers[i]});
  }
  auto prompt = text.render_chat(messages, {});
  if (!prompt) return pass(prompt);
  return text.encode(*prompt, {.add_bos_eos = false, .parse_specials = true});
}

Result<std::vector<TokenId>> make_fill_in_middle(const Text& text, const Sample& sample) {
  std::vector<TokenId> prompt = text.encode("", {.add_bos_eos = true, .parse_specials = false});
  const auto add = [&](std::string_view mark, std::string_view part) {
    const auto token = text.encode(mark, {.add_bos_eos = false, .parse_specials = true});
    const auto tokens = text.encode(part, {.add_bos_eos = false, .parse_specials = false});
    prompt.insert(prompt.end(), token.begin(), token.end());
    prompt.insert(prompt.end(), tokens.begin(), tokens.end());
    return token.size() == 1;
  };
  bool known = add(kPrefixMark, sample.context);
  known = add(kSuffixMark, sample.suffix) && known;
  known = add(kMiddleMark, "") && known;
  if (!known) return fail("the vocabulary has no {}, {} and {}", kPrefixMark, kSuffixMark, kMiddleMark);
  return prompt;
}

}  // namespace

std::string_view without_thought(std::string_view answer) {
  if (const size_t end = answer.rfind(kThoughtClose); end != std::string_view::npos)
    return answer.substr(end + kThoughtClose.size());
  return answer.find(kThoughtOpen) == std::string_view::npos ? answer : std::string_view();
}

int thought_tokens_max(const Text& text) {
  constexpr int kTokens = 256;
  return text.encode(kThoughtOpen, {.add_bos_eos = false, .parse_specials = true}).size() == 1 ? kTokens : 0;
}

double bytes_per_token(const Text& text, const tasks::TextSource& source, tasks::Language language) {
  constexpr size_t kBytes = 20'000;
  core::Rng rng(1);
  const std::string_view part = source.pick(rng, tasks::TextKind::kProse, language).text.substr(0, kBytes);
  const size_t count = text.encode(part, {.add_bos_eos = false, .parse_specials = false}).size();
  return count > 0 ? static_cast<double>(part.size()) / static_cast<double>(count) : 1.0;
}

size_t question_count(const Sample& sample) {
  return sample.layout == Layout::kChat ? sample.turns.size() / 2 : sample.turns.size();
}

size_t answer_turn(const Sample& sample, size_t question) {
  return sample.layout == Layout::kChat ? 2 * question + 1 : question;
}

Result<std::vector<TokenId>> make_prompt(const Text& text, const Sample& sample,
                                         std::span<const std::string> answers) {
  if (sample.layout == Layout::kChat) return make_chat(text, sample, answers);
  if (sample.layout == Layout::kFillInMiddle) return make_fill_in_middle(text, sample);
  return text.encode(sample.context, {.add_bos_eos = true, .parse_specials = false});
}

Result<Fitted<Sample>> fit_sample(const Text& text, tasks::TaskKind task, tasks::Request request,
                                  size_t tokens, const tasks::TextSource& source, uint64_t seed) {
  const auto make = [&](size_t bytes, uint64_t draw) -> Result<std::optional<Fitted<Sample>>> {
    request.context_bytes = bytes;
    core::Rng rng(seed + draw);
    Sample sample = tasks::generate(task, request, source, rng);
    if (sample.turns.empty()) return std::nullopt;
    auto prompt = make_prompt(text, sample, {});
    if (!prompt) return pass(prompt);
    return Fitted<Sample>{std::move(sample), std::move(*prompt)};
  };
  auto best = fit<Sample>(tokens, bytes_per_token(text, source, request.language), make);
  if (!best) return pass(best);
  if (!best->has_value()) return fail("no sample of {} fits {} tokens", tasks::name(task), tokens);
  return std::move(**best);
}

}  // namespace mneme::engine

// Samples as prompts: the model's own format, and exactly as long as asked.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/eval_fit.h"
#include "mneme/text.h"
#include "tasks/tasks.h"

namespace mneme::engine {

// Questions of a sample, and where the answer to one stands in its turns.
size_t question_count(const tasks::Sample& sample);
size_t answer_turn(const tasks::Sample& sample, size_t question);

// The prompt that asks for the question after `answers`, which were given so far: a chat in the model's
// format (the context and the first question are one turn), the bare context, or the context between the
// marks of fill in the middle. Fails where the template refuses it or the vocabulary lacks the marks.
Result<std::vector<TokenId>> make_prompt(const Text& text, const tasks::Sample& sample,
                                         std::span<const std::string> answers);

// What an answer says after its thought, which ends with </think>; nothing where the thought has no end.
std::string_view without_thought(std::string_view answer);
// Tokens that a thought may take: of models that have a token to begin one.
int thought_tokens_max(const Text& text);

// A sample whose first prompt has `tokens` tokens: never more, and 3 % less at most where the task can.
// `request`'s context_bytes is of no matter. The same for the same arguments. Fails where none fits.
Result<Fitted<tasks::Sample>> fit_sample(const Text& text, tasks::TaskKind task, tasks::Request request,
                                         size_t tokens, const tasks::TextSource& source, uint64_t seed);

}  // namespace mneme::engine

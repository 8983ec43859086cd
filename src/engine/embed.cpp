#include <algorithm>
#include <memory>

#include "core/error.h"
#include "mneme/engine.h"

namespace mneme {

using core::fail;
using core::pass;

namespace {

// As many of the texts from `first` on as one pass holds, and one at least.
size_t texts_of_a_pass(std::span<const std::vector<TokenId>> texts, size_t first, size_t rows) {
  size_t end = first, tokens = 0;
  while (end < texts.size() && (end == first || tokens + texts[end].size() <= rows))
    tokens += texts[end++].size();
  return end - first;
}

Result<void> embed_together(Engine& engine, std::span<const std::vector<TokenId>> texts,
                            std::vector<std::vector<float>>& embeddings) {
  std::vector<std::unique_ptr<Session>> owned;
  std::vector<Session*> sessions;
  for (const auto& tokens : texts) {
    sessions.push_back(owned.emplace_back(engine.new_embedding()).get());
    if (tokens.empty()) return fail("a text without tokens has no embedding");
    if (auto appended = sessions.back()->append(tokens); !appended) return appended;
  }
  for (size_t evaluated = 1; evaluated > 0;) {
    auto step = engine.step(sessions);
    if (!step) return pass(step);
    evaluated = *step;
  }
  for (const Session* session : sessions) embeddings.push_back(session->embedding());
  return {};
}

}  // namespace

Result<std::vector<std::vector<float>>> embed(Engine& engine, std::span<const std::vector<TokenId>> texts) {
  std::vector<std::vector<float>> embeddings;
  for (size_t first = 0; first < texts.size();) {
    const size_t count = texts_of_a_pass(texts, first, engine.info().prefill_rows);
    if (auto done = embed_together(engine, texts.subspan(first, count), embeddings); !done) return pass(done);
    first += count;
  }
  return embeddings;
}

}  // namespace mneme

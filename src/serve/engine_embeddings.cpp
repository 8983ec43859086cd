// Embeddings in an EngineLoop: their texts are prompts beside the others.
#include <algorithm>
#include <utility>

#include "serve/engine_running.h"

namespace mneme::serve {

void EngineLoop::embed(EmbeddingJob job) {
  RunningEmbedding embedding;
  embedding.vectors.resize(job.texts.size());
  embedding.job = std::move(job);
  embeddings_.push_back(std::move(embedding));
}

// Only the first job's texts are in work: jobs are answered in the order in which they came.
void EngineLoop::fill_embeddings() {
  while (!embeddings_.empty()) {
    RunningEmbedding& job = embeddings_.front();
    while (job.now.size() < job.together_max && job.next < job.job.texts.size()) {
      std::unique_ptr<Session> session = engine_->new_embedding();
      if (auto appended = session->append(job.job.texts[job.next]); !appended) {
        end_embedding(embeddings_.begin(),
                      tl::unexpected(Failure{FailureKind::kInvalid, appended.error().message, 0, 0, 0}));
        break;
      }
      job.now.push_back({job.next++, std::move(session)});
    }
    if (!embeddings_.empty() && !embeddings_.front().now.empty()) return;
    if (!embeddings_.empty() && embeddings_.front().job.texts.empty())
      end_embedding(embeddings_.begin(), EmbeddingResult(std::vector<std::vector<float>>()));
  }
}

void EngineLoop::end_embeddings() {
  for (auto at = embeddings_.begin(); at != embeddings_.end();) {
    const auto job = at++;
    job->now.remove_if([&](const RunningEmbedding::Text& text) {
      if (text.session->pending() > 0) return false;
      ended_since_pause_ = true;
      totals_.prompt_tokens += text.session->tokens().size();
      job->vectors[text.index] = text.session->embedding();
      return true;
    });
    if (job->now.empty() && job->next == job->job.texts.size())
      end_embedding(job, EmbeddingResult(std::move(job->vectors)));
  }
}

void EngineLoop::end_embedding(std::list<RunningEmbedding>::iterator at, EmbeddingResult result) {
  if (!result) ++totals_.failures;
  ended_since_pause_ = true;
  const auto done = std::move(at->job.done);
  embeddings_.erase(at);
  done(std::move(result));
}

// Memory is short: texts go one at a time from now on, and one that does not fit alone is too long. False:
// nothing was given back.
bool EngineLoop::thin_embeddings(const Error& error) {
  if (embeddings_.empty() || embeddings_.front().now.empty()) return false;
  RunningEmbedding& job = embeddings_.front();
  if (job.now.size() > 1) {
    job.next = job.now.front().index + 1;
    job.now.erase(std::next(job.now.begin()), job.now.end());
    job.together_max = 1;
    return true;
  }
  const auto runs = [](const Running& running) { return !running.paused; };
  if (std::any_of(running_.begin(), running_.end(), runs)) return false;
  end_embedding(embeddings_.begin(), tl::unexpected(Failure{FailureKind::kTooLong, error.message,
                                                            job.now.front().session->tokens().size(), 0, 0}));
  return true;
}

}  // namespace mneme::serve

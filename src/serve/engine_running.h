// What runs in an EngineLoop; for its own files.
#pragma once

#include "serve/engine_loop.h"

namespace mneme::serve {

struct EngineLoop::Running {
  Submission submission;
  OwnedSession own;
  std::unique_ptr<Generation> generation;
  double started_s = 0;
  uint64_t served = 0;  // the pass that last had rows of it
  bool begun = false;   // the listener has heard so
  bool paused = false;  // memory is short: it goes on when there is more

  GenerationListener& listener() { return *submission.listener; }
  bool decodes() const { return generation->report().generated_tokens > 0 && own.session->pending() == 1; }
};

// The texts of one job go through the model some at a time.
struct EngineLoop::RunningEmbedding {
  struct Text {
    size_t index;
    std::unique_ptr<Session> session;
    uint64_t served = 0;
  };
  EmbeddingJob job;
  std::vector<std::vector<float>> vectors;  // [texts]
  size_t next = 0;                          // text to begin with
  size_t together_max = 32;                 // fewer where memory is short
  std::list<Text> now;
};

}  // namespace mneme::serve

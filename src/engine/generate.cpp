// generate(): one generation alone, step by step until it is finished.
#include "core/error.h"
#include "mneme/generation.h"

namespace mneme {

using core::pass;

Result<GenerateReport> generate(Engine& engine, Session& session, const GenerateOptions& options,
                                const GenerateEvents& events) {
  auto generation = Generation::begin(engine, session, options, events);
  if (!generation) return pass(generation);
  if (events.cancelled && events.cancelled()) (*generation)->stop(StopReason::kCancelled, "");
  Session* const sessions[] = {&session};
  while (!(*generation)->finished()) {
    if (session.pending() > 0) {
      auto step = engine.step(sessions);
      const bool answering = (*generation)->report().generated_tokens > 0;
      if (!step && !answering) return pass(step);
      if (!step) {
        (*generation)->stop(StopReason::kFull, step.error().message);
        break;
      }
    }
    if (auto advanced = (*generation)->advance(); !advanced) return pass(advanced);
  }
  return (*generation)->report();
}

}  // namespace mneme

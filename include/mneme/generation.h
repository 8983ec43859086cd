// Generation: generate() of engine.h taken apart into single tokens, for callers that run many contexts in
// one Engine::step().
//
//   auto generation = Generation::begin(engine, session, options, events);
//   while (!(*generation)->finished()) {
//     engine.step({&session, ...});        // prefill and decode alike
//     (*generation)->advance();            // draws a token once the session has nothing pending
//   }
//   (*generation)->report();
#pragma once

#include <memory>
#include <string>

#include "mneme/engine.h"

namespace mneme {

// Belongs to the thread of its engine. The engine and the session outlive it.
class Generation {
 public:
  // The session's pending tokens are the prompt. Fails as generate() does, with nothing changed.
  static Result<std::unique_ptr<Generation>> begin(Engine& engine, Session& session, GenerateOptions options,
                                                   GenerateEvents events);
  virtual ~Generation() = default;

  // After a step. While the prompt is being evaluated it reports progress; once nothing is pending it draws
  // the next token, shows it, and appends it (pending again) unless the generation ends with it.
  virtual Result<void> advance() = 0;
  virtual bool finished() const = 0;
  // Ends it where it is, for a reason of the caller's: kCancelled, kFull. What was held back is shown.
  virtual void stop(StopReason reason, std::string message) = 0;
  // Complete once finished.
  virtual const GenerateReport& report() const = 0;
};

}  // namespace mneme

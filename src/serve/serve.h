// serve: models for programs, over HTTP. From the outside in:
//
//   http.h        requests in, answers out (http_*.cpp; Boost.Beast and OpenSSL stay behind it)
//   server.h      who asks and whether he may: keys and their limits (keys.h, key_limits.h), browsers
//                 (browser.h), the log (log.h), meters (meters.h); then the Router (api.h) finds the endpoint
//   openai_*, responses*, anthropic*, editors*, endpoints_*
//                 the protocols: JSON to a ChatRequest or a GenerationRequest, and what a generation says to
//                 events or one object. What they share: json_fields.h, call_parts.h, sse.h
//   chat.h        a conversation as all of them mean it: the prompt (chat_prompt.h), the grammar that holds
//                 the answer (tool_dialect.h, constraint_cache.h), and tool calls and reasoning read back out
//                 of the text (chat_reader.h)
//   backend.h     a model as they see it. scheduler.h is one: a thread with an inbox, which runs an
//                 EngineLoop (engine_loop.h): continuous batching with fairness (waiting_queue.h,
//                 prefill_plan.h, step_cost.h), and contexts that wait for their next turn (session_pool.h)
//   models.h      several of them, by name
//
// Threads: an io thread moves bytes, workers run endpoints (JSON, templates, tokens), and one engine thread a
// model computes and calls listeners, which write to answers; nobody waits for a client.
#pragma once

#include "serve/api.h"
#include "serve/models.h"
#include "serve/scheduler.h"
#include "serve/server.h"

// What every protocol does around its own words: whose a request is, ids, and an end for a client that left.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api.h"
#include "serve/chat.h"

namespace mneme::serve {

// The prefix and 24 random hexadecimal digits.
std::string random_id(std::string_view prefix);

// For requests that name no seed.
uint64_t fresh_seed();

// Where nothing is said of an answer's length: a model that finds no end must not hold a place for hours.
inline constexpr int kAnswerTokensMax = 16384;

// The caller's part, the conversation that the request says it belongs to (its headers' word, else that of
// its body; may be empty), and the session that its body names.
Origin origin_of(const Call& call, std::string affinity_in_body = {}, std::string session = {});

// From then on a client that leaves ends the generations: they are of no use to anybody.
void cancel_when_gone(Answer& answer, const std::shared_ptr<Backend>& backend, std::vector<GenerationId> ids);

// The name that an answer gives its model: the one asked for, or, where that was "auto" or none, its own.
std::string model_name(const std::string& asked, const Backend& backend);

// Tells the log and the meters of a call what its answer took; may be empty.
std::function<void(uint64_t prompt_tokens, uint64_t generated_tokens)> account_of(const Call& call,
                                                                                  const Backend& backend);

// POST `path`: what `serve` fails with is told in the surface's words.
void add_post(Router& router, Models& models, const char* path, Surface surface,
              tl::expected<void, Failure> (*serve)(const Call&, Models&));

int64_t unix_now_s();

// Parts of one text, an empty line between them.
void add_paragraph(std::string& text, std::string_view more);

}  // namespace mneme::serve

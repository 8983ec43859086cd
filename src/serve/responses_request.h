// Bodies of /v1/responses as conversations. The server keeps no responses: the whole conversation comes with
// every request. Ids of items say nothing and are dropped, so that a returning prompt is found again.
#pragma once

#include <set>
#include <string>

#include "serve/api.h"
#include "serve/chat.h"

namespace mneme::serve {

struct ResponsesRequest {
  std::string model;
  ChatRequest chat;
  std::string cache_key;  // prompt_cache_key: tells conversations apart
  std::string session;    // to be kept under this name
  bool stream = false;
  bool summarise = false;              // reasoning is told as its summary, which is all of it
  std::set<std::string> custom_tools;  // whose input is a text: for the model, functions of one string
  Json echo;                           // fields of the request that the response repeats
};

tl::expected<ResponsesRequest, Failure> read_responses(const Json& body);

}  // namespace mneme::serve

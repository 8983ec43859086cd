#include "serve/openapi.h"

#include "core/error.h"
#include "mneme/version.h"

namespace mneme::serve {

Json openapi_document() {
  Json document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "mneme"},
        {"version", kVersion},
        {"summary", "Language models with memory, through the OpenAI, Anthropic and Responses protocols"},
        {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"security", Json::array({{{"bearer", Json::array()}}, {{"x-api-key", Json::array()}}})},
      {"paths", Json::object()},
      {"components",
       {{"securitySchemes",
         {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
          {"x-api-key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}}},
        {"responses", Json::object()},
        {"schemas", Json::object()}}}};
  for (const std::string_view text : {openapi_own(), openapi_openai(), openapi_anthropic(), openapi_text()}) {
    const Json part = Json::parse(text, nullptr, false);
    MNEME_CHECK(part.is_object(), "a part of the OpenAPI document is no JSON");
    document["paths"].update(part.at("paths"), true);
    document["components"]["schemas"].update(part.at("schemas"));
    document["components"]["responses"].update(part.value("responses", Json::object()));
  }
  // For clients whose base URL lacks the version.
  for (const char* path :
       {"/models", "/chat/completions", "/chat/completions/input_tokens", "/completions", "/embeddings"})
    document["paths"][path] = document["paths"].at(std::string("/v1") + path);
  return document;
}

}  // namespace mneme::serve

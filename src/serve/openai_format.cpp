// What an answer is held to, as requests of the OpenAI family say it: response_format, or json_schema,
// grammar and regex by themselves.
#include "serve/openai_request.h"

namespace mneme::serve {

namespace {

void read_schema(const Fields& owner, std::string_view key, FormatRequest& format) {
  const Json* schema = owner.find(key);
  format.format = AnswerFormat::kJsonSchema;
  if (schema && !schema->is_object())
    return owner.errors().wrong_type(owner.path_of(key), "an object", *schema);
  format.format_text = schema ? json_text(*schema) : R"({"type":"object"})";
}

void read_response_format(const Fields& asked, FormatRequest& format) {
  const std::string type = asked.one_of("type", {"text", "json_object", "json_schema", "grammar", "regex"},
                                        asked.has("type") ? "" : "text");
  if (type == "json_object") {
    format.format = AnswerFormat::kJsonObject;
    if (asked.has("schema")) read_schema(asked, "schema", format);
  } else if (type == "json_schema") {
    const auto named = asked.object("json_schema");
    if (!named && !asked.errors().any()) asked.errors().missing(asked.path_of("json_schema"));
    if (!named) return;
    read_schema(*named, "schema", format);
    format.format_strict = named->flag("strict", false);
  } else if (type == "grammar" || type == "regex") {
    format.format = type == "regex" ? AnswerFormat::kRegex : AnswerFormat::kGrammar;
    format.format_text = asked.required_text(type == "regex" && asked.has("pattern") ? "pattern" : type);
  }
}

}  // namespace

void read_format(const Fields& fields, FormatRequest& format) {
  if (const auto asked = fields.object("response_format")) read_response_format(*asked, format);
  if (format.format != AnswerFormat::kText) return;
  if (fields.has("json_schema")) read_schema(fields, "json_schema", format);
  for (const char* key : {"grammar", "regex"}) {
    if (fields.text(key).empty()) continue;
    format.format = key == std::string_view("regex") ? AnswerFormat::kRegex : AnswerFormat::kGrammar;
    format.format_text = fields.text(key);
  }
}

}  // namespace mneme::serve

// POST /tokenize, /detokenize, /apply-template: the text side of a model.
#include <utility>

#include "core/error.h"
#include "serve/openai_chat_request.h"
#include "serve/openai_completions.h"

namespace mneme::serve {

namespace {

// A piece that is no whole text by itself is given by its bytes.
Json piece_json(const Text& text, TokenId token) {
  const std::string piece = text.token_bytes(token).empty() ? text.decode({&token, 1}, true)
                                                            : text.token_bytes(token);
  if (sound_text(piece) == piece) return piece;
  Json bytes = Json::array();
  for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

Json tokenize(const Fields& fields, const Text& text) {
  const std::string content = fields.text(fields.has("content") || !fields.has("prompt") ? "content"
                                                                                         : "prompt");
  if (!fields.has("content") && !fields.has("prompt")) fields.errors().missing("content");
  const bool add_special = fields.flag("add_special", false), pieces = fields.flag("with_pieces", false);
  const bool parse_special = fields.flag("parse_special", true);
  Json tokens = Json::array();
  for (const TokenId token :
       text.encode(content, {.add_bos_eos = add_special, .parse_specials = parse_special})) {
    if (pieces) {
      tokens.push_back({{"id", token}, {"piece", piece_json(text, token)}});
    } else {
      tokens.push_back(token);
    }
  }
  const size_t count = tokens.size();
  return {{"tokens", std::move(tokens)}, {"count", count}};
}

Json detokenize(const Fields& fields, const Text& text) {
  std::vector<TokenId> tokens;
  if (!fields.require("tokens")) return {};
  fields.each("tokens", [&](const Json& item, const std::string& path) {
    const auto token = whole_number(item);
    if (!token) return fields.errors().wrong_type(path, "a token", item);
    if (*token < 0 || *token >= text.vocab_size())
      return fields.errors().wrong_value(
          path, fmt::format("{} is no token: the vocabulary has {}", *token, text.vocab_size()));
    tokens.push_back(static_cast<TokenId>(*token));
  });
  return {{"content", sound_text(text.decode(tokens, true))}};
}

Json apply_template(const Fields& fields, const Text& text) {
  const OpenAiChatRequest request = read_openai_chat(fields, text);
  if (fields.errors().any()) return {};
  auto prompt = render_prompt(text, request.chat);
  if (prompt) return {{"prompt", *prompt}};
  fields.errors().add(prompt.error().param, prompt.error().message);
  return {};
}

using Answering = Json (*)(const Fields& fields, const Text& text);

void answer_text(const Call& call, Models& models, Answering answering) {
  auto body = read_openai_body(call, models);
  if (!body) return;
  RequestErrors errors;
  const Json answer = answering(Fields(body->json, "", errors), body->backend->text());
  if (errors.any()) return send_failure(*call.answer, Surface::kOpenAi, errors.failure());
  call.answer->send(200, "application/json", json_text(answer));
}

}  // namespace

void add_text(Router& router, Models& models) {
  const auto add = [&](const char* path, Answering answering) {
    router.add("POST", path,
               [&models, answering](const Call& call) { answer_text(call, models, answering); });
  };
  add("/tokenize", tokenize);
  add("/detokenize", detokenize);
  add("/apply-template", apply_template);
}

}  // namespace mneme::serve

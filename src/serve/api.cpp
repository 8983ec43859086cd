#include "serve/api.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace mneme::serve {
namespace {

constexpr int kNestingMax = 200;

// Brackets that are open at once, outside of strings: the deepest.
int nesting_of(std::string_view text) {
  int now = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++now);
    } else if (c == '}' || c == ']') {
      --now;
    }
  }
  return deepest;
}

std::string place_of(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, byte > 0 ? std::min(byte - 1, text.size()) : 0);
  const auto line = 1 + std::ranges::count(before, '\n');
  const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", line, before.size() - start + 1);
}

// "[json.exception...] parse error at line 1, column 5: syntax error while parsing value - what; last read:
// 'x'"
// -> "what".
std::string reason_of(std::string_view what) {
  const size_t at = what.find(" - ");
  if (at == std::string_view::npos)
    return std::string(what.substr(std::min(what.rfind("] ") + 2, what.size())));
  const std::string_view reason = what.substr(at + 3);
  const size_t read = reason.find("; last read"), expected = reason.rfind("; expected ");
  const bool is_between = read != reason.npos && expected != reason.npos && expected > read;
  return std::string(reason.substr(0, read)) + std::string(is_between ? reason.substr(expected) : "");
}

struct Words {
  std::string_view openai_type, openai_code, anthropic_type;
};

Words words_of(int status) {
  switch (status) {
    case 401: return {"invalid_request_error", "invalid_api_key", "authentication_error"};
    case 403: return {"insufficient_permissions", "permission_denied", "permission_error"};
    case 404: return {"invalid_request_error", "not_found", "not_found_error"};
    case 405: return {"invalid_request_error", "method_not_allowed", "invalid_request_error"};
    case 408: return {"invalid_request_error", "request_timeout", "timeout_error"};
    case 413: return {"invalid_request_error", "request_too_large", "request_too_large"};
    case 429: return {"rate_limit_error", "rate_limit_exceeded", "rate_limit_error"};
    case 500: return {"server_error", "internal_error", "api_error"};
    case 503: return {"server_error", "service_unavailable", "api_error"};
    case 504: return {"server_error", "timeout", "timeout_error"};
    case 505: return {"invalid_request_error", "http_version_not_supported", "invalid_request_error"};
    case 529: return {"server_error", "overloaded", "overloaded_error"};
    default: break;
  }
  if (status >= 500) return {"server_error", "internal_error", "api_error"};
  return {"invalid_request_error", "", "invalid_request_error"};
}

Refusal refusal_of(Surface surface, const Failure& failure) {
  Refusal refusal;
  refusal.status = http_status(failure);
  refusal.message = failure.message;
  refusal.param = failure.param;
  refusal.retry_after_s = failure.retry_after_s;
  refusal.param = failure.param;
  if (failure.kind == FailureKind::kNoModel) refusal.code = "model_not_found";
  if (failure.kind == FailureKind::kNoSessions) refusal.code = "sessions_max";
  if (failure.kind == FailureKind::kTooLong) {
    refusal.code = "context_length_exceeded";
    if (surface == Surface::kAnthropic && failure.tokens_max > 0)
      refusal.message = fmt::format("prompt is too long: {} tokens > {} maximum", failure.tokens,
                                    failure.tokens_max);
    if (surface != Surface::kAnthropic && refusal.message.empty())
      refusal.message = fmt::format(
          "This model's maximum context length is {} tokens. However, {} were requested.", failure.tokens_max,
          failure.tokens);
  }
  if (failure.kind == FailureKind::kBusy) {
    if (surface == Surface::kAnthropic) refusal.status = 529;
    if (refusal.retry_after_s <= 0) refusal.retry_after_s = 1;
    if (refusal.message.empty()) refusal.message = "the server is busy: try again later";
  }
  return refusal;
}

Json nullable(std::string_view text) { return text.empty() ? Json() : Json(text); }

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return core::fail("the body is empty, not JSON");
  if (nesting_of(text) > kNestingMax)
    return core::fail("the body is nested too deeply: more than {} levels", kNestingMax);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return core::fail("the body is no JSON: {}: {}", place_of(text, error.byte), reason_of(error.what()));
  } catch (const Json::exception& error) {
    return core::fail("the body is no JSON: {}", reason_of(error.what()));
  }
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Surface surface_of(std::string_view path) {
  const auto is = [&](std::string_view root) {
    return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
  };
  if (is("/v1/messages") || is("/anthropic")) return Surface::kAnthropic;
  if (is("/v1/sessions") || is("/v1/health")) return Surface::kOwn;
  if (is("/v1") || is("/chat") || is("/completions") || is("/responses") || is("/embeddings") ||
      is("/models"))
    return Surface::kOpenAi;
  return Surface::kOwn;
}

int http_status(const Failure& failure) {
  switch (failure.kind) {
    case FailureKind::kInvalid:
    case FailureKind::kTooLong: return 400;
    case FailureKind::kBusy: return 429;
    case FailureKind::kOverTime: return 504;
    case FailureKind::kStopping: return 503;
    case FailureKind::kNoModel: return 404;
    case FailureKind::kNoSessions: return 403;
    case FailureKind::kInternal: break;
  }
  return 500;
}

Json error_body(Surface surface, const Refusal& refusal, std::string_view request_id) {
  const Words words = words_of(refusal.status);
  if (surface == Surface::kAnthropic) {
    return {{"type", "error"},
            {"error", {{"type", words.anthropic_type}, {"message", refusal.message}}},
            {"request_id", nullable(request_id)}};
  }
  return {{"error",
           {{"message", refusal.message},
            {"type", words.openai_type},
            {"param", nullable(refusal.param)},
            {"code", nullable(refusal.code.empty() ? words.openai_code : std::string_view(refusal.code))}}}};
}

Json error_body(Surface surface, const Failure& failure) {
  return error_body(surface, refusal_of(surface, failure), {});
}

void send_refusal(Answer& answer, Surface surface, const Refusal& refusal) {
  Headers more = refusal.more;
  if (refusal.retry_after_s > 0)
    more.emplace_back("Retry-After", std::to_string(static_cast<int64_t>(std::ceil(refusal.retry_after_s))));
  answer.send(refusal.status, "application/json",
              json_text(error_body(surface, refusal, answer.request_id())), std::move(more));
}

void send_failure(Answer& answer, Surface surface, const Failure& failure) {
  send_refusal(answer, surface, refusal_of(surface, failure));
}

}  // namespace mneme::serve

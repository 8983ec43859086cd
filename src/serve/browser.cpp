#include "serve/browser.h"

#include <algorithm>

#include "serve/http_text.h"

namespace mneme::serve {
namespace {

// "name:80" -> name, "[::1]:80" -> ::1.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, std::min(host.find(']'), host.size()) - 1);
  return host.substr(0, std::min(host.find(':'), host.size()));
}

std::string_view host_of_origin(std::string_view origin) {
  const size_t at = origin.find("://");
  return at == std::string_view::npos ? std::string_view() : origin.substr(at + 3);
}

}  // namespace

bool is_loopback_host(std::string_view host) {
  const std::string_view name = without_port(host);
  if (equal_ignoring_case(name, "localhost") || name == "::1") return true;
  // Digits and dots alone: 127.0.0.1.evil.example is a name like any other.
  return name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool origin_allowed(const BrowserRules& rules, const HttpRequest& request) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return false;
  if (std::ranges::any_of(rules.origins, [&](const std::string& allowed) {
        return allowed == "*" || equal_ignoring_case(allowed, origin);
      }))
    return true;
  const std::string_view host = host_of_origin(origin);
  return !host.empty() && (is_loopback_host(host) || equal_ignoring_case(host, request.header("host")));
}

std::string browser_refusal(const BrowserRules& rules, const HttpRequest& request) {
  if (rules.has_keys) return {};  // a page that has none gets nothing
  const std::string_view host = request.header("host");
  if (is_loopback_host(rules.host) && !host.empty() && !is_loopback_host(host) &&
      !equal_ignoring_case(without_port(host), rules.host))
    return "the Host header names another machine: this server without keys answers as localhost alone";
  if (!request.header("origin").empty() && !origin_allowed(rules, request))
    return "pages of this origin are not allowed here (--cors allows them)";
  return {};
}

Headers cors_headers(const BrowserRules& rules, const HttpRequest& request) {
  if (request.header("origin").empty()) return {};
  Headers headers = {{"Vary", "Origin"}};
  if (!origin_allowed(rules, request)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", request.header("origin"));
  headers.emplace_back(
      "Access-Control-Expose-Headers",
      "x-request-id, request-id, retry-after, x-ratelimit-limit-requests, "
      "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
      "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens");
  return headers;
}

bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && !request.header("origin").empty() &&
         !request.header("access-control-request-method").empty();
}

Headers preflight_headers(const BrowserRules& rules, const HttpRequest& request) {
  Headers headers = cors_headers(rules, request);
  if (!origin_allowed(rules, request)) return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS");
  const std::string_view asked = request.header("access-control-request-headers");
  if (!asked.empty()) headers.emplace_back("Access-Control-Allow-Headers", asked);
  headers.emplace_back("Access-Control-Max-Age", "600");
  if (request.header("access-control-request-private-network") == "true")
    headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  return headers;
}

}  // namespace mneme::serve

// What pages in a browser may ask: origins that are allowed (CORS), and names of this host that are ours (DNS
// rebinding: a page of evil.example whose name suddenly means 127.0.0.1).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/http.h"

namespace mneme::serve {

struct BrowserRules {
  std::vector<std::string> origins;  // "https://a.example", or "*" for all
  bool has_keys = false;
  std::string host;  // that is listened at
};

bool is_loopback_host(std::string_view host);  // "localhost", "127.0.0.1:8080", "[::1]:1"
bool origin_allowed(const BrowserRules& rules, const HttpRequest& request);
// Why this request is not answered; empty: it is.
std::string browser_refusal(const BrowserRules& rules, const HttpRequest& request);
// Of every answer; none where the request comes from no browser or from an origin that is not allowed.
Headers cors_headers(const BrowserRules& rules, const HttpRequest& request);
bool is_preflight(const HttpRequest& request);
Headers preflight_headers(const BrowserRules& rules, const HttpRequest& request);

}  // namespace mneme::serve

// One GET of a server of ours, for the command line: waited for.
#pragma once

#include <chrono>
#include <string>

#include "serve/http.h"

namespace mneme::serve {

struct HttpReply {
  int status = 0;
  std::string body;
};

// `url`: "http://127.0.0.1:8080/health". An error names the address and what went wrong. Answers of more than
// 64 MiB are an error. Of "https://..." the certificate is checked: against those in the PEM file `ca_path`,
// or where it is empty those that this machine trusts.
Result<HttpReply> http_get(const std::string& url, const Headers& headers, std::chrono::milliseconds within,
                           const std::string& ca_path = {});

}  // namespace mneme::serve

// The server: HTTP, who may ask what, the endpoints of all protocols, and what is told of it all.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "serve/api.h"
#include "serve/http.h"
#include "serve/log.h"

namespace mneme::serve {

struct ServerOptions {
  HttpOptions http = {};
  std::string keys_path = {};                  // keys.h; empty: everybody may ask everything
  std::vector<std::string> cors_origins = {};  // pages that may ask; "*": all. Those of this machine always
                                               // may
  LogSink log = {};                            // may be empty
  std::function<void(Router&)> more = {};      // endpoints beside those of add_endpoints()
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, std::shared_ptr<Models> models);
  virtual ~Server() = default;
  virtual uint16_t port() const = 0;
  virtual const Router& router() const = 0;
  // Reads the keys again now; otherwise within a second of their change.
  virtual Result<void> reread_keys() = 0;
  // Answers under way may end within the time. Whether all did.
  virtual bool stop(std::chrono::milliseconds within) = 0;
};

// Every endpoint but /metrics, which is of a server.
void add_endpoints(Router& router, Models& models);

}  // namespace mneme::serve

// How much each key may ask for: token buckets a minute deep for requests and tokens, and a count of what
// runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "serve/http.h"
#include "serve/keys.h"

namespace mneme::serve {

class RateLimits {
 public:
  // `now_s`: for tests; empty: the clock.
  explicit RateLimits(std::function<double()> now_s = {});

  struct Decision {
    std::string message;       // empty: go on
    double retry_after_s = 0;  // otherwise
    Headers headers;           // x-ratelimit-*, of the limits that the key has
  };
  // Takes one request. Tokens are known only when they are spent: a key in debt waits until it has paid.
  Decision take(const Key& key);
  void spend_tokens(const Key& key, uint64_t tokens);
  // A generation begins and ends; false: too many at once.
  bool enter(const Key& key);
  void leave(const Key& key);

 private:
  struct Bucket {
    double left = 0, at_s = 0;
    bool made = false;
  };
  struct Use {
    Bucket requests, tokens;
    uint64_t running = 0;
  };
  void fill(Bucket& bucket, uint64_t per_minute) const;

  std::function<double()> now_s_;
  std::mutex mutex_;
  std::map<std::string, Use> uses_;  // by key's id; guarded by mutex_
};

}  // namespace mneme::serve

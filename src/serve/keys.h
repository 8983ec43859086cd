// API keys: a JSON file of salted hashes, and finding out whose key a request shows. The text of a key is
// known to its holder alone: "sk-mneme-ID-SECRET", the secret 256 random bits.
//
// The file: {"version": 1, "keys": [{"id", "name", "salt", "hash", "iterations", ...limits}]}, the hash
// PBKDF2-HMAC-SHA256 of the whole text, in hex.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/backend.h"

namespace mneme::serve {

// 0: no limit.
struct KeyLimits {
  uint64_t requests_per_minute = 0, tokens_per_minute = 0;
  uint64_t tokens_max = 0;       // of one prompt and answer
  uint64_t generations_max = 0;  // at one time
  uint64_t sessions_max = 0;     // named ones
  Priority priority = Priority::kNormal;
  bool is_admin = false;  // sees every owner's sessions, and the metrics
};

struct Key {
  std::string id;  // 12 hex digits; the owner of what is done with it
  std::string name;
  KeyLimits limits;
  int64_t created_unix_s = 0;
  std::string salt, hash;  // hex
  int iterations = 0;
};

// An error names the file and what is wrong with it. A file that is not there has no keys.
Result<std::vector<Key>> read_keys(const std::string& path);
// Whole or not at all, readable by its owner alone.
Result<void> write_keys(const std::string& path, std::span<const Key> keys);

struct NewKey {
  Key key;
  std::string text;  // shown once, kept nowhere
};
NewKey new_key(std::string name, const KeyLimits& limits);

Result<Priority> priority_of(std::string_view name);  // "high", "normal", "low"
std::string_view name_of(Priority priority);

// The keys of a file, read again when it changes. Thread safe.
class Keys {
 public:
  static Result<std::unique_ptr<Keys>> open(std::string path);

  enum class Verdict : uint8_t { kKnown, kUnknown, kTooManyTries };
  struct Found {
    Verdict verdict = Verdict::kUnknown;
    std::shared_ptr<const Key> key;  // kKnown
  };
  // Wrong keys that have a right id cost some milliseconds: `peer` has only so many tries.
  Found find(std::string_view text, std::string_view peer);
  // Now, where the file has changed; otherwise it is looked at once a second at most. An error, and the keys
  // stay as they are, where it cannot be read.
  Result<void> reread();

 private:
  using Digest = std::array<unsigned char, 32>;
  struct FileState {
    int64_t modified_ns = 0, size = -1;
    uint64_t inode = 0;
    bool operator==(const FileState&) const = default;
  };
  struct Tries {
    double left = 0, at_s = 0;
  };

  explicit Keys(std::string path);
  FileState state_of_file() const;
  void look_at_file();
  bool may_try(std::string_view peer);
  Digest digest_of(std::string_view text) const;

  const std::string path_;
  Digest seed_{};  // of this process: what the table of verified keys is keyed with
  std::mutex mutex_;
  std::mutex hash_mutex_;  // one slow hash at a time
  // Guarded by mutex_.
  std::map<std::string, std::shared_ptr<const Key>, std::less<>> keys_;  // by id
  std::map<Digest, std::string> verified_;                               // ids
  std::map<std::string, Tries, std::less<>> tries_;                      // by peer
  FileState state_;
  double looked_s_ = 0;
};

}  // namespace mneme::serve

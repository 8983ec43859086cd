#include "serve/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "core/clock.h"
#include "core/error.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kPrefix = "sk-mneme-";
constexpr int kIterations = 100'000;
constexpr size_t kVerifiedMax = 4096, kPeersMax = 10'000;
constexpr double kTriesMax = 30, kTriesPerS = 0.5;

std::string hex(std::span<const unsigned char> bytes) {
  std::string out;
  for (const unsigned char byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

template <size_t kSize>
std::array<unsigned char, kSize> random_bytes() {
  std::array<unsigned char, kSize> bytes{};
  MNEME_CHECK(RAND_bytes(bytes.data(), static_cast<int>(kSize)) == 1, "no random numbers");
  return bytes;
}

std::string hash_of(std::string_view text, std::string_view salt, int iterations) {
  std::array<unsigned char, 32> out{};
  const int done = PKCS5_PBKDF2_HMAC(
      text.data(), static_cast<int>(text.size()), reinterpret_cast<const unsigned char*>(salt.data()),
      static_cast<int>(salt.size()), iterations, EVP_sha256(), static_cast<int>(out.size()), out.data());
  MNEME_CHECK(done == 1, "no hash");
  return hex(out);
}

// "sk-mneme-ID-SECRET" -> ID.
std::string_view id_of(std::string_view text) {
  if (text.size() > 256 || !text.starts_with(kPrefix)) return {};
  text.remove_prefix(kPrefix.size());
  return text.substr(0, std::min(text.find('-'), text.size()));
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

NewKey new_key(std::string name, const KeyLimits& limits) {
  NewKey made;
  made.key.id = hex(random_bytes<6>());
  made.key.name = std::move(name);
  made.key.limits = limits;
  made.key.created_unix_s = std::time(nullptr);
  made.key.salt = hex(random_bytes<16>());
  made.key.iterations = kIterations;
  made.text = std::string(kPrefix) + made.key.id + "-" + hex(random_bytes<32>());
  made.key.hash = hash_of(made.text, made.key.salt, kIterations);
  return made;
}

Keys::Keys(std::string path) : path_(std::move(path)), seed_(random_bytes<32>()) {}

Result<std::unique_ptr<Keys>> Keys::open(std::string path) {
  std::unique_ptr<Keys> keys(new Keys(std::move(path)));
  if (keys->state_of_file().size < 0)
    return core::fail("{}: there is no such file of keys (mneme serve key add makes one)", keys->path_);
  if (auto read = keys->reread(); !read) return core::pass(read);
  return keys;
}

Keys::FileState Keys::state_of_file() const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) return {};
  return {status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_size, status.st_ino};
}

Result<void> Keys::reread() {
  const FileState now = state_of_file();
  {
    const std::lock_guard lock(mutex_);
    if (now == state_) return {};
  }
  auto read = read_keys(path_);
  if (!read) return core::pass(read);
  const std::lock_guard lock(mutex_);
  keys_.clear();
  verified_.clear();
  for (Key& key : *read) {
    std::string id = key.id;
    keys_[std::move(id)] = std::make_shared<const Key>(std::move(key));
  }
  state_ = now;
  return {};
}

void Keys::look_at_file() {
  {
    const std::lock_guard lock(mutex_);
    if (core::now_s() < looked_s_ + 1) return;
    looked_s_ = core::now_s();
  }
  (void)reread();  // keys that cannot be read now stay as they were
}

Keys::Digest Keys::digest_of(std::string_view text) const {
  Digest digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), seed_.data(), static_cast<int>(seed_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  return digest;
}

bool Keys::may_try(std::string_view peer) {
  const double now = core::now_s();
  const std::lock_guard lock(mutex_);
  if (tries_.size() >= kPeersMax)
    std::erase_if(tries_,
                  [&](const auto& entry) { return now - entry.second.at_s > kTriesMax / kTriesPerS; });
  if (tries_.size() >= kPeersMax) tries_.clear();
  Tries& tries = tries_.try_emplace(std::string(peer), Tries{kTriesMax, now}).first->second;
  tries.left = std::min(kTriesMax, tries.left + (now - tries.at_s) * kTriesPerS);
  tries.at_s = now;
  if (tries.left < 1) return false;
  tries.left -= 1;
  return true;
}

Keys::Found Keys::find(std::string_view text, std::string_view peer) {
  look_at_file();
  const Digest digest = digest_of(text);
  std::shared_ptr<const Key> key;
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = verified_.find(digest); known != verified_.end())
      return {Verdict::kKnown, keys_.at(known->second)};
    if (const auto found = keys_.find(id_of(text)); found != keys_.end()) key = found->second;
  }
  if (!may_try(peer)) return {Verdict::kTooManyTries, nullptr};
  if (!key) return {};
  {
    const std::lock_guard lock(hash_mutex_);
    if (!equal_in_constant_time(hash_of(text, key->salt, key->iterations), key->hash)) return {};
  }
  const std::lock_guard lock(mutex_);
  const auto still = keys_.find(key->id);
  if (still == keys_.end() || still->second != key) return {};  // removed meanwhile
  if (verified_.size() >= kVerifiedMax) verified_.clear();
  verified_[digest] = key->id;
  if (const auto tries = tries_.find(peer); tries != tries_.end()) tries->second.left += 1;
  return {Verdict::kKnown, key};
}

}  // namespace mneme::serve

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/pending_file.h"
#include "serve/keys.h"

namespace mneme::serve {
namespace {

using Json = nlohmann::ordered_json;
using core::fail;

// The limits by the names they have in the file.
struct Field {
  const char* name;
  uint64_t KeyLimits::*value;
};
constexpr Field kFields[] = {{"requests_per_minute", &KeyLimits::requests_per_minute},
                             {"tokens_per_minute", &KeyLimits::tokens_per_minute},
                             {"tokens_max", &KeyLimits::tokens_max},
                             {"generations_max", &KeyLimits::generations_max},
                             {"sessions_max", &KeyLimits::sessions_max}};

bool is_hex(std::string_view text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string text_of(const Json& entry, const char* name) {
  const auto found = entry.find(name);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<Key> key_of(const Json& entry) {
  if (!entry.is_object()) return fail("is no object");
  Key key;
  key.id = text_of(entry, "id");
  key.name = text_of(entry, "name");
  key.salt = text_of(entry, "salt");
  key.hash = text_of(entry, "hash");
  if (!is_hex(key.id, 12)) return fail("'id' is not 12 hex digits");
  if (!is_hex(key.salt, 32)) return fail("'salt' is not 32 hex digits");
  if (!is_hex(key.hash, 64)) return fail("'hash' is not 64 hex digits");
  const Json iterations = entry.value("iterations", Json());
  if (!iterations.is_number_integer() || iterations < 1000 || iterations > 100'000'000)
    return fail("'iterations' is not between 1000 and 100000000");
  key.iterations = iterations.get<int>();
  const Json created = entry.value("created_unix_s", Json(0));
  if (created.is_number_integer()) key.created_unix_s = created.get<int64_t>();
  for (const Field& field : kFields) {
    const Json value = entry.value(field.name, Json(0));
    if (!value.is_number_unsigned() && !(value.is_number_integer() && value >= 0))
      return fail("'{}' is no number from 0", field.name);
    key.limits.*field.value = value.get<uint64_t>();
  }
  const Json admin = entry.value("admin", Json(false));
  if (!admin.is_boolean()) return fail("'admin' is neither true nor false");
  key.limits.is_admin = admin.get<bool>();
  auto priority = priority_of(entry.contains("priority") ? text_of(entry, "priority") : "normal");
  if (!priority) return core::pass(priority);
  key.limits.priority = *priority;
  return key;
}

Json json_of(const Key& key) {
  Json entry = {{"id", key.id}, {"name", key.name}, {"created_unix_s", key.created_unix_s}};
  for (const Field& field : kFields) {
    if (key.limits.*field.value > 0) entry[field.name] = key.limits.*field.value;
  }
  if (key.limits.priority != Priority::kNormal) entry["priority"] = name_of(key.limits.priority);
  if (key.limits.is_admin) entry["admin"] = true;
  entry["salt"] = key.salt;
  entry["hash"] = key.hash;
  entry["iterations"] = key.iterations;
  return entry;
}

}  // namespace

Result<Priority> priority_of(std::string_view name) {
  if (name == "high") return Priority::kHigh;
  if (name == "normal") return Priority::kNormal;
  if (name == "low") return Priority::kLow;
  return fail("'{}' is no priority: high, normal or low", name);
}

std::string_view name_of(Priority priority) {
  return priority == Priority::kHigh ? "high" : priority == Priority::kLow ? "low" : "normal";
}

Result<std::vector<Key>> read_keys(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::vector<Key>();
  auto text = core::read_text_file(path, uint64_t{16} << 20);
  if (!text) return core::pass(text);
  const Json document = Json::parse(*text, nullptr, false);
  if (document.is_discarded() || !document.is_object()) return fail("{}: no JSON object", path);
  if (document.value("version", Json()) != 1) return fail("{}: 'version' is not 1", path);
  const auto list = document.find("keys");
  if (list == document.end() || !list->is_array()) return fail("{}: 'keys' is no list", path);
  std::vector<Key> keys;
  std::set<std::string> ids;
  for (const Json& entry : *list) {
    auto key = key_of(entry);
    if (!key) return fail("{}: key {}: {}", path, keys.size() + 1, key.error().message);
    if (!ids.insert(key->id).second) return fail("{}: key {}: its id is there twice", path, keys.size() + 1);
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<void> write_keys(const std::string& path, std::span<const Key> keys) {
  Json list = Json::array();
  for (const Key& key : keys) list.push_back(json_of(key));
  const std::string text =
      Json{{"version", 1}, {"keys", list}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  const mode_t before = ::umask(0077);
  auto written = core::write_file(path, text);
  ::umask(before);
  return written;
}

}  // namespace mneme::serve

#include "cli/serve_keys.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/report.h"
#include "cli/terminal.h"
#include "serve/keys.h"

namespace mneme::cli {

namespace {

struct KeyArguments {
  std::string path, name, priority = "normal";
  serve::KeyLimits limits;
  bool json = false;
};

// Of a file that has to be there.
Result<std::vector<serve::Key>> keys_of(const KeyArguments& a) {
  std::error_code error;
  if (!std::filesystem::exists(a.path, error))
    return tl::unexpected(Error{a.path + ": no such file of keys"});
  return serve::read_keys(a.path);
}

int add(const KeyArguments& a) {
  if (a.name.empty()) return wrong_usage("the key's name is empty");
  auto keys = serve::read_keys(a.path);
  if (!keys) return fail(keys.error());
  serve::KeyLimits limits = a.limits;
  limits.priority = serve::priority_of(a.priority).value_or(serve::Priority::kNormal);
  const serve::NewKey made = serve::new_key(a.name, limits);
  keys->push_back(made.key);
  if (auto written = serve::write_keys(a.path, *keys); !written) return fail(written.error());
  Output output;
  output.write(made.text + "\n");
  note("this is the only time that the key is shown");
  return output.ok() ? kDone : fail(output.error());
}

std::string limits_text(const serve::KeyLimits& limits) {
  std::string text = limits.is_admin ? "  admin" : "";
  const auto add_limit = [&](const char* what, uint64_t value) {
    if (value > 0) text += format("  %s %llu", what, static_cast<unsigned long long>(value));
  };
  add_limit("requests/min", limits.requests_per_minute);
  add_limit("tokens/min", limits.tokens_per_minute);
  add_limit("tokens", limits.tokens_max);
  add_limit("generations", limits.generations_max);
  add_limit("sessions", limits.sessions_max);
  if (limits.priority != serve::Priority::kNormal)
    text += "  priority " + std::string(name_of(limits.priority));
  return text;
}

nlohmann::ordered_json key_json(const serve::Key& key) {
  const serve::KeyLimits& limits = key.limits;
  return {{"id", key.id},
          {"name", key.name},
          {"created_unix_s", key.created_unix_s},
          {"admin", limits.is_admin},
          {"priority", name_of(limits.priority)},
          {"requests_per_minute", limits.requests_per_minute},
          {"tokens_per_minute", limits.tokens_per_minute},
          {"tokens_max", limits.tokens_max},
          {"generations_max", limits.generations_max},
          {"sessions_max", limits.sessions_max}};
}

int list(const KeyArguments& a) {
  auto keys = keys_of(a);
  if (!keys) return fail(keys.error());
  Output output;
  if (a.json) {
    auto all = nlohmann::ordered_json::array();
    for (const serve::Key& key : *keys) all.push_back(key_json(key));
    output.write(json_text({{"keys", all}}));
  } else {
    for (const serve::Key& key : *keys)
      output.write(format("%s  %-20s%s\n", key.id.c_str(), visible(key.name).c_str(),
                          limits_text(key.limits).c_str()));
    if (keys->empty()) note(a.path + ": no keys");
  }
  return output.ok() ? kDone : fail(output.error());
}

int remove(const KeyArguments& a) {
  auto keys = keys_of(a);
  if (!keys) return fail(keys.error());
  const auto has_id = [&](const serve::Key& key) { return key.id == a.name; };
  const auto has_name = [&](const serve::Key& key) { return key.name == a.name; };
  if (std::erase_if(*keys, has_id) == 0) {
    const size_t found = std::erase_if(*keys, has_name);
    if (found == 0) return fail({a.path + ": no key has the id or name '" + a.name + "'"});
    if (found > 1)
      return fail({format("%s: %zu keys have the name '%s': say which by its id (key list)", a.path.c_str(),
                          found, a.name.c_str())});
  }
  auto written = serve::write_keys(a.path, *keys);
  return written ? kDone : fail(written.error());
}

void add_limit_options(CLI::App& verb, KeyArguments& a) {
  verb.add_option("--requests", a.limits.requests_per_minute, "requests a minute; 0: no limit");
  verb.add_option("--tokens", a.limits.tokens_per_minute,
                  "tokens a minute, of prompts and answers; 0: no limit");
  verb.add_option("--tokens-max", a.limits.tokens_max, "tokens of one prompt and answer; 0: no limit");
  verb.add_option("--generations", a.limits.generations_max, "generations at one time; 0: no limit");
  verb.add_option("--sessions", a.limits.sessions_max, "named sessions; 0: no limit");
  verb.add_option("--priority", a.priority, "high, normal or low")
      ->check(CLI::IsMember({"high", "normal", "low"}));
  verb.add_flag("--admin", a.limits.is_admin, "sees every key's sessions, and the metrics");
}

}  // namespace

void add_serve_key(CLI::App& serve, int& status) {
  CLI::App& key = *serve.add_subcommand("key", "API keys of a server");
  key.require_subcommand(1);
  const auto add_verb = [&](const char* name, const char* what,
                            int (*run)(const KeyArguments&)) -> CLI::App& {
    auto arguments = std::make_shared<KeyArguments>();
    CLI::App& verb = *key.add_subcommand(name, what);
    verb.add_option("--keys", arguments->path, "file of keys")->required();
    if (run == add) {
      verb.add_option("name", arguments->name, "whose it is")->required();
      add_limit_options(verb, *arguments);
    }
    if (run == remove) verb.add_option("key", arguments->name, "its id or name")->required();
    if (run == list) verb.add_flag("--json", arguments->json, "as JSON");
    verb.callback([arguments, run, &status] { status = run(*arguments); });
    return verb;
  };
  add_verb("add", "makes a key and shows it, this once", add);
  add_verb("list", "keys and their limits", list);
  add_verb("rm", "takes a key back; a running server notices within a second", remove);
}

}  // namespace mneme::cli

// mneme top: what a server does, as it does it.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "serve/http_get.h"

namespace mneme::cli {

namespace {

using Json = nlohmann::ordered_json;

struct TopArguments {
  std::string url = "http://127.0.0.1:8080";
  std::string key, ca_path;
  double interval_s = 1;
  bool once = false, json = false;
};

// What the server said at one time.
struct View {
  double time_s = 0;
  Json models = Json::array();    // of /props
  Json sessions = Json::array();  // of /v1/sessions
};

Result<Json> get_json(const TopArguments& a, const std::string& path) {
  serve::Headers headers;
  if (!a.key.empty()) headers.emplace_back("Authorization", "Bearer " + a.key);
  const auto reply = serve::http_get(a.url + path, headers, std::chrono::seconds(5), a.ca_path);
  if (!reply) return tl::unexpected(Error{reply.error().message + " (is mneme serve running there?)"});
  if (reply->status == 401) return tl::unexpected(Error{a.url + ": asks for a key: --key, or MNEME_KEY"});
  Json value = Json::parse(reply->body, nullptr, false);
  if (reply->status != 200 || !value.is_object())
    return tl::unexpected(
        Error{format("%s%s: status %d: no mneme server?", a.url.c_str(), path.c_str(), reply->status)});
  return value;
}

Result<View> look(const TopArguments& a) {
  View view;
  auto props = get_json(a, "/props");
  if (!props) return tl::unexpected(props.error());
  auto sessions = get_json(a, "/v1/sessions");
  if (!sessions) return tl::unexpected(sessions.error());
  view.time_s = now_s();
  view.models = props->value("models", Json::array());
  view.sessions = sessions->value("data", Json::array());
  return view;
}

double number(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::string text(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_boolean() && found->get<bool>();
}

Json state_of(const Json& model) {
  return model.is_object() ? model.value("state", Json::object()) : Json::object();
}

// Tokens a second: between two looks, or of the time that was busy where there is one look.
struct Speeds {
  double prefill = 0, decode = 0;
};
Speeds speeds_of(const Json& model, const View* before, double time_s) {
  const auto share = [](double tokens, double seconds) {
    return seconds > 0 ? std::max(0.0, tokens / seconds) : 0;
  };
  const Json now = state_of(model);
  const auto computed = [](const Json& state) {
    return number(state, "prompt_tokens") - number(state, "found_tokens");
  };
  if (before == nullptr)
    return {share(computed(now), number(now, "prefill_s")),
            share(number(now, "generated_tokens"), number(now, "decode_s"))};
  for (const Json& other : before->models) {
    if (text(other, "name") != text(model, "name")) continue;
    const Json then = state_of(other);
    const double passed = time_s - before->time_s;
    return {share(computed(now) - computed(then), passed),
            share(number(now, "generated_tokens") - number(then, "generated_tokens"), passed)};
  }
  return {};
}

std::string bytes_of(const Json& object, const char* name) {
  return bytes_text(static_cast<uint64_t>(std::max(0.0, number(object, name))));
}

// What the keys and values in memory are of: newest tokens and windows, which are open, and sealed segments.
std::string tiers_text(const Json& state, const Json& tiers) {
  const double sealed = number(tiers, "hot_bytes") + number(tiers, "warm_bytes") +
                        number(tiers, "passing_bytes");
  const double open = std::max(0.0, number(state, "kv_bytes_used") - sealed);
  std::string out = "open " + bytes_text(static_cast<uint64_t>(open));
  for (const char* name : {"hot", "warm", "passing"})
    if (const std::string key = std::string(name) + "_bytes"; number(tiers, key.c_str()) > 0)
      out += std::string(", ") + name + " " + bytes_of(tiers, key.c_str());
  return out;
}

std::string model_lines(const Json& model, const View* before, double time_s) {
  const std::string name = visible(text(model, "name")), role = text(model, "role");
  std::string out = name + (role.empty() ? "" : " (" + role + ")");
  if (!flag(model, "loaded")) return out + ": not loaded\n";
  const Json state = state_of(model), tiers = state.value("tiers", Json::object());
  const Speeds speeds = speeds_of(model, before, time_s);
  out += format(": %.0f running, %.0f waiting | prefill %.1f tok/s, decode %.1f tok/s\n",
                number(state, "running"), number(state, "waiting"), speeds.prefill, speeds.decode);
  const double prompt = number(state, "prompt_tokens");
  out += format(
      "  %.0f requests, %.0f failed, %.0f cancelled | %.0f tokens read (%.0f %% found), %.0f written\n",
      number(state, "requests"), number(state, "failures"), number(state, "cancelled"), prompt,
      prompt > 0 ? number(state, "found_tokens") / prompt * 100 : 0, number(state, "generated_tokens"));
  out += "  keys and values " + bytes_of(state, "kv_bytes_used") + " of " + bytes_of(state, "kv_bytes_max");
  if (flag(tiers, "on"))
    out += " (" + tiers_text(state, tiers) + ")" +
           format(" | %.0f hits, %.0f misses", number(tiers, "hits"), number(tiers, "misses")) +
           " | disk read " + bytes_of(tiers, "read_bytes") + ", written " + bytes_of(tiers, "written_bytes");
  return out + "\n";
}

std::string session_line(const Json& session) {
  const char* doing = flag(session, "running") ? "running" : flag(session, "resting") ? "on disk" : "idle";
  return format("%-28s %-16s %-8s %10.0f %8.0f %9s %s\n", visible(text(session, "id")).substr(0, 28).c_str(),
                visible(text(session, "model")).substr(0, 16).c_str(), doing, number(session, "tokens"),
                number(session, "pending"), duration_text(number(session, "idle_s")).c_str(),
                flag(session, "pinned") ? "pinned" : "");
}

std::string page(const TopArguments& a, const View& view, const View* before, size_t sessions_max) {
  std::string out = "mneme top  " + a.url + "\n\n";
  for (const Json& model : view.models) out += model_lines(model, before, view.time_s);
  std::vector<Json> sessions(view.sessions.begin(), view.sessions.end());
  std::ranges::stable_sort(sessions, [](const Json& x, const Json& y) {
    if (flag(x, "running") != flag(y, "running")) return flag(x, "running");
    return number(x, "idle_s") < number(y, "idle_s");
  });
  out += format("\n%zu session%s\n", sessions.size(), sessions.size() == 1 ? "" : "s");
  if (!sessions.empty())
    out += format("%-28s %-16s %-8s %10s %8s %9s\n", "session", "model", "state", "tokens", "pending",
                  "idle");
  for (size_t i = 0; i < std::min(sessions.size(), sessions_max); ++i) out += session_line(sessions[i]);
  if (sessions.size() > sessions_max) out += format("... and %zu more\n", sessions.size() - sessions_max);
  return out;
}

int top(TopArguments a) {
  while (a.url.ends_with('/')) a.url.pop_back();
  if (a.url.find("://") == std::string::npos) a.url = "http://" + a.url;
  if (const char* key = std::getenv("MNEME_KEY"); a.key.empty() && key != nullptr) a.key = key;
  const Interrupt interrupt;
  Output output;
  std::optional<View> before;
  const bool live = !a.once && !a.json && is_terminal(STDOUT_FILENO);
  while (!interrupt.asked() && output.ok()) {
    auto view = look(a);
    if (!view) return fail(view.error());
    if (a.json) {
      output.write(json_text({{"models", view->models}, {"sessions", view->sessions}}, a.once ? 2 : -1));
    } else {
      // ESC [ H ESC [ J: to the first line, and nothing after it.
      output.write((live ? "\033[H\033[J" : "") +
                   page(a, *view, before ? &*before : nullptr, live ? 30 : SIZE_MAX));
    }
    if (a.once) break;
    before = std::move(*view);
    ::poll(nullptr, 0, static_cast<int>(a.interval_s * 1000));  // ends early at Ctrl-C
  }
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

void add_top(CLI::App& app, int& status) {
  auto arguments = std::make_shared<TopArguments>();
  CLI::App& verb = *app.add_subcommand("top", "sessions, tiers and speeds of a server, live");
  verb.add_option("url", arguments->url, "where it listens")->capture_default_str();
  verb.add_option("--key", arguments->key, "API key; MNEME_KEY of the environment if not given");
  verb.add_option(
      "--tls-ca", arguments->ca_path,
      "PEM file that an https server's certificate is checked with; those this machine trusts if not "
      "given");
  verb.add_option("--interval", arguments->interval_s, "seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  verb.add_flag("--once", arguments->once, "one look, then done");
  verb.add_flag("--json", arguments->json, "as JSON, a line a look");
  verb.callback([arguments, &status] { status = top(*arguments); });
}

}  // namespace mneme::cli

// mneme session: what is kept of contexts, seen and looked after without a model.
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/session_map.h"
#include "cli/terminal.h"
#include "mneme/sessions.h"

namespace mneme::cli {

namespace {

struct SessionArguments {
  std::string folder;  // empty: the default
  std::string name, to, path, map_path;
  bool json = false, map = false, garbage = false, set_aside = false;

  std::string store() const { return folder.empty() ? default_cold_folder() : folder; }
};

std::string time_text(int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm local{};
  localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

nlohmann::ordered_json info_json(const SessionInfo& info) {
  if (!info.error.empty()) return {{"name", info.name}, {"error", info.error}};
  return {{"name", info.name},
          {"tokens", info.tokens},
          {"segments", info.segments},
          {"segments_missing", info.segments_missing},
          {"tokens_unfinished", info.tokens_unfinished},
          {"has_tail", info.has_tail},
          {"bytes", info.bytes},
          {"model", info.model_path},
          {"model_id", info.model_id},
          {"created_unix_s", info.created_unix_s},
          {"used_unix_s", info.used_unix_s}};
}

// Of a run that did not come to its end.
std::string unfinished_text(const SessionInfo& info) {
  if (info.tokens_unfinished == 0) return {};
  return format("  a run is under way or was killed: the next takes back its %llu tokens",
                static_cast<unsigned long long>(info.tokens_unfinished));
}

int list(const SessionArguments& a) {
  if (!a.folder.empty() && !std::filesystem::exists(a.folder))
    return fail({a.folder + ": there is no such folder"});
  auto sessions = list_sessions(a.store());
  if (!sessions) return fail(sessions.error());
  Output output;
  if (a.json) {
    auto all = nlohmann::ordered_json::array();
    for (const SessionInfo& info : *sessions) all.push_back(info_json(info));
    output.write(json_text({{"folder", a.store()}, {"sessions", all}}));
    return output.ok() ? kDone : fail(output.error());
  }
  if (sessions->empty()) note(a.store() + ": no sessions");
  for (const SessionInfo& info : *sessions) {
    if (!info.error.empty()) {
      output.write(format("%-24s %s\n", info.name.c_str(), visible(info.error).c_str()));
      continue;
    }
    output.write(format("%-24s %9llu tokens %10s  used %s  %s%s\n", info.name.c_str(),
                        static_cast<unsigned long long>(info.tokens), bytes_text(info.bytes).c_str(),
                        time_text(info.used_unix_s).c_str(), visible(info.model_path).c_str(),
                        unfinished_text(info).c_str()));
  }
  return output.ok() ? kDone : fail(output.error());
}

int show(const SessionArguments& a) {
  auto detail = show_session(a.store(), a.name);
  if (!detail) return fail(detail.error());
  const SessionInfo& info = detail->info;
  Output output;
  if (a.json) {
    output.write(json_text(info_json(info)));
  } else {
    output.write(format("%s: %llu tokens, %llu of %llu segments on the disk, %s, created %s, used %s\n",
                        info.name.c_str(), static_cast<unsigned long long>(info.tokens),
                        static_cast<unsigned long long>(info.segments - info.segments_missing),
                        static_cast<unsigned long long>(info.segments), bytes_text(info.bytes).c_str(),
                        time_text(info.created_unix_s).c_str(), time_text(info.used_unix_s).c_str()));
    output.write("model " + visible(info.model_path) + " (" + info.model_id + ")\n");
    if (info.tokens_unfinished > 0) output.write(unfinished_text(info).substr(2) + "\n");
  }
  if (a.map || !a.map_path.empty()) {
    const TierMap map = map_of_disk(*detail);
    if (!a.json) output.write(map_text(map));
    if (!a.map_path.empty()) {
      if (auto written = write_map(a.map_path, info.name, map); !written) return fail(written.error());
    }
  }
  return output.ok() ? kDone : fail(output.error());
}

int verify(const SessionArguments& a) {
  auto report = verify_sessions(a.store(), a.name.empty() ? std::nullopt : std::optional(a.name),
                                a.set_aside);
  if (!report) return fail(report.error());
  Output output;
  if (a.json) {
    output.write(json_text({{"sessions", report->sessions},
                            {"segments", report->segments},
                            {"bytes", report->bytes},
                            {"problems", report->problems}}));
  } else {
    for (const std::string& problem : report->problems) output.write(visible(problem) + "\n");
    output.write(format("%llu sessions, %llu segments, %s read: %s\n",
                        static_cast<unsigned long long>(report->sessions),
                        static_cast<unsigned long long>(report->segments), bytes_text(report->bytes).c_str(),
                        report->problems.empty() ? "all as they were written"
                                                 : format("%zu problems", report->problems.size()).c_str()));
  }
  if (!output.ok()) return fail(output.error());
  return report->problems.empty() ? kDone : kFailed;
}

int transfer(const char* what, Result<TransferReport> report, const std::string& path) {
  if (!report) return fail(report.error());
  note(format("%s %s: %s, %llu segments", what, path.c_str(), bytes_text(report->bytes).c_str(),
              static_cast<unsigned long long>(report->segments)) +
       (report->segments_missing > 0 ? format(", %llu missing (computed again when needed)",
                                              static_cast<unsigned long long>(report->segments_missing))
                                     : std::string()));
  return kDone;
}

int done(const Result<void>& result) { return result ? kDone : fail(result.error()); }

int remove(const SessionArguments& a) {
  if (a.name.empty() == !a.garbage) return wrong_usage("rm: a session's NAME, or --unused");
  if (!a.garbage) return done(remove_session(a.store(), a.name));
  auto collected = collect_sessions_garbage(a.store());
  if (!collected) return fail(collected.error());
  note(format("%llu files, %s removed", static_cast<unsigned long long>(collected->files),
              bytes_text(collected->bytes).c_str()));
  return kDone;
}

using Work = std::function<int(const SessionArguments&)>;

CLI::App& add_part(CLI::App& verb, const char* name, const char* help,
                   const std::shared_ptr<SessionArguments>& arguments, int& status, Work work) {
  CLI::App& part = *verb.add_subcommand(name, help);
  part.add_option("--cold-dir", arguments->folder,
                  "the folder that keeps them; MNEME_HOME/store if not given");
  part.callback([arguments, &status, work = std::move(work)] { status = work(*arguments); });
  return part;
}

}  // namespace

void add_session(CLI::App& app, int& status) {
  auto a = std::make_shared<SessionArguments>();
  CLI::App& verb = *app.add_subcommand("session",
                                       "kept contexts: list, show, fork, verify, export, import, rm");
  verb.require_subcommand(1);
  add_part(verb, "list", "every session", a, status, list).add_flag("--json", a->json, "as JSON");
  CLI::App& show_part = add_part(verb, "show", "one session", a, status, show);
  show_part.add_option("name", a->name, "the session")->required();
  show_part.add_flag("--map", a->map, "a picture of its segments by layer and position, as text");
  show_part.add_option("--map-svg", a->map_path, "the same as an SVG file");
  show_part.add_flag("--json", a->json, "as JSON");
  CLI::App& fork_part = add_part(
      verb, "fork", "the same context under another name; what is stored is shared", a, status,
      [](const SessionArguments& args) { return done(fork_session(args.store(), args.name, args.to)); });
  fork_part.add_option("name", a->name, "the session")->required();
  fork_part.add_option("to", a->to, "the new name")->required();
  CLI::App& verify_part = add_part(verb, "verify", "read everything and say what is damaged or missing", a,
                                   status, verify);
  verify_part.add_option("name", a->name, "one session; all of them if not given");
  verify_part.add_flag("--set-aside", a->set_aside,
                       "rename what is damaged to *.bad: it is computed again when it is next asked for");
  verify_part.add_flag("--json", a->json, "as JSON");
  CLI::App& export_part = add_part(
      verb, "export", "one session as one file", a, status, [](const SessionArguments& args) {
        return transfer("written to", export_session(args.store(), args.name, args.path), args.path);
      });
  export_part.add_option("name", a->name, "the session")->required();
  export_part.add_option("file", a->path, "the file, which is replaced")->required();
  CLI::App& import_part = add_part(
      verb, "import", "a session from such a file", a, status, [](const SessionArguments& args) {
        return transfer("read from", import_session(args.store(), args.path, args.name), args.path);
      });
  import_part.add_option("file", a->path, "the file")->required();
  import_part.add_option("name", a->name, "the session's name here")->required();
  CLI::App& remove_part = add_part(verb, "rm", "forget a session, or what no session uses", a, status,
                                   remove);
  remove_part.add_option("name", a->name, "the session");
  remove_part.add_flag("--unused", a->garbage, "segments that no session names");
}

}  // namespace mneme::cli

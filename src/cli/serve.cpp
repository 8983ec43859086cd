// mneme serve: models behind the OpenAI, Anthropic and Responses protocols.
#include <filesystem>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/log_file.h"
#include "cli/options.h"
#include "cli/serve_keys.h"
#include "cli/signals.h"
#include "cli/steady_memory.h"
#include "cli/terminal.h"
#include "mneme/sessions.h"
#include "serve/models.h"
#include "serve/scheduler.h"
#include "serve/server.h"

namespace mneme::cli {

namespace {

using std::chrono::seconds;

struct ServeArguments {
  ModelArguments engine;
  std::vector<std::string> models;  // NAME=PATH[,role]
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  std::string keys_path, tls_certificate_path, tls_key_path, log_path;
  std::vector<std::string> cors;
  bool no_keys = false, strict_models = false, memory_only = false, lazy = false, share = false;
  uint64_t context_max = 0;
  size_t parallel = 64, queue = 4096;
  int workers = 4;
  unsigned drain_s = 30;
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

// What is wrong with the arguments taken together; empty: nothing.
std::string check(const ServeArguments& a) {
  if (a.models.empty()) return "-m is required: a GGUF model file, or NAME=PATH";
  if (!is_loopback(a.host) && a.keys_path.empty() && !a.no_keys)
    return a.host + " is reached from other machines: give --keys FILE, or --no-keys to serve everybody";
  if (a.no_keys && !a.keys_path.empty()) return "--keys and --no-keys exclude each other";
  if (a.tls_certificate_path.empty() != a.tls_key_path.empty()) return "--tls-cert and --tls-key go together";
  const bool tiers = !a.engine.cold_folder.empty() || !a.engine.cold_max.empty() || !a.engine.hot.empty() ||
                     !a.engine.warm.empty();
  if (a.memory_only && tiers)
    return "--memory-only leaves out the tiers of --hot, --warm, --cold-dir, --cold-max";
  return {};
}

// A folder belongs to one engine: the first model has it, the others have one each in it.
std::string cold_folder(const ServeArguments& a, const serve::ModelSpec& spec, bool first) {
  const std::string folder = a.engine.cold_folder.empty() ? default_cold_folder() : a.engine.cold_folder;
  if (first) return folder;
  std::string name;
  for (const char c : spec.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ? c : '_';
  return folder + "/models/" + name;
}

Result<std::shared_ptr<serve::Backend>> load(const ServeArguments& a, const serve::ModelSpec& spec,
                                             bool first, const serve::LogSink& log) {
  ModelArguments arguments = a.engine;
  arguments.path = spec.path;
  if (!a.memory_only) arguments.cold_folder = cold_folder(a, spec, first);
  auto engine = open_engine(arguments);
  if (!engine) return tl::unexpected(engine.error());
  serve::SchedulerOptions options;
  options.name = spec.name;
  options.context_tokens_max = a.context_max;
  options.share_prefixes = a.share;
  options.cold_folder = arguments.cold_folder;
  options.running_max = a.parallel;
  options.waiting_max = a.queue;
  options.on_warning = [log](const std::string& warning) {
    note(warning);
    if (log) log(serve::log_event("warning", warning));
  };
  return std::make_shared<serve::Scheduler>(std::move(*engine), std::move(options));
}

Result<std::shared_ptr<serve::LoadedModels>> open_models(const ServeArguments& a, const serve::LogSink& log) {
  serve::ModelsOptions options;
  for (const std::string& text : a.models) {
    auto spec = serve::parse_model_spec(text);
    if (!spec) return tl::unexpected(spec.error());
    // A lazy server says at once what it could not load later.
    std::error_code error;
    if (!std::filesystem::is_regular_file(spec->path, error))
      return tl::unexpected(Error{spec->path + ": No such file"});
    options.specs.push_back(std::move(*spec));
  }
  options.strict_names = a.strict_models;
  options.load = [a, log, first = options.specs.front().name](const serve::ModelSpec& spec) {
    return load(a, spec, spec.name == first, log);
  };
  auto models = serve::LoadedModels::make(std::move(options));
  if (!models) return tl::unexpected(models.error());
  if (!a.lazy) {
    if (auto loaded = (*models)->load_all(); !loaded) return tl::unexpected(loaded.error());
  }
  return std::shared_ptr<serve::LoadedModels>(std::move(*models));
}

serve::ServerOptions server_options(const ServeArguments& a, const serve::LogSink& log) {
  serve::ServerOptions options;
  options.http.host = a.host;
  options.http.port = a.port;
  options.http.worker_threads = a.workers;
  options.http.tls_certificate_path = a.tls_certificate_path;
  options.http.tls_key_path = a.tls_key_path;
  options.keys_path = a.keys_path;
  options.cors_origins = a.cors;
  options.log = log;
  return options;
}

// Answers under way end, or are cut; then sessions are written.
void drain(const ServeArguments& a, serve::Server& server, const serve::LoadedModels& models) {
  note("stopping: answers under way may end (again: at once)");
  if (!server.stop(seconds(a.drain_s))) note("some answers were cut");
  for (const auto& backend : models.backends()) {
    if (auto* scheduler = dynamic_cast<serve::Scheduler*>(backend.get())) scheduler->stop(seconds(1));
  }
}

int serve_models(const ServeArguments& a) {
  if (const std::string wrong = check(a); !wrong.empty()) return wrong_usage(wrong);
  keep_memory_steady();
  Signals signals;  // before any thread: they all leave signals to it
  std::shared_ptr<LogFile> file;
  serve::LogSink log;
  if (!a.log_path.empty()) {
    auto opened = LogFile::open(a.log_path);
    if (!opened) return fail(opened.error());
    file = std::move(*opened);
    log = [file](std::string_view line) { file->write(line); };
  }
  auto models = open_models(a, log);
  if (!models) return fail(models.error());
  auto server = serve::Server::start(server_options(a, log), *models);
  if (!server) return fail(server.error());
  std::string names;
  for (const auto& entry : (*models)->list()) names += (names.empty() ? "" : ", ") + entry.name;
  const bool ipv6 = a.host.find(':') != std::string::npos && !a.host.starts_with('[');
  note(format("serving %s at %s://%s:%d", names.c_str(), a.tls_key_path.empty() ? "http" : "https",
              (ipv6 ? "[" + a.host + "]" : a.host).c_str(), (*server)->port()));
  signals.loaded();
  for (;;) {
    const Signals::Asked asked = signals.wait(seconds(30));
    if (asked == Signals::Asked::kStop) break;
    give_back_memory();
    if (asked != Signals::Asked::kReread) continue;
    if (auto read = (*server)->reread_keys(); !read) note(read.error().message);
    if (file) file->reopen();
  }
  drain(a, **server, **models);
  return kDone;
}

void add_server_options(CLI::App& verb, ServeArguments& a) {
  verb.add_option(
          "-m,--model", a.models,
          "GGUF model file, or NAME=PATH, or NAME=PATH,ROLE (lite, large: \"auto\" chooses); repeatable")
      ->allow_extra_args(false);
  verb.add_option("--host", a.host, "address to listen at")->capture_default_str();
  verb.add_option("--port", a.port, "port; 0: any free one")->capture_default_str();
  verb.add_option("--keys", a.keys_path,
                  "file of API keys (mneme serve key add); without one everybody may ask");
  verb.add_flag("--no-keys", a.no_keys, "serve other machines without keys");
  verb.add_option(
          "--cors", a.cors,
          "origin whose pages may ask, e.g. https://app.example, or * for all; repeatable. Pages of this "
          "machine always may")
      ->allow_extra_args(false);
  verb.add_option("--tls-cert", a.tls_certificate_path, "certificate chain in PEM");
  verb.add_option("--tls-key", a.tls_key_path, "its private key in PEM");
  verb.add_option("--log", a.log_path, "write a line of JSON a request to this file; -: standard output");
}

void add_limit_options(CLI::App& verb, ServeArguments& a) {
  verb.add_flag("--strict-models", a.strict_models,
                "refuse unknown model names; else the first model answers");
  verb.add_flag("--lazy", a.lazy, "load models when they are first asked for");
  verb.add_flag("--share-prefixes", a.share,
                "keys find each other's contexts (and can tell by the time it takes)");
  verb.add_option("--context-max", a.context_max,
                  "tokens of a prompt and its answer; 0: what the memory holds")
      ->capture_default_str();
  verb.add_option("--parallel", a.parallel, "generations that run at one time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb.add_option("--queue", a.queue, "generations that may wait; more are told to come again later")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb.add_option("--workers", a.workers, "threads that read requests; the model has its own (--threads)")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb.add_option("--drain", a.drain_s, "seconds that answers may take to end after SIGTERM")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  verb.add_flag("--memory-only", a.memory_only,
                "keep keys and values in memory alone: nothing is on the disk");
}

}  // namespace

void add_serve(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App& verb = *app.add_subcommand("serve",
                                       "serve models over HTTP: OpenAI, Anthropic, Responses protocols");
  add_server_options(verb, *arguments);
  add_engine_options(verb, arguments->engine);
  add_storage_options(verb, arguments->engine, false);
  add_limit_options(verb, *arguments);
  add_serve_key(verb, status);
  verb.require_subcommand(0, 1);
  verb.callback([arguments, &verb, &status] {
    if (verb.get_subcommands().empty()) status = serve_models(*arguments);
  });
}

}  // namespace mneme::cli

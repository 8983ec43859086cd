#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <string>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "mneme/version.h"

int main(int argc, char** argv) {
  using namespace mneme::cli;
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a failed write, reported like any other

  int status = kDone;
  CLI::App app("mneme runs language models; memory comes first.", "mneme");
  app.set_version_flag("--version", std::string("mneme ") + mneme::kVersion);
  app.require_subcommand(1);
  add_run(app, status);
  add_chat(app, status);
  add_serve(app, status);
  add_top(app, status);
  add_bench(app, status);
  add_eval(app, status);
  add_logits(app, status);
  add_session(app, status);
  add_tokenize(app, status);
  add_inspect(app, status);
  // CLI11 would only say that a verb is missing.
  const std::string first = argc > 1 ? argv[1] : "-";
  const auto verbs = app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == first; });
  if (!first.starts_with('-') && verbs.empty()) {
    return wrong_usage("there is no verb '" + first + "' (--help lists them)");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success);
    return kDone;
  } catch (const CLI::ParseError& error) {
    return wrong_usage(std::string(error.what()) + " (--help lists the options)");
  } catch (const std::exception& error) {
    return fail({error.what()});
  }
  return status;
}

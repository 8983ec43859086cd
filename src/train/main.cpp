// mneme-train: trains models of the mneme architecture and writes them as GGUF files.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "train/commands.h"

int main(int argc, char** argv) {
  using namespace mneme::train;
  std::signal(SIGPIPE, SIG_IGN);
  // Activations come and go by the megabyte: kept by the process instead of being mapped and cleared each
  // time (a tenth of a step).
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  int status = 0;
  CLI::App app("mneme-train makes models for mneme.", "mneme-train");
  app.require_subcommand(1);
  app.set_config("--options", "",
                 "read options from a file of NAME=VALUE lines (a [run] line before those of run)");
  add_run(app, status);
  add_export(app, status);
  add_logits(app, status);
  add_compare(app, status);
  add_average(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "mneme-train: %s (--help lists the options)\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mneme-train: %s\n", error.what());
    return 1;
  }
  return status;
}

// cli: the verbs of the `mneme` command, one file each, over include/mneme alone.
//
// A verb is a struct of arguments, a function that adds its flags to the command line, and a function that
// does the work and returns the exit status: 0 done, 1 failed with one line on stderr, 2 wrong usage. Results
// go to stdout; everything meant for a person beside them (progress, summaries, errors) goes to stderr.
//
//   options.h    flags that several verbs share
//   input.h      reading files and standard input, sizes, ids
//   terminal.h   progress, Ctrl-C, writing out, one-line errors
//   report.h     figures as text and JSON
//   session_map.h, kept_messages.h   where a context lies, as a picture; a conversation in a session's notes
#pragma once

#include <CLI/App.hpp>

namespace mneme::cli {

// Each adds its verb to `app`. When that verb is the one called, it runs during the parse and leaves its exit
// status.
void add_run(CLI::App& app, int& status);
void add_chat(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_eval(CLI::App& app, int& status);
void add_logits(CLI::App& app, int& status);
void add_session(CLI::App& app, int& status);
void add_tokenize(CLI::App& app, int& status);
void add_inspect(CLI::App& app, int& status);
void add_serve(CLI::App& app, int& status);
void add_top(CLI::App& app, int& status);

}  // namespace mneme::cli

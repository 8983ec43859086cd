#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mneme/result.h"

namespace mneme::cli {

inline constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;

bool is_terminal(int descriptor);

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* format, ...);

// As it may stand on a terminal: control characters of a name or a file must not move its cursor.
std::string visible(std::string_view text);

// The message as one line on stderr, after "mneme: "; the exit status it stands for.
int fail(const Error& error);
int wrong_usage(const std::string& message);
// A line on stderr that is no error.
void note(const std::string& message);

// One line on stderr that is written over in place: only on a terminal, at most ten times a second, and not
// for work that is over in half a second.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Asked first, so that a line that nobody will see is not made.
  bool due() const;
  void show(const std::string& line);
  void clear();

 private:
  bool on_terminal_;
  double next_s_;
  bool shown_ = false;
};

// While one lives, a first Ctrl-C is only noted; the second ends the process as usual. Not to be nested.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool asked() const;
};

// Standard output, flushed at each write so that text appears as it is made. Once a write failed (a closed
// pipe, a full disk) the rest is dropped and `error` says why.
class Output {
 public:
  void write(std::string_view text);
  bool ok() const { return error_.empty(); }
  Error error() const { return {"cannot write to standard output: " + error_}; }

 private:
  std::string error_;
};

double now_s();

}  // namespace mneme::cli

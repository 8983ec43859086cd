#include "cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace mneme::cli {

namespace {

volatile std::sig_atomic_t interrupted = 0;

constexpr double kQuiet_s = 0.5;
constexpr double kInterval_s = 0.1;

void print_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '\r', ' ');
  std::fprintf(stderr, "mneme: %s\n", visible(text).c_str());
}

}  // namespace

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
}

std::string format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  std::string text(static_cast<size_t>(std::max(size, 0)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  va_end(arguments);
  return text;
}

int fail(const Error& error) {
  print_line(error.message);
  return kFailed;
}

int wrong_usage(const std::string& message) {
  print_line(message);
  return kWrongUsage;
}

void note(const std::string& message) { print_line(message); }

Progress::Progress() : on_terminal_(is_terminal(STDERR_FILENO)), next_s_(now_s() + kQuiet_s) {}

bool Progress::due() const { return on_terminal_ && now_s() >= next_s_; }

void Progress::show(const std::string& line) {
  if (!due()) return;
  next_s_ = now_s() + kInterval_s;
  shown_ = true;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());  // ESC [ K: erase to the end of the line
  std::fflush(stderr);
}

void Progress::clear() {
  if (shown_) std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

Interrupt::Interrupt() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESETHAND;  // the second one does what it always did
  ::sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() { std::signal(SIGINT, SIG_DFL); }

bool Interrupt::asked() const { return interrupted != 0; }

void Output::write(std::string_view text) {
  while (!text.empty() && ok()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error_ = std::strerror(errno);
    } else {
      text.remove_prefix(static_cast<size_t>(written));
    }
  }
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace mneme::cli

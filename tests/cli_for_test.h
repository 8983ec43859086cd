// Runs the built binary as a shell does, with a MNEME_HOME of its own.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace mneme {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

inline const std::string kData = std::string(MNEME_SOURCE_DIR) + "/tests/data/";
inline const std::string kModel = kData + "fixture.gguf";

struct Outcome {
  int status = -1;  // exit status; 128 + n for signal n
  std::string out, err;

  size_t err_lines() const { return static_cast<size_t>(std::count(err.begin(), err.end(), '\n')); }
};

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// While it lives, programs take kernels that round alike however a context was cut into passes (the matrix
// unit's do not).
struct KernelsThatRoundAlike {
  KernelsThatRoundAlike() { ::setenv("MNEME_ISA", __builtin_cpu_supports("avx2") ? "avx2" : "scalar", 1); }
  ~KernelsThatRoundAlike() { ::unsetenv("MNEME_ISA"); }
};

class Cli : public testing::Test {
 protected:
  Cli() : folder_(fs::temp_directory_path() / ("mneme_cli_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
    ::setenv("MNEME_HOME", (folder_ / "home").c_str(), 1);
  }
  ~Cli() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  // `arguments` as a shell reads them; `input` becomes standard input.
  Outcome mneme(const std::string& arguments, const std::string& input = "") {
    const std::string in = write("stdin", input);
    return shell(std::string(MNEME_BINARY) + " " + arguments + " < " + in);
  }
  Outcome shell(const std::string& command) {
    const fs::path out = folder_ / "stdout";
    const fs::path err = folder_ / "stderr";
    const int raw = std::system(("{ " + command + "; } > " + out.string() + " 2> " + err.string()).c_str());
    return {WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw), read_file(out), read_file(err)};
  }
  void expect_failure(const std::string& arguments, int status, const std::string& part,
                      const std::string& input = "") {
    const Outcome outcome = mneme(arguments, input);
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.err_lines(), 1u) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  fs::path folder_;
};

}  // namespace mneme

// The answers of an evaluation on disk, as they come, so that a run that was stopped goes on. Lines of JSON:
// the first says with which options, each other one is an answer.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mneme/eval.h"

namespace mneme::cli {

enum class Side { kA, kB };

class AnswerFile {
 public:
  // Reads what a run with the same options left; a last line that was cut short is taken off. An empty path:
  // no file. Fails where the file is of other options, or of something else, or another process writes it.
  static Result<AnswerFile> open(const std::string& path, const nlohmann::ordered_json& options);

  const std::vector<EvalAnswer>& known(Side side) const { return side == Side::kA ? known_a_ : known_b_; }
  // On the disk's way when it returns. After a failure the rest is dropped.
  void write(Side side, const EvalAnswer& answer);
  bool ok() const { return error_.empty(); }
  Error error() const { return {path_ + ": " + error_}; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  Result<void> read(const std::string& text);
  void write_line(const nlohmann::ordered_json& json);

  std::string path_, error_;
  std::unique_ptr<std::FILE, Close> file_;
  nlohmann::ordered_json options_;
  bool started_ = false;  // the first line is there
  std::vector<EvalAnswer> known_a_, known_b_;
};

}  // namespace mneme::cli

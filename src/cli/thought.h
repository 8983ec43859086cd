// Thoughts of models that think before they answer: <think> ... </think> at the beginning of what they say.
#pragma once

#include <string>
#include <string_view>

namespace mneme::cli {

class Output;

// Tells the thought from the answer, piece by piece as the text is made. A thought is at the beginning or
// nowhere; blanks around it belong to neither. One that never ends is all there is.
class ThoughtReader {
 public:
  struct Part {
    std::string thought, answer;
  };
  Part push(std::string_view piece);
  Part finish();  // what was held back because it could have been a mark

 private:
  enum class At { kBeginning, kThought, kBehind, kAnswer };
  Part take(bool end);

  At at_ = At::kBeginning;
  std::string held_;
};

// All of an answer at once.
ThoughtReader::Part parts_of(std::string_view text);

// Writes an answer to standard output and its thought, dimmed on a terminal, to standard error.
class ThoughtfulOutput {
 public:
  explicit ThoughtfulOutput(Output& output) : output_(&output) {}
  void write(std::string_view piece) { show(reader_.push(piece)); }
  void finish();

 private:
  void show(const ThoughtReader::Part& part);

  Output* output_;
  ThoughtReader reader_;
  bool open_ = false;  // a thought stands on the terminal, its line not ended
};

}  // namespace mneme::cli

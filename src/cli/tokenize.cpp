// mneme tokenize: text to token ids, on one line.
#include <memory>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/terminal.h"
#include "mneme/text.h"

namespace mneme::cli {

namespace {

struct TokenizeArguments {
  std::string model_path;
  std::string file = "-";
  bool no_specials = false;
};

int tokenize(const TokenizeArguments& arguments) {
  auto text = Text::open(arguments.model_path);
  if (!text) return fail(text.error());
  auto input = read_input(arguments.file);
  if (!input) return fail(input.error());
  const bool specials = !arguments.no_specials;
  std::string line;
  for (const TokenId token : (*text)->encode(*input, {.add_bos_eos = specials, .parse_specials = specials})) {
    if (!line.empty()) line += ' ';
    line += std::to_string(token);
  }
  Output output;
  output.write(line + "\n");
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

void add_tokenize(CLI::App& app, int& status) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App& verb = *app.add_subcommand("tokenize", "the token ids of a text, on one line");
  verb.add_option("-m,--model", arguments->model_path, "GGUF model file")->required();
  verb.add_option("-f,--file", arguments->file, "text; standard input if not given");
  verb.add_flag("--no-specials", arguments->no_specials, "neither add nor recognise special tokens");
  verb.callback([arguments, &status] { status = tokenize(*arguments); });
}

}  // namespace mneme::cli

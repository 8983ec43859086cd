// mneme logits: the logits after each of some tokens, as raw little-endian f32 rows.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

static_assert(std::endian::native == std::endian::little, "rows are written as they lie in memory");

namespace {

struct LogitsArguments {
  ModelArguments model;
  std::string tokens_path;
  std::string out_path;
  bool decode = false;
  size_t skip = 0;  // tokens whose logits are not written
};

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdout) std::fclose(file);
  }
};

// In passes as large as they may be.
Result<void> read_first(Engine& engine, Session& session, std::span<const TokenId> tokens) {
  if (auto appended = session.append(tokens); !appended) return appended;
  Session* const sessions[] = {&session};
  while (session.pending() > 0) {
    if (auto step = engine.step(sessions); !step) return tl::unexpected(step.error());
  }
  return {};
}

int logits(const LogitsArguments& arguments) {
  auto text = read_input(arguments.tokens_path);
  if (!text) return fail(text.error());
  auto tokens = parse_ids(*text);
  if (!tokens) return fail({arguments.tokens_path + ": " + tokens.error().message});
  if (tokens->empty()) return fail({arguments.tokens_path + ": no token ids in it"});
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());

  // Before the file is touched: a bad id must not cost what was in it.
  const int vocab_size = (*engine)->info().vocab_size;
  for (const TokenId token : *tokens) {
    if (token >= 0 && token < vocab_size) continue;
    return fail({format("%s: token %d is outside the vocabulary of %d", arguments.tokens_path.c_str(), token,
                        vocab_size)});
  }

  const auto cannot_write = [&] { return fail({arguments.out_path + ": " + std::strerror(errno)}); };
  std::unique_ptr<std::FILE, CloseFile> file(
      arguments.out_path == "-" ? stdout : std::fopen(arguments.out_path.c_str(), "wb"));
  if (!file) return cannot_write();
  auto session = (*engine)->new_session();
  Progress progress;
  const auto rest = std::span(*tokens).subspan(std::min(arguments.skip, tokens->size()));
  if (auto read = read_first(**engine, *session, std::span(*tokens).first(tokens->size() - rest.size()));
      !read)
    return fail(read.error());
  size_t rows = 0;
  bool written = true;
  auto done = (*engine)->logits_of(*session, rest, arguments.decode, [&](std::span<const float> row) {
    written = written && std::fwrite(row.data(), sizeof(float), row.size(), file.get()) == row.size();
    if (++rows; progress.due()) progress.show(format("%zu of %zu tokens", rows, rest.size()));
  });
  progress.clear();
  if (!done) return fail(done.error());
  if (const std::string text = attention_text(session->attention()); !text.empty()) note(text);
  if (!written || std::fflush(file.get()) != 0) return cannot_write();
  return kDone;
}

}  // namespace

void add_logits(CLI::App& app, int& status) {
  auto arguments = std::make_shared<LogitsArguments>();
  CLI::App& verb = *app.add_subcommand("logits",
                                       "the logits after each of some tokens, for comparing runtimes");
  add_model_options(verb, arguments->model);
  verb.add_option("--tokens", arguments->tokens_path, "file of token ids as text; -: standard input")
      ->required();
  verb.add_option("--out", arguments->out_path,
                  "raw little-endian f32, one row of the vocabulary's size a token; -: standard output")
      ->required();
  verb.add_flag("--decode", arguments->decode, "evaluate one token at a time");
  verb.add_option(
          "--skip", arguments->skip,
          "read the first N tokens in large passes, and write no rows of them: --decode and --attention "
          "then are about the rest")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.callback([arguments, &status] { status = logits(*arguments); });
}

}  // namespace mneme::cli

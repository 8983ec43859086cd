// mneme chat: a conversation in the model's own format; each turn evaluates only what is new.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/cli.h"
#include "cli/kept_messages.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "cli/thought.h"

namespace mneme::cli {

namespace {

struct ChatArguments {
  ModelArguments model;
  SamplingArguments sampling;
  ConstraintArguments constraint;
  std::string system;
  GenerateOptions generate;
};

constexpr const char* kHelp =
    "/help   this list\n"
    "/reset  forget the conversation\n"
    "/exit   leave (so does the end of input)\n";

class Conversation {
 public:
  Conversation(Engine& engine, std::unique_ptr<Session> session, const ChatArguments& arguments,
               SamplingOptions sampling)
      : engine_(&engine),
        session_(std::move(session)),
        system_(arguments.system),
        options_(arguments.generate) {
    options_.sampling = std::move(sampling);
  }

  std::string attention() const { return attention_text(session_->attention()); }
  // With the messages of a named session, where it has some.
  Result<void> begin() {
    if (session_->name().empty() || (session_->tokens().empty() && !is_conversation(*session_)))
      return reset();
    if (!is_conversation(*session_))
      return tl::unexpected(Error{"session " + session_->name() +
                                  " is no conversation, but what mneme run read and wrote: name another"});
    auto messages = read_messages(*session_);
    if (!messages) return tl::unexpected(messages.error());
    messages_ = std::move(*messages);
    kept_ = messages_.size();
    const bool has_system = !messages_.empty() && messages_[0].role == "system";
    if (system_.empty() && has_system) system_ = messages_[0].content;
    if (system_.empty() || (has_system && messages_[0].content == system_)) return {};
    if (has_system) messages_.erase(messages_.begin());
    messages_.insert(messages_.begin(), {"system", system_});
    kept_ = 0;
    return keep();
  }

  Result<void> reset() {
    messages_.clear();
    if (!system_.empty()) messages_.push_back({"system", system_});
    session_->truncate(0);
    kept_ = 0;
    return keep();
  }

  size_t messages() const { return messages_.size(); }

  // Streams the answer. On an error the turn is forgotten and the conversation goes on from before it.
  Result<GenerateReport> answer(const std::string& text, Output& output) {
    messages_.push_back({"user", text});
    auto report = generate_answer(output);
    if (report) {
      messages_.push_back({"assistant", report->text});
      ++options_.sampling.seed;  // the same question twice need not get the same answer
      if (auto kept = keep(); !kept) return tl::unexpected(kept.error());
    } else {
      messages_.pop_back();
    }
    return report;
  }

 private:
  // On the disk when it returns: the next turn may be far away.
  Result<void> keep() {
    if (session_->name().empty()) return {};
    auto kept = keep_messages(*session_, messages_, kept_);
    if (!kept) return kept;
    kept_ = messages_.size();
    return session_->flush();
  }

  Result<GenerateReport> generate_answer(Output& output) {
    // What is held to a grammar has no room for a thought.
    const auto thinking = options_.constraint ? std::optional(false) : std::nullopt;
    auto prompt = engine_->text().render_chat(messages_, {.thinking = thinking});
    if (!prompt) return tl::unexpected(prompt.error());
    const auto tokens = engine_->text().encode(*prompt, {.add_bos_eos = false, .parse_specials = true});
    keep_common_prefix(tokens);
    auto appended = session_->append(std::span(tokens).subspan(session_->tokens().size()));
    if (!appended) return tl::unexpected(appended.error());
    const Interrupt interrupt;
    Progress progress;
    GenerateEvents events;
    events.cancelled = [&] { return interrupt.asked() || !output.ok(); };
    events.on_prefill = [&](size_t done, size_t total) {
      if (progress.due()) progress.show(format("reading %zu of %zu tokens", done, total));
    };
    ThoughtfulOutput shown(output);
    events.on_text = [&](std::string_view piece) {
      progress.clear();
      shown.write(piece);
    };
    auto report = generate(*engine_, *session_, options_, events);
    shown.finish();
    return report;
  }

  // What the session already holds of these tokens stays, but for the last one, whose logits are wanted.
  void keep_common_prefix(std::span<const TokenId> tokens) {
    const size_t common = common_prefix(session_->tokens(), tokens);
    session_->truncate(tokens.empty() ? 0 : std::min(common, tokens.size() - 1));
  }

  Engine* engine_;
  std::unique_ptr<Session> session_;
  std::string system_;
  GenerateOptions options_;
  std::vector<ChatMessage> messages_;
  size_t kept_ = 0;  // of them, in the session's notes
};

// One line of the user's; false at the end of input.
bool read_line(bool interactive, std::string& line) {
  if (interactive) std::cerr << "> " << std::flush;
  if (std::getline(std::cin, line)) return true;
  if (interactive) std::cerr << '\n';
  return false;
}

// A word behind a slash and nothing else: a path, say, is a message.
bool is_command(const std::string& line) {
  return line.size() > 1 && line[0] == '/' &&
         line.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 1) ==
             std::string::npos;
}

int talk(Engine& engine, const ChatArguments& arguments) {
  const bool interactive = is_terminal(STDIN_FILENO);
  auto session = open_session(engine, arguments.model);
  if (!session) return fail(session.error());
  Conversation conversation(engine, std::move(*session), arguments, sampling_options(arguments.sampling));
  if (auto begun = conversation.begin(); !begun) return fail(begun.error());
  note_warnings(engine);
  if (interactive) std::cerr << engine.info().name << ": /help lists the commands, Ctrl-C stops an answer\n";
  if (interactive && conversation.messages() > 0)
    note(format("goes on after %zu messages", conversation.messages()));
  Output output;
  std::string line;
  while (output.ok() && read_line(interactive, line)) {
    if (line.empty()) continue;
    if (line == "/exit" || line == "/quit") break;
    if (line == "/help") {
      std::cerr << kHelp;
    } else if (line == "/reset") {
      if (auto reset = conversation.reset(); !reset) return fail(reset.error());
    } else if (is_command(line)) {
      note("unknown command " + line + ": /help lists them (a space before it makes it a message)");
      if (!interactive) return kFailed;
    } else {
      auto report = conversation.answer(line, output);
      if (!report && !interactive) return fail(report.error());
      if (!report) {
        fail(report.error());
        continue;
      }
      output.write("\n");
      note_warnings(engine);
      if (interactive) note(summary_text(engine, *report));
      const std::string attention = conversation.attention();
      if (interactive && !attention.empty()) note(attention);
      if (!report->message.empty()) note("stopped early: " + report->message);
      if (!report->complete && report->message.empty())
        note("the answer is not complete: it is the beginning of what was asked for");
      // Nobody is there to go on: a script's conversation ends with the interrupt, or with its memory.
      if (!interactive && report->reason == StopReason::kFull) return kFailed;
      if (!interactive && report->reason == StopReason::kCancelled) break;
    }
  }
  return output.ok() ? kDone : fail(output.error());
}

int chat(ChatArguments& arguments) {
  check_storage(arguments.model);
  auto grammar = read_grammar(arguments.constraint);
  if (!grammar) return fail(grammar.error());
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());
  arguments.generate.constraint = constraint_on((*engine)->text(), *grammar);
  return talk(**engine, arguments);
}

}  // namespace

void add_chat(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ChatArguments>();
  arguments->generate.tokens_max = -1;
  CLI::App& verb = *app.add_subcommand("chat",
                                       "a conversation, one line a turn, on the terminal or from a pipe");
  add_model_options(verb, arguments->model);
  add_storage_options(verb, arguments->model, true);
  verb.add_option("--system", arguments->system, "what the model is told before the conversation");
  verb.add_option("-n,--tokens", arguments->generate.tokens_max,
                  "tokens of an answer at most; -1: until its end")
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str();
  add_constraint_options(verb, arguments->constraint);
  add_sampling_options(verb, arguments->sampling);
  verb.callback([arguments, &status] { status = chat(*arguments); });
}

}  // namespace mneme::cli

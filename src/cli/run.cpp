// mneme run: reads files, standard input and a prompt, and goes on from there.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/kept_messages.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/session_map.h"
#include "cli/terminal.h"
#include "cli/thought.h"
#include "mneme/machine.h"

namespace mneme::cli {

namespace {

struct RunArguments {
  ModelArguments model;
  SamplingArguments sampling;
  ConstraintArguments constraint;
  std::vector<std::string> files;
  std::optional<std::string> prompt;
  GenerateOptions generate;
  bool ask = false;
  bool json = false;
  bool map = false;
  std::string map_path;
  std::string attention_path;
};

// The files in order, then the text. Where there are several files, a line before each names it (as head and
// tail do), so that the model can tell them apart and cite them.
Result<std::string> read_prompt(const RunArguments& arguments) {
  std::vector<std::string> files = arguments.files;
  if (files.empty() && !arguments.prompt) files.push_back("-");
  std::string prompt;
  for (const std::string& file : files) {
    auto text = read_input(file);
    if (!text) return text;
    if (files.size() == 1) {
      prompt = std::move(*text);
      continue;
    }
    prompt += "==> " + (file == "-" ? "standard input" : file) + " <==\n" + *text;
    if (!prompt.ends_with('\n')) prompt += '\n';
  }
  if (arguments.ask && !prompt.empty()) prompt += prompt.ends_with('\n') ? "\n" : "\n\n";
  return prompt + arguments.prompt.value_or("");
}

// The prompt's tokens; with --ask as a user's message in the model's chat format. What stands in the files
// is text there, whatever it spells: the template is rendered around a mark, and only its own specials count.
// Not the `first` of its context: without a BOS before it.
Result<std::vector<TokenId>> encode_prompt(const Text& text, const RunArguments& arguments,
                                           const std::string& prompt, bool first) {
  if (!arguments.ask) return text.encode(prompt, {.add_bos_eos = first});
  const std::string mark = "mneme-content-8c1f2b";
  const ChatMessage message{"user", mark};
  // What is held to a grammar has no room for a thought.
  const auto thinking = arguments.generate.constraint ? std::optional(false) : std::nullopt;
  auto rendered = text.render_chat({&message, 1}, {.thinking = thinking});
  if (!rendered) return tl::unexpected(rendered.error());
  const size_t at = rendered->find(mark);
  if (at == std::string::npos)
    return tl::unexpected(Error{"the model's chat template leaves the message out"});
  std::vector<TokenId> tokens = text.encode(rendered->substr(0, at), {false, true});
  for (const TokenId token : text.encode(prompt, {false, false})) tokens.push_back(token);
  for (const TokenId token : text.encode(rendered->substr(at + mark.size()), {false, true}))
    tokens.push_back(token);
  return tokens;
}

void warn_beyond_trained_context(const Engine& engine, const Session& session) {
  const int trained = engine.info().context_length;
  const size_t tokens = session.tokens().size();
  if (trained <= 0 || tokens <= static_cast<size_t>(trained)) return;
  note(format("%zu tokens of context; the model was trained for %d", tokens, trained));
}

struct RunFacts {
  uint64_t seed = 0;
  bool constrained = false;
  bool asked = false;  // a question in the chat's format: a thought may stand before the answer
  double open_s = 0;   // what it took to open the session
};

std::string json_report(const Engine& engine, const Session& session, const GenerateReport& report,
                        const RunFacts& facts) {
  nlohmann::ordered_json json;
  const ThoughtReader::Part said = facts.asked ? parts_of(report.text) : ThoughtReader::Part{{}, report.text};
  json["text"] = said.answer;
  if (!said.thought.empty()) json["thought"] = said.thought;
  json["stop"] = stop_name(report.reason);
  if (facts.constrained) json["complete"] = report.complete;
  json["seed"] = facts.seed;
  json["prefill"] = {{"tokens", report.prompt_tokens},
                     {"found", report.found_tokens},
                     {"seconds", report.prefill_s},
                     {"tokens_per_second", per_second(report.prompt_tokens, report.prefill_s)}};
  json["decode"] = {{"tokens", report.generated_tokens},
                    {"seconds", report.decode_s},
                    {"tokens_per_second", decode_speed(report)}};
  json["rss_peak_bytes"] = rss_peak_bytes();
  json["kv_bytes"] = engine.kv_bytes_used();
  json["attention"] = attention_json(session.attention());
  if (engine.tiers().on) {
    json["storage"] = storage_json(engine, session);
    json["storage"]["open_s"] = facts.open_s;
  }
  return json_text(json);
}

Result<GenerateReport> stream(Engine& engine, Session& session, const RunArguments& arguments,
                              Output& output) {
  const Interrupt interrupt;
  Progress progress;
  const double start_s = now_s();
  bool warned = false;
  GenerateEvents events;
  events.cancelled = [&] { return interrupt.asked() || !output.ok(); };
  events.on_prefill = [&](size_t done, size_t total) {
    // Not before: a prompt that does not fit is refused with one line.
    if (!std::exchange(warned, true)) warn_beyond_trained_context(engine, session);
    if (!progress.due()) return;
    const double speed = per_second(done, now_s() - start_s);
    progress.show(format("prefill %zu of %zu tokens, %.1f tok/s, %s left", done, total, speed,
                         duration_text(static_cast<double>(total - done) / speed).c_str()));
  };
  ThoughtfulOutput shown(output);
  if (!arguments.json) {
    events.on_text = [&](std::string_view text) {
      progress.clear();
      arguments.ask ? shown.write(text) : output.write(text);
    };
  }
  auto report = generate(engine, session, arguments.generate, events);
  shown.finish();
  return report;
}

// A prompt that begins with everything the session holds goes on from there; any other follows it.
Result<std::vector<TokenId>> new_tokens(const Text& text, const Session& session,
                                        const RunArguments& arguments, const std::string& prompt) {
  const auto held = session.tokens();
  auto tokens = encode_prompt(text, arguments, prompt, true);
  if (!tokens || held.empty()) return tokens;
  if (tokens->size() < held.size() && std::equal(tokens->begin(), tokens->end(), held.begin()))
    note(
        format("session %s begins with this text already, and goes on for %zu tokens: the text follows again",
               session.name().c_str(), held.size() - tokens->size()));
  const bool begins = held.size() <= tokens->size() && std::equal(held.begin(), held.end(), tokens->begin());
  if (!begins) return encode_prompt(text, arguments, prompt, false);
  tokens->erase(tokens->begin(), tokens->begin() + static_cast<std::ptrdiff_t>(held.size()));
  return tokens;
}

// While a run is under way, its session notes where it began: one that was killed is taken back, and the same
// run again finds what was computed by then in the cold tier.
constexpr const char* kUnfinished = "unfinished";

Result<void> begin_run(const Text& text, Session& session, const RunArguments& arguments,
                       const std::string& prompt) {
  if (is_conversation(session))
    return tl::unexpected(
        Error{"session " + session.name() + " is a conversation: mneme chat goes on with it"});
  const auto before = parse_int(session.note(kUnfinished));
  if (before && static_cast<size_t>(*before) < session.tokens().size()) {
    note(format("session %s: the last run did not come to its end; going on from before it, at %d tokens",
                session.name().c_str(), *before));
    session.truncate(static_cast<size_t>(*before));
  }
  auto tokens = new_tokens(text, session, arguments, prompt);
  if (!tokens) return tl::unexpected(tokens.error());
  if (!session.name().empty()) {
    auto noted = session.set_note(kUnfinished, format("%zu", session.tokens().size()));
    if (!noted) return noted;
  }
  return session.append(*tokens);
}

Result<void> end_run(Session& session) {
  if (!session.name().empty()) {
    if (auto noted = session.set_note(kUnfinished, ""); !noted) return noted;
  }
  return session.flush();
}

// Where the context is after the run: as text on stderr, as SVG in a file.
Result<void> show_map(const RunArguments& arguments, const Session& session) {
  if (!arguments.map && arguments.map_path.empty()) return {};
  const TierMap map = session.map();
  if (arguments.map) std::fputs(map_text(map).c_str(), stderr);
  if (arguments.map_path.empty()) return {};
  return write_map(arguments.map_path, session.name().empty() ? "context" : session.name(), map);
}

Result<void> plot_attention(const RunArguments& arguments, const Session& session) {
  if (arguments.attention_path.empty()) return {};
  const AttentionReport report = session.attention();
  const auto is_audited = [](const AttentionReport::Layer& layer) { return !layer.audits.empty(); };
  if (std::any_of(report.layers.begin(), report.layers.end(), is_audited))
    return write_text(arguments.attention_path, attention_svg(report));
  note(arguments.attention_path + ": not written: no step was adaptive and long enough to be audited");
  return {};
}

int run(RunArguments& arguments) {
  if (arguments.files.empty() && !arguments.prompt && is_terminal(STDIN_FILENO)) {
    return wrong_usage("nothing to go on from: give -f FILE, -p TEXT, or text on standard input");
  }
  auto prompt = read_prompt(arguments);
  if (!prompt) return fail(prompt.error());
  check_storage(arguments.model);
  auto grammar = read_grammar(arguments.constraint);
  if (!grammar) return fail(grammar.error());
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());
  const double open_start_s = now_s();
  auto opened = open_session(**engine, arguments.model);
  RunFacts facts{.open_s = now_s() - open_start_s};
  if (!opened) return fail(opened.error());
  Session& session = **opened;
  arguments.generate.sampling = sampling_options(arguments.sampling);
  arguments.generate.constraint = constraint_on((*engine)->text(), *grammar);
  auto begun = begin_run((*engine)->text(), session, arguments, *prompt);
  if (!begun) return fail(begun.error());
  facts.seed = arguments.generate.sampling.seed;
  facts.asked = arguments.ask;
  facts.constrained = arguments.generate.constraint != nullptr;
  Output output;
  auto report = stream(**engine, session, arguments, output);
  if (!report) return fail(report.error());
  auto flushed = end_run(session);
  note_warnings(**engine);
  if (!flushed) return fail(flushed.error());
  if (arguments.json) {
    output.write(json_report(**engine, session, *report, facts));
  } else {
    if (!report->text.ends_with('\n')) output.write("\n");
    note(summary_text(**engine, *report) + storage_text(**engine, session) +
         format(" | seed %llu", static_cast<unsigned long long>(facts.seed)));
    if (const std::string attention = attention_text(session.attention()); !attention.empty())
      note(attention);
  }
  if (!output.ok()) return fail(output.error());
  if (auto shown = show_map(arguments, session); !shown) return fail(shown.error());
  if (auto shown = plot_attention(arguments, session); !shown) return fail(shown.error());
  if (!report->message.empty()) return fail({"stopped early: " + report->message});
  if (!report->complete) note("the text is not complete: it is the beginning of what was asked for");
  return kDone;
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App& verb = *app.add_subcommand("run", "go on from files, standard input and a prompt");
  add_model_options(verb, arguments->model);
  add_storage_options(verb, arguments->model, true);
  verb.add_option("-f,--file", arguments->files,
                  "text to read before the prompt; repeatable, each is then introduced by its name; -: "
                  "standard input")
      ->allow_extra_args(false);
  verb.add_option("-p,--prompt", arguments->prompt,
                  "text after the files; standard input if neither is given");
  verb.add_option("-n,--tokens", arguments->generate.tokens_max, "new tokens at most; -1: until the end")
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str();
  verb.add_option("--stop", arguments->generate.stop, "text that ends the generation; repeatable")
      ->allow_extra_args(false);
  verb.add_flag("--ignore-eos", arguments->generate.ignore_end, "go on past the model's end tokens");
  verb.add_flag("--ask", arguments->ask, "the text is a user's message, in the model's chat format");
  verb.add_flag("--json", arguments->json, "one JSON object at the end instead of text");
  verb.add_flag("--map", arguments->map,
                "afterwards, on stderr: which of the context's segments are in memory, layer by layer");
  verb.add_option("--map-svg", arguments->map_path, "the same as an SVG file")
      ->check(CLI::Validator(check_file_to_write, "FILE"));
  verb.add_option("--attention-svg", arguments->attention_path,
                  "afterwards: errors that adaptive attention measured beside its target, as an SVG file")
      ->check(CLI::Validator(check_file_to_write, "FILE"));
  add_constraint_options(verb, arguments->constraint);
  add_sampling_options(verb, arguments->sampling);
  verb.callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace mneme::cli

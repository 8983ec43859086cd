// The built binary as scripts see it: exit codes, what goes to stdout and to stderr, JSON shapes.
#include <cstring>

#include "cli_for_test.h"

namespace mneme {
namespace {

TEST_F(Cli, HelpAndVersion) {
  EXPECT_EQ(mneme("--version").out.substr(0, 6), "mneme ");
  EXPECT_EQ(mneme("--version").status, 0);
  for (const char* verb :
       {"", "run", "chat", "bench", "eval", "eval recall", "eval ruler", "eval kl", "eval ppl", "logits",
        "tokenize", "inspect", "session", "session list", "session show", "session rm"}) {
    const Outcome help = mneme(std::string(verb) + " --help");
    EXPECT_EQ(help.status, 0) << verb;
    EXPECT_NE(help.out, "") << verb;
  }
}

TEST_F(Cli, WrongUsageIsTwo) {
  const std::string run = "run -m " + kModel + " -p x ";
  expect_failure("", 2, "subcommand");
  expect_failure("frobnicate", 2, "frobnicate");
  expect_failure("run -p x", 2, "--model");
  expect_failure(run + "--nonesuch", 2, "--nonesuch");
  for (const char* flags : {"--temp warm",
                            "--temp -1",
                            "--temp nan",
                            "--top-p 2",
                            "--top-k -1",
                            "--min-p x",
                            "-n -2",
                            "-n many",
                            "--kv 12q",
                            "--kv 0",
                            "--logit-bias 5",
                            "--logit-bias x=1",
                            "--threads 0",
                            "--repeat-penalty 0",
                            "--seed -1",
                            "--engram ram",
                            "--hot 1MiB",
                            "--warm 0",
                            "--cold-max 1GiB",
                            "--session ''",
                            "--cold-dir ''",
                            "--session s --hot 12q",
                            "--session s --warm -1",
                            "--session s --cold-max 0"}) {
    const Outcome outcome = mneme(run + flags);
    EXPECT_EQ(outcome.status, 2) << flags << "\n" << outcome.err;
    EXPECT_EQ(outcome.err_lines(), 1u) << flags << "\n" << outcome.err;
  }
  expect_failure("bench -m " + kModel + " -d 1,x", 2, "x");
  expect_failure("bench -m " + kModel + " --fill magic", 2, "--fill");
  expect_failure("bench -m " + kModel + " -p 0 -n 0", 2, "nothing to measure");
  expect_failure("eval", 2, "subcommand");
  const std::string recall = "eval recall -m " + kModel;
  for (const char* flag :
       {"--tasks needle", "--depths 1.5", "--depths 0,x", "--depths nan", "--lengths 4", "--lengths 9,k",
        "--questions 0", "--samples 0", "--language fr", "--split test", "--seed -1"}) {
    expect_failure(recall + " " + flag, 2, std::string(flag).substr(0, std::string(flag).find(' ')));
  }
  expect_failure("eval ruler -m " + kModel + " --tasks passkey", 2, "niah_single_1");
  expect_failure("eval ruler -m " + kModel + " --prompt magic", 2, "--prompt");
  expect_failure("eval kl -m " + kModel + " -f x --depths 0", 2, "--depths");
  expect_failure("eval kl -m " + kModel + " -f x --tokens 0", 2, "--tokens");
  expect_failure("eval ppl -m " + kModel + " --context 1", 2, "--context");
  expect_failure("eval ppl -m " + kModel + " --stride 0", 2, "--stride");
}

// Files that are written in the end are looked at before anything is computed.
TEST_F(Cli, PathsThatCannotBeWrittenAreSaidAtOnce) {
  const std::string run = "run -m /nonexistent.gguf -p x ", recall = "eval recall -m /nonexistent.gguf ";
  for (const std::string& option : {run + "--attention-svg ", run + "--map-svg ", recall + "--plot "}) {
    expect_failure(option + "/nonexistent/x.svg", 2, "/nonexistent/x.svg: cannot be written: No such file");
    expect_failure(option + folder_.string(), 2, "names a folder");
    expect_failure(option + (folder_ / "x.svg").string(), 1, "/nonexistent.gguf");
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.svg"));
}

TEST_F(Cli, FailuresAreOneLine) {
  const std::string bad = write("bad.gguf", "GGUF\x03 and then nonsense");
  const std::string empty = write("empty", "");
  for (const std::string verb : {"run -p x -m ", "bench -m ", "tokenize -m ", "inspect ", "chat -m ",
                                 "eval recall -m ", "eval ruler -m ", "eval ppl -m "}) {
    expect_failure(verb + "/nonexistent.gguf", 1, "/nonexistent.gguf");
    expect_failure(verb + folder_.string(), 1, folder_.string());
    expect_failure(verb + bad, 1, "bad.gguf");
    expect_failure(verb + empty, 1, "empty");
  }
  const std::string run = "run -m " + kModel + " ";
  expect_failure(run + "-f /nonexistent", 1, "/nonexistent");
  expect_failure(run + "-f " + folder_.string(), 1, folder_.string());
  expect_failure(run + "--kv 1K -p x", 1, "KV");
  // About 400 KiB of text and a budget for 1,024 tokens.
  expect_failure(run + "--kv 1MiB", 1, "raise --kv", std::string(400'000, 'q'));
  expect_failure("bench -m " + kModel + " --kv 1MiB -d 100000 --fill repeat", 1, "raise --kv");
}

TEST_F(Cli, RunSaysTheSameForTheSameSeed) {
  const std::string run = "run -m " + kModel + " -p 'The memory of' -n 24 --ignore-eos ";
  const Outcome first = mneme(run + "--seed 5");
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.out, mneme(run + "--seed 5").out);
  EXPECT_NE(first.out, mneme(run + "--seed 6").out);
  EXPECT_NE(first.err.find("seed 5"), std::string::npos);
  EXPECT_NE(first.err.find("prefill"), std::string::npos);
  EXPECT_EQ(first.err.find('\033'), std::string::npos) << "no progress where stderr is no terminal";
  EXPECT_EQ(mneme(run + "--temp 0 --seed 1").out, mneme(run + "--temp 0 --seed 2").out);
}

TEST_F(Cli, RunReadsFilesInputAndPrompt) {
  const std::string a = write("a.txt", "first text");
  const std::string b = write("b.txt", "second text\n");
  const std::string run = "run -m " + kModel + " -n 8 --seed 1 --json ";
  const auto tokens = [&](const std::string& text) {
    const std::string line = mneme("tokenize -m " + kModel, text).out;
    return std::count(line.begin(), line.end(), ' ') + 1;
  };
  const auto prompt_tokens = [&](const std::string& flags, const std::string& input = "") {
    const Outcome outcome = mneme(run + flags, input);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out)["prefill"]["tokens"].get<long>();
  };
  EXPECT_EQ(prompt_tokens("-f " + a), tokens("first text"));
  EXPECT_EQ(prompt_tokens("-f " + a + " -p ' more'"), tokens("first text more"));
  EXPECT_EQ(prompt_tokens("-f " + a + " -f " + b + " -p Q"),
            tokens("==> " + a + " <==\nfirst text\n==> " + b + " <==\nsecond text\nQ"));
  EXPECT_EQ(prompt_tokens("", "from the pipe"), tokens("from the pipe"));
  EXPECT_EQ(prompt_tokens("-f -", "from the pipe"), tokens("from the pipe"));
  EXPECT_EQ(prompt_tokens("-p only", "not read"), tokens("only"));
}

TEST_F(Cli, RunStops) {
  const std::string run = "run -m " + kModel + " -p 'The memory' --temp 0 --ignore-eos --json ";
  const Json whole = Json::parse(mneme(run + "-n 12").out);
  EXPECT_EQ(whole["stop"], "length");
  EXPECT_EQ(whole["decode"]["tokens"], 12);
  const std::string text = whole["text"];
  ASSERT_GT(text.size(), 4u);
  const fs::path flag = folder_ / "stop";
  write("stop", text.substr(text.size() / 2, 3));
  const Json cut = Json::parse(mneme(run + "-n 12 --stop \"$(cat " + flag.string() + ")\"").out);
  EXPECT_EQ(cut["stop"], "stop");
  EXPECT_LE(cut["text"].get<std::string>().size(), text.size() / 2);
  const Json none = Json::parse(mneme(run + "-n 0").out);
  EXPECT_EQ(none["text"], "");
}

TEST_F(Cli, AFullCacheKeepsTheTextAndFails) {
  const Outcome outcome = mneme("run -m " + kModel + " -p x -n -1 --kv 256KiB --ignore-eos --seed 1 --json");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err_lines(), 1u) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["stop"], "full");
  EXPECT_GT(json["decode"]["tokens"], 200);
}

TEST_F(Cli, AClosedPipeEndsItCleanly) {
  const std::string command = std::string(MNEME_BINARY) + " run -m " + kModel +
                              " -p x -n -1 --ignore-eos --seed 1";
  const Outcome outcome = shell("sh -c '(" + command + "; echo status $? >&2) | head -c 10 > /dev/null'");
  EXPECT_NE(outcome.err.find("status 1"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("Broken pipe"), std::string::npos) << outcome.err;
  const Outcome full = shell(std::string(MNEME_BINARY) + " inspect " + kModel + " > /dev/full");
  EXPECT_EQ(full.status, 1);
  EXPECT_EQ(full.err_lines(), 1u);
}

TEST_F(Cli, CtrlCEndsWithTheSummary) {
  const std::string command = std::string(MNEME_BINARY) + " run -m " + kModel +
                              " -p x -n -1 --ignore-eos --seed 1";
  // A shell's background job ignores SIGINT: env puts it back.
  const Outcome outcome = shell("env --default-signal=INT " + command +
                                " > /dev/null & pid=$!; sleep 1; kill -INT $pid; wait $pid");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("decode"), std::string::npos) << outcome.err;
}

TEST_F(Cli, ChatReadsFromAPipe) {
  const std::string chat = "chat -m " + kModel + " --seed 3 -n 8 ";
  const Outcome outcome = mneme(chat, "Hello\n\nHow are you?\n/reset\nHello\n/exit\nnever read\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_GE(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(mneme(chat, "").status, 0);
  EXPECT_EQ(mneme(chat + "--temp 0", "Hello\n").out + mneme(chat + "--temp 0", "Hello\n").out,
            mneme(chat + "--temp 0", "Hello\n/reset\nHello\n").out);
}

TEST_F(Cli, BenchJsonIsTheContract) {
  const Outcome drawn = mneme("bench -m " + kModel + " -p 0 -n 4 -d 600 -r 1 --fill draw --json");
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(Json::parse(drawn.out)["rows"][0]["fill"], "draw");
  const Outcome outcome = mneme("bench -m " + kModel + " -p 32 -n 4 -d 0,600 -r 2 --fill repeat --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_TRUE(json["engram"].is_null()) << "the fixture has no n-gram tables";
  EXPECT_GT(json["rss_peak_bytes"], 0);
  const Json rows = json["rows"];
  ASSERT_EQ(rows.size(), 4u);
  const std::vector<std::string> tests{"pp32", "tg4", "pp32", "tg4"};
  for (size_t i = 0; i < rows.size(); ++i) {
    const Json& row = rows[i];
    EXPECT_EQ(row["test"], tests[i]);
    EXPECT_EQ(row["depth"], i < 2 ? 0 : 600);
    EXPECT_EQ(row["fill"], i < 2 ? "prefill" : "repeat");
    EXPECT_LE(row["tokens_per_second"]["min"], row["tokens_per_second"]["median"]);
    EXPECT_LE(row["tokens_per_second"]["median"], row["tokens_per_second"]["max"]);
    EXPECT_GT(row["tokens_per_second"]["min"], 0);
    EXPECT_GT(row["bytes_per_second"], 0);
    EXPECT_TRUE(row.contains("share_of_limit"));
    EXPECT_GT(row["rss_bytes"], 0);
    const bool decodes = i % 2 == 1;
    EXPECT_EQ(row.size(), decodes ? 9u : 7u);
    EXPECT_EQ(row.value(Json::json_pointer("/attention/mode"), ""), decodes ? "exact" : "");
  }
  EXPECT_EQ(mneme("bench -m " + kModel + " -p 8 -n 2 -r 1 --engram disk --cold --json").status, 0);
  EXPECT_EQ(Json::parse(mneme("bench -m " + kModel + " -p 0 -n 2 -r 1 --json").out)["rows"].size(), 1u);
  EXPECT_EQ(Json::parse(mneme("bench -m " + kModel + " -p 8 -n 0 -r 1 --json").out)["rows"].size(), 1u);
  EXPECT_NE(mneme("bench -m " + kModel + " -p 8 -n 2 -r 1").out.find("tg2"), std::string::npos);
}

TEST_F(Cli, SparseAttentionReportsWhatItDid) {
  const Outcome outcome = mneme(
      "bench -m " + kModel +
      " -p 0 -n 6 -d 4096 -r 1 --fill repeat --json --attention adaptive --target-error 0.05");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json attention = Json::parse(outcome.out)["rows"][0]["attention"];
  EXPECT_EQ(attention["mode"], "adaptive");
  EXPECT_EQ(attention["target_error"], 0.05);
  EXPECT_GT(attention["steps"], 0);
  EXPECT_GT(attention["audits"], 0);
  EXPECT_GT(attention["bytes_a_step_exact"], attention["bytes_a_step"]);
  EXPECT_EQ(attention["layers"].size(), 4u);
  const Outcome warm = mneme(
      "bench -m " + kModel +
      " -p 0 -n 2 --warm-up 10 -d 4096 -r 1 --fill repeat --json --attention adaptive --target-error 0.05");
  ASSERT_EQ(warm.status, 0) << warm.err;
  const Json later = Json::parse(warm.out)["rows"][0];
  EXPECT_EQ(later["test"], "tg2");
  EXPECT_EQ(later["warm_up_tokens"], 10);
  EXPECT_GT(later["attention"]["steps"], attention["steps"]) << "12 tokens beside 6";
  const Outcome run = mneme("run -m " + kModel + " -p hello -n 2 --attention certified");
  EXPECT_NE(run.err.find("certified attention: no step was long enough"), std::string::npos) << run.err;
  EXPECT_EQ(mneme("run -m " + kModel + " -p x --attention sparse").status, 2);
  EXPECT_EQ(mneme("run -m " + kModel + " -p x --prefill quick").status, 2);
  const Outcome prefill = mneme("bench -m " + kModel +
                                " -p 2048 -n 0 -d 8192 -r 1 --fill repeat --json --prefill sparse");
  ASSERT_EQ(prefill.status, 0) << prefill.err;
  const Json row = Json::parse(prefill.out)["rows"][0];
  EXPECT_EQ(row["attention"]["mode"], "exact");
  EXPECT_GT(row["attention"]["prefill"]["steps"], 0);
  EXPECT_EQ(row["attention"]["prefill"]["layers"].size(), 4u);
  for (const char* wrong : {"0", "1.5", "nan", "-nan", "inf", "0.1x", "x"})
    EXPECT_EQ(mneme("run -m " + kModel + " -p x --target-error " + wrong).status, 2) << wrong;
}

std::vector<float> floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

TEST_F(Cli, LogitsWritesRows) {
  const std::string model = kData + "golden/llama-bf16.gguf";
  const std::vector<float> expected = floats(read_file(kData + "golden/llama-bf16.logits.f32"));
  const fs::path out = folder_ / "out.f32";
  for (const char* decode : {"", " --decode"}) {
    const Outcome outcome = mneme("logits -m " + model + " --tokens " + kData + "golden/tokens.txt --out " +
                                  out.string() + decode);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out + outcome.err, "");
    const std::vector<float> got = floats(read_file(out));
    ASSERT_EQ(got.size(), expected.size());
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      error += std::pow(double{got[i]} - double{expected[i]}, 2);
      power += std::pow(double{expected[i]}, 2);
    }
    EXPECT_LE(error / power, 1e-4);
  }
  const std::string logits = "logits -m " + model + " --out " + out.string() + " --tokens ";
  expect_failure(logits + "/nonexistent", 1, "/nonexistent");
  expect_failure(logits + write("words", "1 2 three"), 1, "three");
  expect_failure(logits + write("big", "1 512"), 1, "512");
  expect_failure(logits + write("none", " \n"), 1, "none");
  expect_failure("logits -m " + model + " --tokens - --out /nonexistent/x", 1, "/nonexistent/x", "1 2");
  expect_failure("logits -m " + model + " --tokens - --out /dev/full", 1, "/dev/full", "1 2");
}

// The default model says what leads to an answer before it answers.
TEST_F(Cli, ThoughtsAreNoPartOfTheAnswer) {
  const std::string model = std::string(MNEME_SOURCE_DIR) + "/models/mneme-default.gguf";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is missing";
  const std::string asked = "run --ask --temp 0 -n 64 -m " + model +
                            " -p 'The code of red-fox is 4711. The code of blue-whale is 8230.\n\n"
                            "What is the code of blue-whale?'";
  const Outcome text = mneme(asked), json = mneme(asked + " --json");
  ASSERT_EQ(text.status, 0) << text.err;
  ASSERT_EQ(json.status, 0) << json.err;
  const Json report = Json::parse(json.out);
  const std::string answer = report["text"], thought = report["thought"];
  EXPECT_EQ(text.out, answer + "\n");
  EXPECT_EQ((answer + thought).find("think>"), std::string::npos) << answer << "|" << thought;
  EXPECT_NE(text.err.find(thought + "\n"), std::string::npos) << text.err;
  const Outcome held = mneme(asked + " --regex '[0-9]{4}'");
  EXPECT_EQ(held.out.size(), 5u) << held.out << ": an answer that is held to a form comes at once";
  EXPECT_EQ(held.err.find(thought), std::string::npos) << held.err;
}

TEST_F(Cli, TokenizeWritesOneLine) {
  const std::string file = write("text", "Hello, world!\n<|im_end|>");
  const Outcome with = mneme("tokenize -m " + kModel + " -f " + file);
  EXPECT_EQ(with.status, 0) << with.err;
  EXPECT_EQ(std::count(with.out.begin(), with.out.end(), '\n'), 1);
  EXPECT_EQ(with.out.find_first_not_of("0123456789 \n"), std::string::npos);
  EXPECT_EQ(with.out, mneme("tokenize -m " + kModel, read_file(file)).out);
  EXPECT_GT(mneme("tokenize --no-specials -m " + kModel + " -f " + file).out.size(), with.out.size());
  expect_failure("tokenize -m " + kModel + " -f /nonexistent", 1, "/nonexistent");
}

TEST_F(Cli, InspectShowsTheFile) {
  const Json json = Json::parse(mneme("inspect " + kModel + " --json").out);
  EXPECT_EQ(json["model"]["architecture"], "llama");
  EXPECT_EQ(json["model"]["layers"], 4);
  EXPECT_GT(json["tensors"].size(), 10u);
  EXPECT_GT(json["metadata"].size(), 10u);
  const Outcome text = mneme("inspect " + kModel);
  EXPECT_EQ(text.status, 0);
  EXPECT_NE(text.out.find("token_embd.weight"), std::string::npos);
}

TEST_F(Cli, BadIdsLeaveTheOldLogitsAlone) {
  const std::string tokens = write("ids", "1 2 512\n");
  const std::string kept = write("kept", "old contents");
  expect_failure("logits -m " + kModel + " --tokens " + tokens + " --out " + kept, 1,
                 "outside the vocabulary");
  EXPECT_EQ(read_file(kept), "old contents");
}

TEST_F(Cli, LogitsGoToStandardOutput) {
  const std::string tokens = write("ids", "1 2 3\n");
  const Outcome done = mneme("logits -m " + kModel + " --tokens " + tokens + " --out -");
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out.size(), size_t{3} * 512 * sizeof(float));
}

TEST_F(Cli, BiasForATokenThatIsNotThereFails) {
  expect_failure("run -m " + kModel + " -p x -n 1 --logit-bias 512=1", 1, "vocabulary");
}

}  // namespace
}  // namespace mneme

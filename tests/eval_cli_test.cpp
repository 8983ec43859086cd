// Evaluations as scripts see them: answers, pairs, divergence, perplexity; killed and gone on with.
#include <regex>

#include "cli_for_test.h"

namespace mneme {
namespace {

TEST_F(Cli, EvalRecallJsonIsTheContract) {
  const fs::path samples = folder_ / "samples.jsonl";
  const std::string recall = "eval recall -m " + kModel +
                             " --lengths 1000,2000 --depths 0,1 --tasks passkey,key_value --language both"
                             " --questions 2 --samples 1 --seed 7";
  const Outcome outcome = mneme(recall + " --json --out " + samples.string());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["split"], "held-out");
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["left_out"].size(), 0u);
  EXPECT_EQ(json["cancelled"], false);
  int contexts = 0;
  int questions = 0;
  for (const Json& row : json["rows"]) {
    const int count = row["contexts"];
    contexts += count;
    questions += row["questions"].get<int>();
    EXPECT_LE(row["prefill_tokens"], row["length"].get<int>() * count);
    EXPECT_GE(row["prefill_tokens"], 0.97 * row["length"].get<int>() * count);
    EXPECT_LE(row["correct"], row["questions"]);
    EXPECT_GT(row["prefill_tokens_per_second"], 0);
    EXPECT_TRUE(row["depth"] == 0 || row["depth"] == 1);
    EXPECT_EQ(row.size(), 15u);
    EXPECT_LE(row["score_low"], row["score"]);
  }
  EXPECT_EQ(contexts, 2 * 2 * 2 * 2);
  const std::string lines = read_file(samples);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), questions + 1);
  const size_t second = lines.find('\n') + 1;
  const Json first = Json::parse(lines.substr(second, lines.find('\n', second) - second));
  for (const char* key : {"task", "length", "depth", "seed", "question", "expected", "given", "stop",
                          "correct", "score", "seconds", "evidence_depth"}) {
    EXPECT_TRUE(first.contains(key)) << key;
  }
  EXPECT_EQ(mneme(recall + " --out " + samples.string()).status, 0);
  EXPECT_EQ(read_file(samples), lines) << "everything is there already";
  expect_failure(recall + " --out " + samples.string() + " --text /nonexistent", 1, "/nonexistent");
  EXPECT_EQ(read_file(samples), lines) << "kept where nothing was measured";
  EXPECT_EQ(Json::parse(mneme(recall + " --json --out " + samples.string()).out), json)
      << "a table of what was kept is the same table";
}

// Times differ from run to run.
std::string without_seconds(const std::string& lines) {
  return std::regex_replace(lines, std::regex("seconds\":[^,}]*"), "seconds\":0");
}

TEST_F(Cli, EvalGoesOnWhereItWasKilled) {
  const std::string ruler = "eval ruler -m " + kModel +
                            " --lengths 500,700 --tasks niah_single_1,vt --samples 1"
                            " --questions 2 --against-threads 1 --out ";
  const fs::path whole = folder_ / "whole.jsonl", cut = folder_ / "cut.jsonl";
  const Outcome outcome = mneme(ruler + whole.string());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("B - A"), std::string::npos) << outcome.out;
  const std::string lines = read_file(whole);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1 + 2 * 2 * 2 * 2);
  // Cut anywhere: in the first line, in the middle of an answer, behind one, in B's part.
  for (const size_t size : {size_t{9}, lines.find('\n') + 1, lines.size() / 3,
                            lines.rfind('\n', lines.size() / 2) + 1, lines.size() - 5}) {
    write("cut.jsonl", lines.substr(0, size));
    const Outcome rest = mneme(ruler + cut.string());
    ASSERT_EQ(rest.status, 0) << size << ": " << rest.err;
    EXPECT_EQ(without_seconds(read_file(cut)), without_seconds(lines)) << size;
  }
  // A real one.
  // Waited for: until it is gone, the file is its own.
  const std::string killed = std::string(MNEME_BINARY) + " " + ruler + cut.string() +
                             " & pid=$!; sleep 0.4; kill -9 $pid; wait $pid";
  fs::remove(cut);
  shell(killed);
  shell(killed);
  ASSERT_EQ(mneme(ruler + cut.string()).status, 0);
  EXPECT_EQ(without_seconds(read_file(cut)), without_seconds(lines));

  expect_failure(ruler + whole.string() + " --seed 3", 1, "seed: 0 there, 3 here");
  expect_failure(ruler + whole.string() + " --tasks vt", 1, "other options");
  EXPECT_EQ(read_file(whole), lines);
  write("notes.txt", "my notes\n");
  expect_failure(ruler + (folder_ / "notes.txt").string(), 1, "no file of answers");
  write("notes.txt", "my notes");
  expect_failure(ruler + (folder_ / "notes.txt").string(), 1, "no file of answers");
  EXPECT_EQ(read_file(folder_ / "notes.txt"), "my notes");
  write("broken.jsonl", lines.substr(0, lines.find('\n') + 1) + "{\"side\":\"a\"}\n");
  expect_failure(ruler + (folder_ / "broken.jsonl").string(), 1, "line 2");
  expect_failure(ruler + "/nonexistent/x", 1, "/nonexistent/x");
}

TEST_F(Cli, EvalRulerComparesPairsAndDraws) {
  const fs::path plot = folder_ / "plot.svg";
  const std::string ruler = "eval ruler -m " + kModel +
                            " --lengths 600 --samples 2 --depths 0,1 --language zh";
  const std::string tasks = " --tasks niah_single_1,niah_multikey_3,vt";
  const Outcome outcome = mneme(ruler + tasks + " --json --against-threads 1 --plot " + plot.string());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["kind"], "ruler");
  EXPECT_EQ(json["a"]["rows"].size(), json["b"]["rows"].size());
  const Json& all = json["comparison"].back();
  EXPECT_EQ(all["task"], nullptr);
  EXPECT_EQ(all["difference"], 0);
  EXPECT_EQ(all["mcnemar_p"], 1);
  EXPECT_EQ(all["answers"], 3 * 2 * 2);
  EXPECT_GT(all["high"], 0);
  const std::string svg = read_file(plot);
  EXPECT_NE(svg.find("B niah_single_1"), std::string::npos);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
  for (const char* more : {"--prompt plain --no-answer-prefix", "--prompt chat"}) {
    EXPECT_EQ(mneme(ruler + " --tasks vt " + more).status, 0) << more;
  }
  // B finds on the disk what A read.
  const Outcome stored = mneme(ruler + " --tasks vt --against-threads 1 --json --cold-dir " +
                               (folder_ / "cold").string());
  ASSERT_EQ(stored.status, 0) << stored.err;
  EXPECT_EQ(Json::parse(stored.out)["comparison"].back()["difference"], 0);
  EXPECT_TRUE(fs::exists(folder_ / "cold"));
  expect_failure(ruler + " --hot 1GiB", 2, "--cold-dir");
  expect_failure(ruler + " --tasks vt --plot /nonexistent/x.svg", 2, "/nonexistent/x.svg");
  expect_failure(ruler + " --tasks vt --against /nonexistent", 1, "/nonexistent");
}

TEST_F(Cli, EvalKlSeesWhatSparseAttentionLeavesOut) {
  std::string text;
  for (int i = 0; i < 600; ++i) text += "Line " + std::to_string(i * i) + " of the text.\n";
  const std::string kl = "eval kl -m " + kModel + " -f " + write("text", text) +
                         " --tokens 8 --depths 3000 --json --against-attention ";
  const auto mean = [&](const std::string& b) {
    const Outcome outcome = mneme(kl + b);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const Json json = Json::parse(outcome.out);
    EXPECT_NE(json["b"].get<std::string>().find(b.substr(0, 8)), std::string::npos);
    return json["rows"][0]["kl_mean"].get<double>();
  };
  const double fine = mean("adaptive --against-target-error 0.0001"),
               coarse = mean("adaptive --against-target-error 0.5");
  EXPECT_GE(fine, 0);
  EXPECT_GT(coarse, fine);
  EXPECT_LT(fine, 0.01);
  EXPECT_GT(mean("certified --against-target-error 0.05"), 0);
}

TEST_F(Cli, EvalKlOfAModelWithItselfIsNothing) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "Line " + std::to_string(i * i) + " of the text.\n";
  const std::string kl = "eval kl -m " + kModel + " -f " + write("text", text) +
                         " --tokens 8 --depths 200,32 ";
  const Outcome outcome = mneme(kl + "--against-threads 1 --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  ASSERT_EQ(json["rows"].size(), 3u);
  EXPECT_EQ(json["rows"][0]["depth"], 32);
  EXPECT_EQ(json["rows"][2]["depth"], nullptr);
  EXPECT_EQ(json["rows"][2]["tokens"], 16);
  EXPECT_EQ(json["rows"][2]["kl_max"], 0);
  EXPECT_EQ(json["rows"][2]["top1_agreement"], 1);
  EXPECT_NE(mneme(kl + "--against " + kModel).out.find("top-1 %"), std::string::npos);
  const Outcome drawn = mneme("eval kl -m " + kModel + " -f " + folder_.string() +
                              "/text --tokens 8 --depths 1500 --fill draw --against-threads 1 --json");
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  const Json filled = Json::parse(drawn.out);
  EXPECT_EQ(filled["fill"], "draw");
  EXPECT_EQ(filled["rows"][0]["kl_max"], 0);
  EXPECT_EQ(filled["rows"][0]["nmse"], 0);
  expect_failure(kl + "--fill some --against-threads 1", 2, "some");
  expect_failure(kl + "--against-attention sparse", 2, "sparse");
  expect_failure(kl, 2, "--against");
  expect_failure("eval kl -m " + kModel + " --against-threads 1 -f /nonexistent", 1, "/nonexistent");
  expect_failure(
      "eval kl -m " + kModel + " --against-threads 1 --depths 100000 -f " + folder_.string() + "/text", 1,
      "tokens");
}

TEST_F(Cli, EvalRecallShowsTablesAndWhatItLeftOut) {
  const std::string recall = "eval recall -m " + kModel + " --kv 2MiB --questions 1 ";
  const Outcome outcome = mneme(recall +
                                "--lengths 500000,500 --depths 0,0.5 --tasks passkey,fill_in_middle");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("exact %"), std::string::npos);
  EXPECT_NE(outcome.out.find("passkey en: exact % by length and depth"), std::string::npos) << outcome.out;
  // The budget once for its length, the missing marks once for their task.
  EXPECT_EQ(outcome.err_lines(), 2u) << outcome.err;
  EXPECT_NE(outcome.err.find("raise --kv"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("<|fim_prefix|>"), std::string::npos) << outcome.err;
  EXPECT_EQ(mneme(recall + "--lengths 500 --depths 0").out.find("by length and depth"), std::string::npos);
  expect_failure(recall + "--lengths 500000", 1, "raise --kv");
  const std::string text = write("own.txt", "The word that nobody else would use is xylomarimba. ");
  EXPECT_EQ(mneme(recall + "--lengths 500 --tasks all --text " + text).status, 0);
}

TEST_F(Cli, EvalPerplexityJsonIsTheContract) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Line " + std::to_string(i * 97) + " is about memory.\n";
  const std::string file = write("scored.txt", text);
  const std::string ppl = "eval ppl -m " + kModel + " -f " + file + " --context 128 ";
  const Outcome outcome = mneme(ppl + "--json --stride 32 --ngram-train " + file);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["context"], 128);
  EXPECT_EQ(json["stride"], 32);
  EXPECT_NEAR(std::log(json["perplexity"].get<double>()), json["nll_per_token"].get<double>(), 1e-6);
  EXPECT_EQ(json["tokens"], json["ngram"]["tokens"]);
  EXPECT_LT(json["ngram"]["perplexity"], json["perplexity"]);
  EXPECT_GT(json["bits_per_byte"], 0);
  EXPECT_NE(mneme(ppl).out.find("perplexity"), std::string::npos);
  EXPECT_EQ(
      Json::parse(mneme("eval ppl --json -m " + kModel + " --context 128 --stride 32", text).out)["tokens"],
      json["tokens"]);
  expect_failure(ppl + "--stride 128", 1, "stride");
  expect_failure(ppl + "-f /nonexistent", 1, "/nonexistent");
  expect_failure("eval ppl -m " + kModel, 1, "no text");
}

}  // namespace
}  // namespace mneme

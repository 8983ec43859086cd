// The trainer as its users see it: a run that is killed and goes on, two processes that train as one, and a
// model file whose logits at run time are those of the trainer.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "corpus/documents.h"
#include "corpus/vocabulary.h"
#include "model/config.h"
#include "model/gguf.h"
#include "tasks/text.h"

namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<float> read_floats(const fs::path& path) {
  const std::string bytes = read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Steps and losses of a log.csv.
std::vector<std::pair<int, double>> losses_of(const fs::path& folder) {
  std::ifstream in(folder / "log.csv");
  std::string line;
  std::getline(in, line);
  std::vector<std::pair<int, double>> losses;
  while (std::getline(in, line)) {
    int step = 0;
    double tokens = 0, loss = 0;
    if (std::sscanf(line.c_str(), "%d,%lf,%lf", &step, &tokens, &loss) == 3) losses.emplace_back(step, loss);
  }
  return losses;
}

// A folder with a small corpus of built-in sentences and a vocabulary of bytes.
class Train : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / ("mneme_train_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    const mneme::tasks::SyntheticText text(5, 1 << 15);
    mneme::core::Rng rng(9);
    for (const char* name : {"train.docs", "heldout.docs"}) {
      auto writer = mneme::corpus::DocumentsWriter::create((folder_ / name).string());
      ASSERT_TRUE(writer) << writer.error().message;
      for (int i = 0; i < 40; ++i) {
        const auto d = text.pick(rng, mneme::tasks::TextKind::kProse, mneme::tasks::Language::kEnglish);
        writer->add({d.name, mneme::corpus::Kind::kProse, mneme::corpus::Language::kEnglish, 0, d.text});
      }
      ASSERT_TRUE(writer->finish());
    }
    auto vocabulary = mneme::corpus::Vocabulary::make({}, 320);
    ASSERT_TRUE(vocabulary) << vocabulary.error().message;
    ASSERT_TRUE(vocabulary->write((folder_ / "bytes.bpe").string()));
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string command(const std::string& out, const std::string& more) {
    return std::string(MNEME_TRAIN_BINARY) + " run --out " + (folder_ / out).string() + " --corpus " +
           folder_.string() + " --vocabulary " + (folder_ / "bytes.bpe").string() +
           " --dim 32 --layers 3 --global-layers 1 --heads 2 --kv-heads 1 --head-dim 32 --ffn-dim 64 "
           "--window 16"
           " --tied 0 --tokens-per-step 256 --validate-every 0 --validation-rows 4 --bf16 0 --warmup 2 " +
           (more.find("--stages") == std::string::npos ? "--stages 0:64,0.5:128:cross " : "") + more +
           " 2> " + (folder_ / (out + ".err")).string();
  }
  static void run(const std::string& out, const std::string& more) {
    const int raw = std::system(command(out, more).c_str());
    ASSERT_TRUE(WIFEXITED(raw) && WEXITSTATUS(raw) == 0) << read_file(folder_ / (out + ".err"));
  }
  static void expect_same_curve(const std::string& a, const std::string& b, double tolerance) {
    const auto x = losses_of(folder_ / a), y = losses_of(folder_ / b);
    ASSERT_GT(x.size(), 2u);
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(x[i].first, y[i].first);
      EXPECT_NEAR(x[i].second, y[i].second, tolerance) << "step " << x[i].first;
    }
  }
  static void shell(const std::string& line) {
    const int raw = std::system((line + " 2> " + (folder_ / "shell.err").string()).c_str());
    ASSERT_TRUE(WIFEXITED(raw) && WEXITSTATUS(raw) == 0) << line << "\n" << read_file(folder_ / "shell.err");
  }

  static inline fs::path folder_;
  static inline const std::string kTables = "--engram-layers 1 --engram-rows 101 --engram-heads 2 ";
};

TEST_F(Train, LeavesOffAndGoesOn) {
  run("whole", "--steps 12");
  run("parts", "--steps 12 --stop-after 5");
  EXPECT_EQ(losses_of(folder_ / "parts").size(), 5u);
  run("parts", "--steps 12 --stop-after 4");
  run("parts", "--steps 12");
  expect_same_curve("whole", "parts", 0);
  EXPECT_NE(read_file(folder_ / "whole" / "loss.svg").find("<svg"), std::string::npos);
}

// Rows that one process touched and the other did not, with averages that lag behind: the same model to the
// last bit.
TEST_F(Train, TablesLeaveOffAndGoOn) {
  const std::string tables = kTables + " --ema 0.9 --steps 12 ";
  run("tables", tables);
  run("table-parts", tables + "--stop-after 5");
  run("table-parts", tables);
  expect_same_curve("tables", "table-parts", 0);
  std::string models[2];
  for (const int part : {0, 1}) {
    const fs::path folder = folder_ / (part == 0 ? "tables" : "table-parts");
    shell(std::string(MNEME_TRAIN_BINARY) + " export --checkpoint " + (folder / "checkpoint.pt").string() +
          " --type F32 --table-type F32 --out " + (folder / "model.gguf").string());
    models[part] = read_file(folder / "model.gguf");
  }
  EXPECT_GT(models[0].size(), 10'000u);
  EXPECT_TRUE(models[0] == models[1]);
}

// Killed in the middle with a checkpoint after every step: what was logged after the last whole checkpoint is
// computed again, and the curve is the one of a run that was left alone.
TEST_F(Train, SurvivesBeingKilled) {
  run("alone", "--steps 40");
  const std::string line = "exec " + command("killed", "--steps 40 --checkpoint-every 0");
  const pid_t child = ::fork();
  if (child == 0) ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
  ASSERT_GT(child, 0);
  const fs::path checkpoint = folder_ / "killed" / "checkpoint.pt";
  for (int i = 0; i < 3000 && !fs::exists(checkpoint); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(fs::exists(checkpoint));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  run("killed", "--steps 40");
  expect_same_curve("alone", "killed", 0);
}

TEST_F(Train, TwoProcessesTrainAsOne) {
  // Other rows are those of the same process: the two runs see the same without them only.
  const std::string what = "--steps 8 --seed 3 --stages 0:64 " + kTables;
  run("one", what);
  const std::string store = (folder_ / "store").string();
  const auto worker = [&](int rank) {
    return "(" +
           command("two" + std::to_string(rank),
                   what + "--workers 2 --store " + store + " --rank " + std::to_string(rank)) +
           ")";
  };
  shell(worker(1) + " & " + worker(0) + " && wait $!");
  // Sums in another order: the same loss up to rounding, which training magnifies a little.
  expect_same_curve("one", "two0", 1e-3);
}

TEST_F(Train, DamagedCheckpointIsRefused) {
  run("damaged", "--steps 3");
  fs::resize_file(folder_ / "damaged" / "checkpoint.pt", 1000);
  const int raw = std::system(command("damaged", "--steps 5").c_str());
  EXPECT_EQ(WEXITSTATUS(raw), 1);
  EXPECT_NE(read_file(folder_ / "damaged.err").find("not a whole checkpoint"), std::string::npos);
}

// A model file as the start of a training: its shape, its vocabulary and its weights to the last bit.
class GoOn : public Train {
 protected:
  static constexpr const char* kFlags =
      " --engram-layers 1 --engram-rows 101 --engram-heads 2 --indexer-heads 2";
  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static void export_model(const std::string& run_name) {
    shell(std::string(MNEME_TRAIN_BINARY) + " export --checkpoint " + path(run_name + "/checkpoint.pt") +
          " --type F32 --table-type F32 --vocabulary " + path("bytes.bpe") + " --out " +
          path(run_name + ".gguf"));
  }
  // One step that moves nothing, from a model file, without a word of its shape. Its status.
  static int start_from(const std::string& model, const std::string& out, const std::string& more) {
    const std::string line = std::string(MNEME_TRAIN_BINARY) + " run --out " + path(out) + " --corpus " +
                             folder_.string() + " --from " + path(model) +
                             " --steps 1 --matrix-rate 0 --adam-rate 0 --tokens-per-step 64 --stages 0:64"
                             " --validation-rows 1 --validate-every 0 --bf16 0 " +
                             more + " 2> " + path(out + ".err");
    return WEXITSTATUS(std::system(line.c_str()));
  }
};

class GoOnOfKind : public GoOn, public testing::WithParamInterface<const char*> {};

TEST_P(GoOnOfKind, FromAModelFile) {
  const std::string kind = GetParam(), name = "from_" + kind;
  run(name, "--residual " + kind + " --steps 4 --value-residual 1 --embedding-mix 1 --context-length 48" +
                kFlags + (kind == "mhc" ? " --look-ahead 6" : ""));
  export_model(name);
  ASSERT_EQ(start_from(name + ".gguf", name + "_on", "--engram-rows 101"), 0)
      << read_file(path(name + "_on.err"));
  export_model(name + "_on");
  EXPECT_GT(fs::file_size(path(name + ".gguf")), 10'000u);
  EXPECT_TRUE(read_file(path(name + ".gguf")) == read_file(path(name + "_on.gguf")));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GoOnOfKind, testing::Values("plain", "layerscale", "mhc"));

// Its keys know nothing of what follows until they learn it; what else there is stays as it was.
TEST_F(GoOn, AModelIsGivenLookAhead) {
  run("near", "--steps 2");
  export_model("near");
  ASSERT_EQ(start_from("near.gguf", "far", "--look-ahead 6"), 0) << read_file(path("far.err"));
  export_model("far");
  auto near = mneme::model::Gguf::open(path("near.gguf")), far = mneme::model::Gguf::open(path("far.gguf"));
  ASSERT_TRUE(near && far);
  auto config = mneme::model::read_config(*far);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->mneme.look_ahead, 6);
  size_t given = 0;
  for (const auto& tensor : far->tensors()) {
    const auto* before = near->find_tensor(tensor.name);
    if (before != nullptr) {
      EXPECT_TRUE(std::ranges::equal(before->bytes, tensor.bytes)) << tensor.name;
      continue;
    }
    EXPECT_TRUE(tensor.name.ends_with("attn_k_ahead.weight")) << tensor.name;
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    EXPECT_TRUE(std::ranges::all_of(values, [](float value) { return value == 0; }));
    ++given;
  }
  EXPECT_EQ(given, 1u);
}

// Rows that were sums come apart into the same sums.
TEST_F(GoOn, SpelledRowsComeApart) {
  run("sums", "--steps 4 --spelled 1");
  export_model("sums");
  ASSERT_EQ(start_from("sums.gguf", "sums_on", "--spelled 1"), 0) << read_file(path("sums_on.err"));
  export_model("sums_on");
  const auto before = read_floats(path("sums.gguf")), after = read_floats(path("sums_on.gguf"));
  const std::string a = read_file(path("sums.gguf")), b = read_file(path("sums_on.gguf"));
  ASSERT_EQ(a.size(), b.size());
  const size_t embedding = 320 * 32 * sizeof(float) * 2, other = a.size() - embedding;
  size_t differ = 0;
  for (size_t i = 0; i < a.size(); i += 4) differ += std::memcmp(&a[i], &b[i], 4) != 0;
  EXPECT_LE(differ * 4, embedding) << "of " << other << " other bytes";
  for (size_t i = 0; i < before.size(); ++i) {
    if (!std::isfinite(before[i]) || std::abs(before[i]) > 10) continue;
    EXPECT_NEAR(before[i], after[i], 1e-4) << i;
  }
}

TEST_F(GoOn, WhatDoesNotFitIsSaid) {
  run("plain_rows", std::string("--steps 2") + kFlags);
  export_model("plain_rows");
  const auto refusal = [&](const std::string& model, const std::string& more) {
    EXPECT_EQ(start_from(model, "refused", more), 1);
    return read_file(path("refused.err"));
  };
  EXPECT_NE(refusal("plain_rows.gguf", "--engram-rows 101 --spelled 1").find("sums of letters and forms"),
            std::string::npos);
  EXPECT_NE(refusal("plain_rows.gguf", "--engram-rows 211").find("--engram-rows"), std::string::npos);
  auto other = mneme::corpus::Vocabulary::make(std::vector<mneme::corpus::Merge>{{101, 114}}, 520);
  ASSERT_TRUE(other && other->write(path("other.bpe")));
  EXPECT_NE(refusal("plain_rows.gguf", "--vocabulary " + path("other.bpe")).find("different vocabularies"),
            std::string::npos);
  EXPECT_NE(refusal("none.gguf", "").find("none.gguf"), std::string::npos);
  std::ofstream(path("cut.gguf")) << read_file(path("plain_rows.gguf")).substr(0, 20000);
  EXPECT_NE(refusal("cut.gguf", "").find("cut.gguf"), std::string::npos);
}

// The runtime's logits are the trainer's, for every residual kind and with everything else switched on.
class Parity : public Train, public testing::WithParamInterface<const char*> {};

TEST_P(Parity, RuntimeLogitsAreTheTrainers) {
  const std::string kind = GetParam(), out = "parity_" + kind;
  run(out, "--residual " + kind +
               " --steps 6 --value-residual 1 --embedding-mix 1 --context-length 64 --streams 3"
               " --engram-layers 1,2 --engram-rows 501 --engram-order 3 --engram-heads 2 --adam-rate 0.02" +
               (kind == "plain" || kind == "mhc" ? " --spelled 1" : "") +
               (kind == "alpha" || kind == "mhc" ? " --look-ahead 9" : ""));
  const std::string checkpoint = (folder_ / out / "checkpoint.pt").string();
  const std::string model = (folder_ / (out + ".gguf")).string(), ids = (folder_ / "ids").string();
  std::ofstream tokens(ids);
  mneme::core::Rng rng(4);
  const int count = 200;
  for (int i = 0; i < count; ++i) tokens << rng.next_below(300) << ' ';
  tokens.close();
  const std::string trainer = MNEME_TRAIN_BINARY;
  shell(trainer + " export --checkpoint " + checkpoint + " --vocabulary " + (folder_ / "bytes.bpe").string() +
        " --type F32 --table-type F32 --out " + model);
  shell(trainer + " logits --checkpoint " + checkpoint + " --tokens " + ids + " --out " +
        (folder_ / "want").string());
  const auto want = read_floats(folder_ / "want");
  ASSERT_EQ(want.size(), size_t{count} * 320);
  for (const char* isa : {"scalar", ""}) {
    const std::string forced = *isa != 0 ? std::string("MNEME_ISA=") + isa + " " : "";
    for (const char* how : {"", " --decode"}) {
      shell(forced + MNEME_BINARY + " logits -m " + model + " --tokens " + ids + " --out " +
            (folder_ / "got").string() + how);
      const auto got = read_floats(folder_ / "got");
      ASSERT_EQ(got.size(), want.size());
      double difference = 0, power = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        difference += std::pow(double{got[i]} - want[i], 2);
        power += std::pow(double{want[i]}, 2);
      }
      // f32 against f32; the fast kernels round their operands to bf16
      EXPECT_LT(difference / power, *isa != 0 ? 1e-6 : 1e-3) << kind << " " << isa << how;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Parity,
                         testing::Values("plain", "alpha", "rezero", "layerscale", "hc", "mhc", "mhc-lite",
                                         "mhc-identity"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace

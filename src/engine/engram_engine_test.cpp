// N-gram tables in memory and on disk behind the public interface: the same logits to the bit, and a table
// that is cut short while it is in use costs one step.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/rng.h"
#include "mneme/engine.h"
#include "mneme/inspect.h"
#include "model/mneme_model_for_test.h"

namespace mneme {
namespace {

namespace fs = std::filesystem;

// A random model with one tensor to a file, so that a table can be cut and nothing else. Written once for all
// tests: each works on a copy.
class Original {
 public:
  Original() {
    fs::create_directories(folder_);
    model::MnemeOptionsForTest o;
    o.byte_tokenizer = true, o.vocab_size = 259, o.window = 100, o.matrix_type = tensor::DType::kBF16;
    o.residual = "mhc", o.streams = 4, o.engram_layers = {0, 2}, o.engram_heads = 8,
    o.engram_type = tensor::DType::kQ8_0;
    const model::MnemeModelForTest model = model::random_mneme_model(o, kSeed);
    for (const auto& [name, tensor] : model.tensors) names_.push_back(name);
    auto written = model.writer().write_split((folder_ / "m").string(), 1);
    EXPECT_TRUE(written) << written.error().message;
    for (const std::string& path : *written) files_.push_back(fs::path(path).filename());
  }
  ~Original() { fs::remove_all(folder_); }

  const fs::path& folder() const { return folder_; }
  const fs::path& first() const { return files_[0]; }
  const fs::path& file_of(const std::string& tensor) const {
    return files_[static_cast<size_t>(std::find(names_.begin(), names_.end(), tensor) - names_.begin())];
  }

 private:
  static constexpr uint64_t kSeed = 11;
  fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("engram_original_{}", ::getpid());
  std::vector<std::string> names_;  // [part]
  std::vector<fs::path> files_;     // [part]
};

class EngramModel {
 public:
  EngramModel() {
    static const Original original;
    original_ = &original;
    fs::copy(original_->folder(), folder_);
  }
  ~EngramModel() { fs::remove_all(folder_); }

  std::unique_ptr<Engine> open(EngramPlacement placement) const {
    auto engine = Engine::open(
        {.model_path = path(), .kv_bytes_max = 16 << 20, .threads = 1, .engram = placement});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  std::string path() const { return folder_ / original_->first(); }
  std::string part(const std::string& tensor) const { return folder_ / original_->file_of(tensor); }

 private:
  const Original* original_;
  fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("engram_engine_{}", ::getpid());
};

std::vector<TokenId> random_tokens(size_t count) {
  core::Rng rng(3);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(rng.next_below(250));
  return tokens;
}

Result<void> evaluate(Engine& engine, Session& session) {
  Session* const sessions[] = {&session};
  while (session.pending() > 0) {
    if (auto step = engine.step(sessions); !step) return core::pass(step);
  }
  return {};
}

std::vector<float> copied(std::span<const float> values) { return {values.begin(), values.end()}; }

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return !a.empty() && a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Every row of logits: prefill in chunks of 512 and what is left, several short appends, decode.
std::vector<float> all_logits(Engine& engine) {
  const auto tokens = random_tokens(1400);
  auto session = engine.new_session();
  std::vector<float> out;
  const auto keep = [&](std::span<const float> row) { out.insert(out.end(), row.begin(), row.end()); };
  size_t first = 0;
  for (const size_t count : {1100, 1, 7, 130}) {
    EXPECT_TRUE(engine.logits_of(*session, std::span(tokens).subspan(first, count), false, keep));
    first += count;
  }
  EXPECT_TRUE(engine.logits_of(*session, std::span(tokens).subspan(first, 60), true, keep));
  EXPECT_TRUE(session->append(std::span(tokens).subspan(first + 60)));
  EXPECT_TRUE(evaluate(engine, *session));
  keep(session->logits());
  return out;
}

TEST(EngramPlacement, GivesTheSameBits) {
  const EngramModel model;
  const auto memory = model.open(EngramPlacement::kMemory), disk = model.open(EngramPlacement::kDisk);
  EXPECT_TRUE(same_bits(all_logits(*memory), all_logits(*disk)));
  auto described = inspect(model.path());
  ASSERT_TRUE(described);
  const EngramSummary& engram = described->model.engram;
  EXPECT_EQ(engram.layers, (std::vector<int>{0, 2}));
  EXPECT_EQ(engram.type, "Q8_0");
  EXPECT_EQ(engram.bytes, engram.rows * 34);
  const uint64_t saved = memory->info().weight_bytes - disk->info().weight_bytes;
  EXPECT_GE(saved, engram.bytes);
  EXPECT_LT(saved, engram.bytes + 2 * 4096) << "aligned";
  uint64_t bytes_all = 0;
  for (const TensorEntry& tensor : described->tensors) bytes_all += tensor.bytes;
  EXPECT_DOUBLE_EQ(engram.share * static_cast<double>(bytes_all), static_cast<double>(engram.bytes));
}

TEST(EngramPlacement, TwoSessionsInOneStep) {
  const EngramModel model;
  const auto tokens = random_tokens(300);
  std::vector<float> logits[2];
  for (const EngramPlacement placement : {EngramPlacement::kMemory, EngramPlacement::kDisk}) {
    const auto engine = model.open(placement);
    auto one = engine->new_session(), two = engine->new_session();
    ASSERT_TRUE(one->append(tokens));
    ASSERT_TRUE(two->append(std::span(tokens).subspan(150)));
    Session* const sessions[] = {one.get(), two.get()};
    while (one->pending() + two->pending() > 0) ASSERT_TRUE(engine->step(sessions));
    auto& out = logits[placement == EngramPlacement::kDisk];
    out = copied(one->logits());
    out.insert(out.end(), two->logits().begin(), two->logits().end());
  }
  EXPECT_TRUE(same_bits(logits[0], logits[1]));
}

struct Cut {
  const char* tensor;
  size_t tokens;  // of the step
};
class CutFile : public testing::TestWithParam<Cut> {};

// A tensor that is read as it is needed loses its second half under an open engine: the step fails with one
// line that names the file, what was evaluated before stands, and when the file is whole again the same step
// succeeds.
TEST_P(CutFile, CostsOneStep) {
  const EngramModel model;
  const std::string path = model.part(GetParam().tensor);
  const auto tokens = random_tokens(1400);
  const auto more = std::span(tokens).subspan(700, GetParam().tokens);
  const auto whole = model.open(EngramPlacement::kMemory), engine = model.open(EngramPlacement::kDisk);
  auto expected = whole->new_session(), session = engine->new_session();
  for (auto [e, s] : {std::pair(whole.get(), expected.get()), std::pair(engine.get(), session.get())}) {
    ASSERT_TRUE(s->append(std::span(tokens).first(700)));
    ASSERT_TRUE(evaluate(*e, *s));
  }
  const std::vector<float> before = copied(session->logits());
  const uint64_t kv_before = engine->kv_bytes_used();

  const uint64_t size = fs::file_size(path);
  std::string kept(size, 0);
  std::ifstream(path, std::ios::binary).read(kept.data(), static_cast<std::streamsize>(size));
  fs::resize_file(path, size / 2);
  ASSERT_TRUE(session->append(more));
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto failed = evaluate(*engine, *session);
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().message.find(path), std::string::npos) << failed.error().message;
    EXPECT_EQ(failed.error().message.find('\n'), std::string::npos);
    EXPECT_EQ(session->pending(), more.size());
    EXPECT_LE(engine->kv_bytes_used(), kv_before);
  }
  session->truncate(700);
  EXPECT_TRUE(same_bits(copied(session->logits()), before)) << "as before the tokens that failed";
  EXPECT_FALSE(engine->logits_of(*session, more, true, [](std::span<const float>) {}));
  EXPECT_EQ(session->tokens().size(), 700u);

  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .write(kept.data(), static_cast<std::streamsize>(size));
  for (auto [e, s] : {std::pair(whole.get(), expected.get()), std::pair(engine.get(), session.get())}) {
    ASSERT_TRUE(s->append(more));
    auto evaluated = evaluate(*e, *s);
    ASSERT_TRUE(evaluated) << evaluated.error().message;
  }
  EXPECT_TRUE(same_bits(copied(session->logits()), copied(expected->logits())));
}

// One decoded token (rows of all tables begun at once, by the caller) and a chunk (in turns, by a thread).
INSTANTIATE_TEST_SUITE_P(OfOneTokenAndAChunk, CutFile,
                         testing::Values(Cut{"blk.0.engram.table", 1}, Cut{"blk.0.engram.table", 400},
                                         Cut{"blk.2.engram.table", 1}, Cut{"blk.2.engram.table", 400},
                                         Cut{"token_embd.weight", 30}, Cut{"token_embd.weight", 400}));

TEST(EngramPlacement, GenerationFailsWithOneLineAndGoesOn) {
  const EngramModel model;
  const auto engine = model.open(EngramPlacement::kDisk);
  auto session = engine->new_session();
  ASSERT_TRUE(session->append(random_tokens(50)));
  const std::string table = model.part("blk.2.engram.table");
  const uint64_t size = fs::file_size(table);
  fs::resize_file(table, 100);
  auto failed = generate(*engine, *session, {.tokens_max = 8, .ignore_end = true}, {});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find(table), std::string::npos) << failed.error().message;
  EXPECT_EQ(session->tokens().size(), 50u);
  fs::resize_file(table, size);  // zeros now: rows all the same
  EXPECT_TRUE(generate(*engine, *session, {.tokens_max = 8, .ignore_end = true}, {}));
  // Opening a model whose table is short is an error too.
  fs::resize_file(table, size - 1);
  EXPECT_FALSE(Engine::open({.model_path = model.path(), .engram = EngramPlacement::kDisk}));
}

}  // namespace
}  // namespace mneme

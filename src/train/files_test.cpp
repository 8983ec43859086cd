// What a resumed run goes on with (CSV files, checkpoints), plots, and rows of tokens.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/size_limit_for_test.h"
#include "corpus/vocabulary.h"
#include "tasks/text.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/csv.h"

namespace mneme::train {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() : folder_(fs::temp_directory_path() / ("mneme_files_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Files() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Files, CsvKeepsWhatTheCheckpointKnows) {
  const std::string path = folder_ / "log.csv";
  CsvFile first(path, "step,loss", 0);
  for (int i = 1; i <= 5; ++i) first.row({double(i), 0.5 * i});
  ASSERT_TRUE(first.flush());
  CsvFile second(path, "step,loss", 3);
  second.row({4, 9});
  ASSERT_TRUE(second.flush());
  const auto table = read_csv(path);
  ASSERT_TRUE(table);
  EXPECT_EQ(*table->find("step"), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(*table->find("loss"), (std::vector<double>{0.5, 1, 1.5, 9}));
  EXPECT_EQ(table->find("other"), nullptr);
  EXPECT_FALSE(read_csv(folder_ / "none.csv"));
}

TEST_F(Files, AFullDiskLeavesTheOldCheckpoint) {
  const std::string path = folder_ / "checkpoint.pt";
  ModelOptions options;
  options.vocab_size = 320, options.dim = 32, options.layers = 2, options.heads = 2, options.kv_heads = 1;
  options.head_dim = 16, options.ffn_dim = 64, options.global_layers = {1};
  Network network(options, 1);
  Optimizer optimizer(network.parameters(), {});
  ASSERT_TRUE(save_checkpoint(path, network, optimizer, {7, 77, 0.5, 1.5}));
  const uintmax_t size = fs::file_size(path);
  for (const uintmax_t room : {uintmax_t{0}, uintmax_t{1}, size / 2, size - 1}) {
    const core::SizeLimit limit(room);
    const auto saved = save_checkpoint(path, network, optimizer, {8, 88, 1, 2});
    ASSERT_FALSE(saved) << room;
    EXPECT_EQ(saved.error().message, path + ": cannot be written: File too large");
  }
  const auto progress = load_checkpoint(path, network, optimizer);
  ASSERT_TRUE(progress) << progress.error().message;
  EXPECT_EQ(progress->step, 7);
  EXPECT_EQ(progress->tokens, 77);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

// What rows are made of.
struct RowsOf {
  corpus::Vocabulary vocabulary = *corpus::Vocabulary::make({}, 320);
  decltype(vocabulary.tokenizer()) tokenizer = vocabulary.tokenizer();
  tasks::SyntheticText text{3, 1 << 15};

  Batch make(const RowOptions& options, uint64_t seed, uint64_t number, int rows) const {
    return RowMaker(*tokenizer, text, options).make(seed, number, rows);
  }
};

TEST(Rows, DependOnSeedAndNumberAlone) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 777;
  const Batch a = rows.make(options, 1, 5, 4), b = rows.make(options, 1, 5, 2),
              c = rows.make(options, 2, 5, 2);
  EXPECT_TRUE(torch::equal(a.tokens.narrow(0, 0, 2), b.tokens));
  EXPECT_FALSE(torch::equal(b.tokens, c.tokens));
  EXPECT_EQ(a.tokens.size(1), 777);
  // the target is the next token
  EXPECT_TRUE(torch::equal(a.tokens.narrow(1, 1, 776), a.targets.narrow(1, 0, 776)));
  EXPECT_GT((a.weights == 1).sum().item<int64_t>(), 0);
  EXPECT_LT(a.tokens.max().item<int64_t>(), 320);
}

// What is recited is learned, and its answers are; what lost its thought and what the prompt says are not.
TEST(Rows, TellWhatLeadsToAnAnswer) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 2048, options.task_share = 1, options.context_weight = 0;
  options.mixture = {{tasks::TaskKind::kPasskey, 1.0}};
  const model::TokenId think = *rows.vocabulary.special("<think>"),
                       end = *rows.vocabulary.special("</think>");
  const auto count = [&](const Batch& batch, model::TokenId token, bool learned) {
    return ((batch.targets == token) & (batch.weights > 0).eq(learned)).sum().item<int64_t>();
  };
  const Batch batch = rows.make(options, 1, 0, 40);
  EXPECT_GT(count(batch, think, true), 80);
  EXPECT_EQ(count(batch, think, true), count(batch, end, true));
  EXPECT_GT(count(batch, think, false), 0);
  EXPECT_EQ(count(batch, think, false), count(batch, end, false));
  EXPECT_GT(count(batch, *rows.vocabulary.special("<|im_end|>"), true), count(batch, end, true));
  options.recitals = false;
  const Batch plain = rows.make(options, 1, 0, 8);
  EXPECT_EQ((plain.targets == think).sum().item<int64_t>(), 0);
  EXPECT_GT(count(plain, *rows.vocabulary.special("<|im_end|>"), true), 10);
}

// A question that has no text is told so, one about a sentence or two, or nothing but a record, is answered.
TEST(Rows, TellThatThereIsNoText) {
  const RowsOf rows;
  RowOptions options;
  options.tokens = 2048, options.task_share = 1, options.chinese_share = 0;
  options.mixture = {{tasks::TaskKind::kPasskey, 1.0}};
  const auto texts = [&] {
    std::string all;
    const Batch batch = rows.make(options, 1, 0, 40);
    for (int64_t i = 0; i < batch.tokens.numel(); ++i)
      all += rows.vocabulary.bytes(static_cast<model::TokenId>(batch.tokens.data_ptr<int64_t>()[i]));
    return all;
  };
  const std::string told = "There is no text to look in.";
  EXPECT_EQ(texts().find(told), std::string::npos);
  options.bare_share = 1;
  const std::string all = texts();
  // A chat of one turn in front of every sample: what is asked, and what is said.
  size_t bare = 0, answered = 0, alone = 0;
  for (size_t at = 0; (at = all.find("<|im_start|>user\n", at)) != std::string::npos; ++at) {
    const size_t end = all.find("<|endoftext|>", at);
    const std::string chat = all.substr(at, end - at);
    if (chat.find("<|im_start|>user", 1) != std::string::npos || chat.size() > 700) continue;
    const bool denied = chat.find(told) != std::string::npos;
    (denied ? bare : answered) += 1;
    const std::string asked = chat.substr(17, chat.find("<|im_end|>") - 17);  // behind "<|im_start|>user\n"
    if (!denied && asked.size() < 160 && asked.find("\n\n") == std::string::npos) ++alone;
    EXPECT_TRUE(!denied || chat.size() < 300) << chat;
  }
  EXPECT_GT(bare, 10u);
  EXPECT_GT(answered, 10u);
  EXPECT_GT(alone, 10u) << "a record and a question";
}

}  // namespace
}  // namespace mneme::train

// What a resumed run goes on with (CSV files, checkpoints), and plots.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/size_limit_for_test.h"
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

}  // namespace
}  // namespace mneme::train

#include "train/average.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "corpus/vocabulary.h"
#include "model/gguf.h"
#include "train/import.h"

namespace mneme::train {
namespace {

namespace fs = std::filesystem;

class Average : public testing::Test {
 protected:
  Average() : folder_(fs::temp_directory_path() / ("mneme_average_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Average() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / (name + ".gguf"); }

  Network write(const std::string& name, uint64_t seed, int dim = 32) const {
    const auto vocabulary = *corpus::Vocabulary::make({}, 320);
    ModelOptions options;
    options.vocab_size = 320, options.dim = dim, options.layers = 2, options.heads = 2, options.kv_heads = 1;
    options.head_dim = 16, options.ffn_dim = 64, options.global_layers = {1};
    Network network(options, seed);
    ExportOptions file;
    file.matrix_type = tensor::DType::kF32;
    EXPECT_TRUE(export_gguf(path(name), network, &vocabulary, file));
    return network;
  }
  AverageOptions options(std::vector<std::string> names, std::vector<double> shares = {}) const {
    AverageOptions all{{}, std::move(shares), path("mean"), {}};
    for (const std::string& name : names) all.models.push_back(path(name));
    all.file.matrix_type = tensor::DType::kF32;
    return all;
  }

  fs::path folder_;
};

TEST_F(Average, WeightsAreTheMeanByShares) {
  const Network a = write("a", 1), b = write("b", 2);
  for (const bool even : {true, false}) {
    ASSERT_TRUE(
        average_models(options({"a", "b"}, even ? std::vector<double>() : std::vector<double>{1, 3})));
    const double share = even ? 0.5 : 0.75;
    const auto file = model::Gguf::open(path("mean"));
    ASSERT_TRUE(file);
    Network mean(a.options(), 3);
    ASSERT_TRUE(import_gguf(*file, mean));
    bool differs = false;
    for (size_t p = 0; p < mean.parameters().size(); ++p) {
      const torch::Tensor &x = a.parameters()[p].value, &y = b.parameters()[p].value;
      EXPECT_TRUE(torch::allclose(mean.parameters()[p].value, x * (1 - share) + y * share, 1e-6, 1e-7))
          << mean.parameters()[p].name;
      differs = differs || !torch::equal(x, y);
    }
    EXPECT_TRUE(differs);
  }
}

TEST_F(Average, WhatCannotBeAveragedIsSaid) {
  write("a", 1), write("b", 2), write("wide", 3, 64);
  const auto message = [&](const AverageOptions& of) {
    const auto done = average_models(of);
    EXPECT_FALSE(done);
    EXPECT_FALSE(fs::exists(of.out));
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(message(options({"a"})), "at least two models are averaged");
  EXPECT_EQ(message(options({"a", "b"}, {1})), "1 shares of 2 models");
  EXPECT_EQ(message(options({"a", "b"}, {1, 0})), "shares are greater than 0");
  EXPECT_NE(message(options({"a", "wide"})).find(path("wide")), std::string::npos);
  EXPECT_NE(message(options({"a", "none"})).find(path("none")), std::string::npos);
}

// Files of this process are at most `bytes` long while it lives: what a full disk does to a writer, without
// one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(Average, AFullDiskLeavesTheFileBeforeWhole) {
  write("a", 1), write("b", 2), write("mean", 3);
  const auto bytes_of = [&](const std::string& name) {
    std::ifstream file(path(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string before = bytes_of("mean");
  {
    const FileSizeLimit limit(before.size() / 2);
    const auto done = average_models(options({"a", "b"}));
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find(path("mean")), std::string::npos) << done.error().message;
  }
  EXPECT_EQ(bytes_of("mean"), before);
  const auto files = std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  EXPECT_EQ(files, 3) << "something half written was left";
  ASSERT_TRUE(average_models(options({"a", "b"})));
  EXPECT_NE(bytes_of("mean"), before);
}

}  // namespace
}  // namespace mneme::train

#include "mneme/inspect.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model/gguf_writer.h"

namespace mneme {
namespace {

class Inspect : public testing::Test {
 protected:
  Inspect()
      : path_(std::filesystem::temp_directory_path() / ("mneme_inspect_" + std::to_string(::getpid()))) {}
  ~Inspect() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(Inspect, DescribesEveryKindOfValue) {
  model::GgufWriter writer;
  writer.add("general.architecture", "nonesuch");
  writer.add("n", int32_t{-7});
  writer.add("on", true);
  writer.add("x", 0.5f);
  writer.add("long", std::string(1000, 'a'));
  std::vector<float> numbers(20, 1.5f);
  writer.add_array("numbers", std::span<const float>(numbers));
  const std::vector<std::string> words{"one", "two"};
  writer.add_array("words", std::span<const std::string>(words));
  writer.add_tensor("w", tensor::DType::kQ8_0, {64, 3}, std::vector<std::byte>(6 * 34));
  writer.add_tensor("b", tensor::DType::kF32, {5}, std::vector<std::byte>(20));
  ASSERT_TRUE(writer.write(path_.string()));

  auto file = inspect(path_.string());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->metadata.size(), 7u);
  const auto expect = [&](size_t i, const std::string& key, const std::string& type,
                          const std::string& value) {
    EXPECT_EQ(file->metadata[i].key, key);
    EXPECT_EQ(file->metadata[i].type, type);
    EXPECT_EQ(file->metadata[i].value, value);
  };
  expect(0, "general.architecture", "string", "nonesuch");
  expect(1, "n", "i32", "-7");
  expect(2, "on", "bool", "true");
  expect(3, "x", "f32", "0.5");
  expect(4, "long", "string", std::string(200, 'a') + "... (1000 bytes in all)");
  expect(5, "numbers", "f32[]", "[1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]... (20 in all)");
  expect(6, "words", "string[]", "[\"one\", \"two\"]");
  ASSERT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->tensors[0].dims, (std::vector<uint64_t>{64, 3}));
  EXPECT_EQ(file->parameters, 197u);
  ASSERT_EQ(file->totals.size(), 2u);
  EXPECT_EQ(file->totals[0].type, "Q8_0");
  EXPECT_EQ(file->totals[0].bytes, 204u);
  EXPECT_FALSE(file->unsupported.empty()) << "a file that cannot be run can still be looked into";
}

TEST_F(Inspect, BadFilesAreErrors) {
  EXPECT_FALSE(inspect("/nonexistent"));
  EXPECT_FALSE(inspect("/tmp"));
  std::ofstream(path_) << "GGUF but not really";
  EXPECT_FALSE(inspect(path_.string()));
}

}  // namespace
}  // namespace mneme

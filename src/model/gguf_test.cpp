#include "model/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/clock.h"
#include "model/gguf_parse.h"
#include "model/gguf_writer.h"
#include "tensor/dequantize.h"
#include "tensor/quantize.h"

namespace mneme::model {
namespace {

using tensor::DType;

// A fresh folder for each test, gone afterwards.
class GgufTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("mneme-{}-{}-{}", info->test_suite_name(), info->name(), ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

std::vector<std::byte> floats(std::vector<float> values) { return tensor::quantize(DType::kF32, values); }

template <class T>
T element(const MetaArray& array, size_t index) {
  T value{};
  std::memcpy(&value, array.raw.data() + index * sizeof(T), sizeof(T));
  return value;
}

GgufWriter everything() {
  GgufWriter writer;
  writer.add("general.architecture", "test");
  writer.add("u8", uint8_t{200});
  writer.add("i8", int8_t{-100});
  writer.add("u16", uint16_t{60000});
  writer.add("i16", int16_t{-30000});
  writer.add("u32", uint32_t{4000000000});
  writer.add("i32", int32_t{-2000000000});
  writer.add("u64", uint64_t{1} << 63);
  writer.add("i64", int64_t{-1} << 62);
  writer.add("f32", 0.5f);
  writer.add("f64", 1e300);
  writer.add("yes", true);
  writer.add("no", false);
  writer.add("empty", "");
  writer.add("zeros", std::string_view("a\0b", 3));
  const std::vector<std::string> strings = {"one", "", "drei", "\xE5\x9B\x9B"};
  writer.add_array("strings", std::span<const std::string>(strings));
  const std::vector<int32_t> numbers = {1, -2, 3};
  writer.add_array("numbers", std::span<const int32_t>(numbers));
  writer.add_array("nothing", std::span<const float>());
  writer.add_array("no.strings", std::span<const std::string>());
  writer.add_tensor("a", DType::kF32, {3, 2}, floats({1, 2, 3, 4, 5, 6}));
  writer.add_tensor("b", DType::kQ8_0, {32}, tensor::quantize(DType::kQ8_0, std::vector<float>(32, 127.0f)));
  writer.add_tensor("c", DType::kF16, {1, 2, 3, 4},
                    tensor::quantize(DType::kF16, std::vector<float>(24, -1.0f)));
  return writer;
}

void expect_everything(const Gguf& file) {
  EXPECT_EQ(*file.require_string("general.architecture"), "test");
  EXPECT_EQ(*file.require_uint("u8"), 200u);
  EXPECT_EQ(std::get<int64_t>(file.find("i8")->value), -100);
  EXPECT_EQ(*file.require_uint("u16"), 60000u);
  EXPECT_EQ(std::get<int64_t>(file.find("i16")->value), -30000);
  EXPECT_EQ(*file.require_uint("u32"), 4000000000u);
  EXPECT_EQ(std::get<int64_t>(file.find("i32")->value), -2000000000);
  EXPECT_EQ(*file.require_uint("u64"), uint64_t{1} << 63);
  EXPECT_EQ(std::get<int64_t>(file.find("i64")->value), int64_t{-1} << 62);
  EXPECT_EQ(**file.get_float("f32"), 0.5);
  EXPECT_EQ(**file.get_float("f64"), 1e300);
  EXPECT_EQ(**file.get_float("i8"), -100.0);
  EXPECT_EQ(**file.get_bool("yes"), true);
  EXPECT_EQ(**file.get_bool("no"), false);
  EXPECT_EQ(*file.require_string("empty"), "");
  EXPECT_EQ(*file.require_string("zeros"), std::string_view("a\0b", 3));
  EXPECT_EQ((*file.require_array("strings", MetaType::kString))->strings,
            (std::vector<std::string_view>{"one", "", "drei", "\xE5\x9B\x9B"}));
  const MetaArray& numbers = **file.require_array("numbers", MetaType::kI32);
  ASSERT_EQ(numbers.count, 3u);
  EXPECT_EQ(element<int32_t>(numbers, 1), -2);
  EXPECT_EQ((*file.require_array("nothing", MetaType::kF32))->count, 0u);
  EXPECT_EQ((*file.require_array("no.strings", MetaType::kString))->count, 0u);
  ASSERT_EQ(file.tensors().size(), 3u);
  const TensorInfo& a = *file.find_tensor("a");
  EXPECT_EQ(a.columns(), 3u);
  EXPECT_EQ(a.rows(), 2u);
  std::vector<float> values(6);
  tensor::dequantize(a.type, a.bytes, values);
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file.find_tensor("c")->rows(), 24u);
  values.resize(32);
  tensor::dequantize(DType::kQ8_0, file.find_tensor("b")->bytes, values);
  EXPECT_EQ(values[31], 127.0f);
}

TEST_F(GgufTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(everything().write(path("m.gguf")));
  auto file = Gguf::open(path("m.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  const Gguf moved = std::move(*file);
  expect_everything(moved);
  EXPECT_EQ(moved.metadata().size(), 19u);
  EXPECT_EQ(moved.metadata()[1].first, "u8");
  EXPECT_EQ(moved.bytes_total(), std::filesystem::file_size(path("m.gguf")));
  for (const TensorInfo& tensor : moved.tensors()) {
    EXPECT_EQ(tensor.file_offset % 32, 0u);
    EXPECT_EQ(tensor.bytes.data(), moved.files()[0].bytes().data() + tensor.file_offset);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);  // no temporary file left
}

TEST_F(GgufTest, AlignmentOfTheFile) {
  for (const uint32_t alignment : {8u, 64u, 4096u}) {
    GgufWriter writer = everything();
    writer.set_alignment(alignment);
    ASSERT_TRUE(writer.write(path("m.gguf")));
    auto file = Gguf::open(path("m.gguf"));
    ASSERT_TRUE(file) << file.error().message;
    expect_everything(*file);
    for (const TensorInfo& tensor : file->tensors()) EXPECT_EQ(tensor.file_offset % alignment, 0u);
  }
}

TEST_F(GgufTest, ToBytesIsTheFile) {
  const GgufWriter writer = everything();
  ASSERT_TRUE(writer.write(path("m.gguf")));
  auto mapping = core::Mapping::open(path("m.gguf"));
  ASSERT_TRUE(mapping);
  const std::vector<std::byte> bytes = writer.to_bytes();
  EXPECT_TRUE(std::ranges::equal(mapping->bytes(), bytes));
}

TEST_F(GgufTest, GettersNameFileKeyAndTypes) {
  ASSERT_TRUE(everything().write(path("m.gguf")));
  auto opened = Gguf::open(path("m.gguf"));
  ASSERT_TRUE(opened);
  const Gguf& file = *opened;
  EXPECT_EQ(*file.get_uint("absent"), std::nullopt);
  EXPECT_EQ(*file.get_float("absent"), std::nullopt);
  EXPECT_EQ(*file.get_bool("absent"), std::nullopt);
  EXPECT_EQ(*file.get_string("absent"), std::nullopt);
  EXPECT_EQ(*file.get_array("absent", MetaType::kU8), nullptr);
  const std::string name = path("m.gguf");
  EXPECT_EQ(file.require_uint("absent").error().message, name + ": 'absent' is missing");
  EXPECT_EQ(file.require_string("absent").error().message, name + ": 'absent' is missing");
  EXPECT_EQ(file.require_array("absent", MetaType::kU8).error().message, name + ": 'absent' is missing");
  EXPECT_EQ(file.get_uint("i8").error().message, name + ": 'i8' is -100; it must not be negative");
  EXPECT_EQ(file.get_uint("f32").error().message, name + ": 'f32' has type f32; an integer is needed");
  EXPECT_EQ(file.get_uint("yes").error().message, name + ": 'yes' has type bool; an integer is needed");
  EXPECT_EQ(file.get_float("empty").error().message, name + ": 'empty' has type string; a number is needed");
  EXPECT_EQ(file.get_bool("u8").error().message, name + ": 'u8' has type u8; a bool is needed");
  EXPECT_EQ(file.get_string("numbers").error().message,
            name + ": 'numbers' has type array; a string is needed");
  EXPECT_EQ(file.get_array("numbers", MetaType::kF32).error().message,
            name + ": 'numbers' is an array of i32; one of f32 is needed");
  EXPECT_EQ(file.get_array("u8", MetaType::kF32).error().message,
            name + ": 'u8' has type u8; an array of f32 is needed");
}

TEST_F(GgufTest, RequireTensorComparesShapes) {
  ASSERT_TRUE(everything().write(path("m.gguf")));
  auto file = Gguf::open(path("m.gguf"));
  ASSERT_TRUE(file);
  const uint64_t dims[] = {3, 2, 1};
  EXPECT_EQ(*file->require_tensor("a", dims), file->find_tensor("a"));
  EXPECT_EQ(*file->require_tensor("a", std::span(dims).first(2)), file->find_tensor("a"));
  EXPECT_EQ(file->require_tensor("a", std::span(dims).first(1)).error().message,
            path("m.gguf") + ": tensor 'a' has shape [3, 2]; [3] is needed");
  EXPECT_EQ(file->require_tensor("z", dims).error().message,
            path("m.gguf") + ": tensor 'z' [3, 2, 1] is missing");
}

TEST_F(GgufTest, AVocabularyOpensInMilliseconds) {
  std::vector<std::string> tokens(150'000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = fmt::format("token{}", i);
  GgufWriter writer;
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  ASSERT_TRUE(writer.write(path("v.gguf")));
  const double start = core::now_s();
  auto file = Gguf::open(path("v.gguf"));
  RecordProperty("milliseconds", std::to_string((core::now_s() - start) * 1e3));
  ASSERT_TRUE(file);
  EXPECT_EQ((*file->require_array("tokenizer.ggml.tokens", MetaType::kString))->strings[149'999],
            "token149999");
}

TEST_F(GgufTest, FailedWritesLeaveTheOldFile) {
  ASSERT_TRUE(everything().write(path("m.gguf")));
  auto missing = everything().write(path("no/such/folder/m.gguf"));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("no/such/folder/m.gguf"), std::string::npos);
  std::filesystem::create_directories(path("d.gguf/x"));  // a folder stands where the file should go
  ASSERT_FALSE(everything().write(path("d.gguf")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 2);
  EXPECT_TRUE(Gguf::open(path("m.gguf")));
}

// --- Split models
// ---------------------------------------------------------------------------------------------

TEST_F(GgufTest, SplitModelsAreJoined) {
  auto parts = everything().write_split(path("m"), 1);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(*parts, (std::vector<std::string>{path("m-00001-of-00003.gguf"), path("m-00002-of-00003.gguf"),
                                              path("m-00003-of-00003.gguf")}));
  auto file = Gguf::open(parts->front());
  ASSERT_TRUE(file) << file.error().message;
  const Gguf moved = std::move(*file);
  expect_everything(moved);
  EXPECT_EQ(moved.files().size(), 3u);
  EXPECT_EQ(moved.find_tensor("c")->file, 2);
  EXPECT_EQ(moved.bytes_total(), std::filesystem::file_size((*parts)[0]) +
                                     std::filesystem::file_size((*parts)[1]) +
                                     std::filesystem::file_size((*parts)[2]));
}

TEST_F(GgufTest, SplitOfOnePartIsAWholeModelUnderAnyName) {
  auto parts = everything().write_split(path("m"), 10);
  ASSERT_TRUE(parts);
  std::filesystem::rename(parts->front(), path("renamed.gguf"));
  auto file = Gguf::open(path("renamed.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  expect_everything(*file);
}

TEST_F(GgufTest, ALaterPartNamesTheFirst) {
  auto parts = everything().write_split(path("m"), 1);
  ASSERT_TRUE(parts);
  auto file = Gguf::open((*parts)[1]);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            (*parts)[1] + ": part 2 of 3 of a split model; open its first part, " + (*parts)[0]);
}

TEST_F(GgufTest, AMissingPartIsNamed) {
  auto parts = everything().write_split(path("m"), 1);
  ASSERT_TRUE(parts);
  std::filesystem::remove((*parts)[2]);
  auto file = Gguf::open(parts->front());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            "part 3 of 3 of a split model: " + (*parts)[2] + ": No such file or directory");
}

TEST_F(GgufTest, APartOfAnotherModelIsRefused) {
  auto parts = everything().write_split(path("m"), 1);
  ASSERT_TRUE(parts);
  GgufWriter other;
  other.add_tensor("x", DType::kF32, {1}, floats({1}));
  other.add_tensor("y", DType::kF32, {1}, floats({1}));
  auto others = other.write_split(path("other"), 1);
  ASSERT_TRUE(others);
  std::filesystem::copy_file((*others)[1], (*parts)[1], std::filesystem::copy_options::overwrite_existing);
  auto file = Gguf::open(parts->front());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, (*parts)[1] +
                                      ": belongs elsewhere: it says part 2 of 2 with 2 tensors in all, but "
                                      "part 2 of 3 with 3 is needed");
  std::filesystem::copy_file((*parts)[2], (*parts)[1], std::filesystem::copy_options::overwrite_existing);
  file = Gguf::open(parts->front());
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find((*parts)[1] + ": belongs elsewhere"), std::string::npos);
}

TEST_F(GgufTest, ARenamedFirstPartSaysWhatItsNameShouldBe) {
  auto parts = everything().write_split(path("m"), 2);
  ASSERT_TRUE(parts);
  std::filesystem::rename(parts->front(), path("first.gguf"));
  auto file = Gguf::open(path("first.gguf"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("-00001-of-00002.gguf"), std::string::npos);
}

// Parts written one by one, with what the writer would never write.
GgufWriter part(uint16_t number, int32_t tensors, std::string_view tensor) {
  GgufWriter writer;
  writer.add("split.no", number);
  writer.add("split.count", uint16_t{2});
  writer.add("split.tensors.count", tensors);
  writer.add_tensor(tensor, DType::kF32, {1}, floats({1}));
  return writer;
}

TEST_F(GgufTest, PartsThatDoNotAddUpAreRefused) {
  ASSERT_TRUE(part(0, 5, "x").write(path("m-00001-of-00002.gguf")));
  ASSERT_TRUE(part(1, 5, "y").write(path("m-00002-of-00002.gguf")));
  auto file = Gguf::open(path("m-00001-of-00002.gguf"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("split.tensors.count is 5, but its 2 parts have 2"), std::string::npos);

  ASSERT_TRUE(part(0, 2, "x").write(path("m-00001-of-00002.gguf")));
  ASSERT_TRUE(part(1, 2, "x").write(path("m-00002-of-00002.gguf")));
  file = Gguf::open(path("m-00001-of-00002.gguf"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, path("m-00002-of-00002.gguf") + ": tensor 'x' is also in an earlier part");

  ASSERT_TRUE(part(7, 2, "x").write(path("m-00001-of-00002.gguf")));
  file = Gguf::open(path("m-00001-of-00002.gguf"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("split.no is 7, but split.count is 2"), std::string::npos);
}

}  // namespace
}  // namespace mneme::model

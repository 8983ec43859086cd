// Files that are wrong in one way each: the message must name the file and the key or tensor, and nothing may
// be allocated or read on the word of the file alone.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf_parse.h"
#include "model/gguf_writer.h"

namespace mneme::model {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// A file written field by field, so that every field can lie.
class Raw {
 public:
  template <class T>
  Raw& put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  Raw& text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Raw& string(std::string_view value) { return put(uint64_t{value.size()}).text(value); }
  Raw& header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    return text("GGUF").put(version).put(tensors).put(entries);
  }
  Raw& entry(std::string_view key, uint32_t type) { return string(key).put(type); }
  Raw& entry_u32(std::string_view key, uint32_t value) { return entry(key, 4).put(value); }
  Raw& tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type = 0, uint64_t offset = 0) {
    string(name).put(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  Raw& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Raw& cut(size_t count) {
    bytes_.resize(bytes_.size() - count);
    return *this;
  }

  // The message; "accepted" where there is none.
  std::string error() const {
    // An exact allocation, so that the address sanitizer sees one byte too many.
    const std::vector<std::byte> exact(bytes_.begin(), bytes_.end());
    auto part = parse_gguf(exact, "bad.gguf", 0);
    if (part) return "accepted";
    EXPECT_EQ(part.error().message.find('\n'), std::string::npos);
    return part.error().message;
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(GgufHostile, Header) {
  EXPECT_EQ(Raw().text("GGML").zeros(100).error(),
            "bad.gguf: not a GGUF file (it does not begin with \"GGUF\")");
  EXPECT_EQ(Raw().error(), "bad.gguf: not a GGUF file (it does not begin with \"GGUF\")");
  EXPECT_EQ(Raw().text("GGUF").error(), "bad.gguf: truncated in the header");
  EXPECT_EQ(Raw().header(0, 0).cut(1).error(), "bad.gguf: truncated in the header");
  EXPECT_EQ(Raw().header(0, 0, 4).error(), "bad.gguf: GGUF version 4; versions 2 and 3 are supported");
  EXPECT_EQ(Raw().header(0, 0, 1).error(), "bad.gguf: GGUF version 1; versions 2 and 3 are supported");
  EXPECT_EQ(Raw().header(0, 0, 0).error(), "bad.gguf: GGUF version 0; versions 2 and 3 are supported");
  EXPECT_EQ(Raw().header(0, 0, 0x03000000).error(),
            "bad.gguf: a big-endian GGUF file; only little-endian files are supported");
  EXPECT_EQ(Raw().header(0, 0, 2).error(), "accepted");
  EXPECT_EQ(Raw().header(0, 0).error(), "accepted");
}

TEST(GgufHostile, CountsBeyondTheFile) {
  EXPECT_EQ(Raw().header(0, kHuge).zeros(1000).error(),
            "bad.gguf: claims 18446744073709551615 metadata entries, more than its 1024 bytes can hold");
  EXPECT_EQ(Raw().header(0, 1000).zeros(1000).error(),
            "bad.gguf: claims 1000 metadata entries, more than its 1024 bytes can hold");
  EXPECT_EQ(Raw().header(kHuge, 0).zeros(1000).error(),
            "bad.gguf: claims 18446744073709551615 tensors, more than its 1024 bytes can hold");
  // Fewer than the bytes could hold, yet more than there are.
  EXPECT_EQ(Raw().header(0, 2).entry_u32("a", 1).text("0123456789ab").error(),
            "bad.gguf: truncated, or a bad length, in the key of metadata entry 1 of 2");
}

TEST(GgufHostile, KeysAndStrings) {
  EXPECT_EQ(Raw().header(0, 1).put(kHuge).zeros(100).error(),
            "bad.gguf: truncated, or a bad length, in the key of metadata entry 0 of 1");
  EXPECT_EQ(Raw().header(0, 1).put(uint64_t{101}).zeros(100).error(),
            "bad.gguf: truncated, or a bad length, in the key of metadata entry 0 of 1");
  EXPECT_EQ(Raw().header(0, 1).entry_u32("", 1).zeros(8).error(),
            "bad.gguf: metadata entry 0 has a key of 0 bytes; 1 to 65535 are allowed");
  EXPECT_EQ(Raw().header(0, 1).entry_u32(std::string(65536, 'k'), 1).error(),
            "bad.gguf: metadata entry 0 has a key of 65536 bytes; 1 to 65535 are allowed");
  EXPECT_EQ(Raw().header(0, 2).entry_u32("twice", 1).entry_u32("twice", 1).error(),
            "bad.gguf: metadata key 'twice' occurs twice");
  EXPECT_EQ(Raw().header(0, 1).entry("name", 8).put(uint64_t{5}).text("four").error(),
            "bad.gguf: the string value of 'name' goes past the end of the file");
  EXPECT_EQ(Raw().header(0, 1).entry("name", 8).put(kHuge).text("four").error(),
            "bad.gguf: the string value of 'name' goes past the end of the file");
  EXPECT_EQ(Raw().header(0, 1).entry("number", 10).put(uint32_t{0}).error(),
            "bad.gguf: truncated in the value of 'number'");
  EXPECT_EQ(Raw().header(0, 1).entry("new\nline\x80", 99).zeros(8).error(),
            "bad.gguf: 'new?line?' has the unknown value type 99");
  EXPECT_EQ(Raw().header(0, 1).entry(std::string(100, 'k'), 13).zeros(8).error(),
            "bad.gguf: '" + std::string(80, 'k') + "...' has the unknown value type 13");
}

TEST(GgufHostile, Arrays) {
  EXPECT_EQ(Raw().header(0, 1).entry("list", 9).put(uint32_t{9}).put(uint64_t{0}).error(),
            "bad.gguf: 'list' is an array of arrays, which is not supported");
  EXPECT_EQ(Raw().header(0, 1).entry("list", 9).put(uint32_t{77}).put(uint64_t{0}).error(),
            "bad.gguf: the array 'list' has the unknown element type 77");
  EXPECT_EQ(Raw().header(0, 1).entry("list", 9).put(uint32_t{6}).put(uint64_t{3}).zeros(11).error(),
            "bad.gguf: the array 'list' claims 3 elements, more than the 11 bytes left can hold");
  EXPECT_EQ(
      Raw().header(0, 1).entry("list", 9).put(uint32_t{12}).put(kHuge / 8 + 2).zeros(16).error(),
      "bad.gguf: the array 'list' claims 2305843009213693953 elements, more than the 16 bytes left can hold");
  EXPECT_EQ(Raw().header(0, 1).entry("list", 9).put(uint32_t{8}).put(kHuge).zeros(16).error(),
            "bad.gguf: the array 'list' claims 18446744073709551615 elements, more than the 16 bytes left "
            "can hold");
  EXPECT_EQ(Raw()
                .header(0, 1)
                .entry("list", 9)
                .put(uint32_t{8})
                .put(uint64_t{2})
                .string("ok")
                .put(uint64_t{9})
                .error(),
            "bad.gguf: string 1 of the array 'list' goes past the end of the file");
  EXPECT_EQ(Raw().header(0, 1).entry("list", 9).put(uint32_t{8}).error(),
            "bad.gguf: truncated in the array 'list'");
}

TEST(GgufHostile, TensorShapes) {
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {}).zeros(64).error(),
            "bad.gguf: tensor 't' has 0 dimensions; 1 to 4 are allowed");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {1, 1, 1, 1, 1}).zeros(64).error(),
            "bad.gguf: tensor 't' has 5 dimensions; 1 to 4 are allowed");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {4, 0}).zeros(64).error(),
            "bad.gguf: tensor 't' has a dimension of 0");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}).zeros(64).error(),
            "bad.gguf: tensor 't': the product of its dimensions overflows");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {uint64_t{1} << 62}).zeros(64).error(),
            "bad.gguf: tensor 't': its size overflows");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {48}, 8).zeros(64).error(),
            "bad.gguf: tensor 't': 48 columns are not a whole number of Q8_0 blocks of 32");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {4}, 4).zeros(64).error(),
            "bad.gguf: tensor 't' has the unknown or unsupported type 4");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {4}, 0xFFFFFFFF).zeros(64).error(),
            "bad.gguf: tensor 't' has the unknown or unsupported type 4294967295");
}

TEST(GgufHostile, TensorNames) {
  EXPECT_EQ(Raw().header(2, 0).tensor("t", {1}).tensor("t", {1}, 0, 32).zeros(128).error(),
            "bad.gguf: tensor 't' occurs twice");
  EXPECT_EQ(Raw().header(1, 0).tensor("", {1}).zeros(64).error(),
            "bad.gguf: tensor 0 has a name of 0 bytes; 1 to 65535 are allowed");
  EXPECT_EQ(Raw().header(1, 0).put(kHuge).zeros(64).error(),
            "bad.gguf: truncated, or a bad length, in the name of tensor 0 of 1");
  EXPECT_EQ(Raw().header(1, 0).tensor("wide", {1, 2, 3, 4}).cut(9).error(),
            "bad.gguf: truncated in tensor 'wide'");
}

TEST(GgufHostile, TensorPlaces) {
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {4}, 0, 4).zeros(128).error(),
            "bad.gguf: tensor 't': offset 4 is not a multiple of the alignment 32");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {64}).zeros(200).error(),
            "bad.gguf: tensor 't' (256 bytes at offset 0 of the data) goes past the end of the file; is it "
            "truncated?");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {1}, 0, kHuge - 31).zeros(200).error(),
            "bad.gguf: tensor 't' (4 bytes at offset 18446744073709551584 of the data) goes past the end of "
            "the file; "
            "is it truncated?");
  // The data would begin past the end: 57 bytes of description, padded to 64.
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {1}).error(),
            "bad.gguf: tensor 't' (4 bytes at offset 0 of the data) goes past the end of the file; is it "
            "truncated?");
  EXPECT_EQ(Raw().header(1, 0).tensor("t", {1}).zeros(7 + 4).error(), "accepted");
}

TEST(GgufHostile, Alignment) {
  for (const uint32_t bad : {0u, 1u, 4u, 24u, 33u, 1u << 21, 0xFFFFFFFFu}) {
    EXPECT_EQ(
        Raw().header(0, 1).entry_u32("general.alignment", bad).error(),
        fmt::format("bad.gguf: general.alignment is {}; a power of two from 8 to 1048576 is needed", bad));
  }
  EXPECT_EQ(Raw().header(0, 1).entry("general.alignment", 8).string("x").error(),
            "bad.gguf: 'general.alignment' has type string; an integer is needed");
  EXPECT_EQ(Raw().header(0, 1).entry_u32("general.alignment", 8).error(), "accepted");
}

// Every shorter version of a good file is refused or, where only padding is gone, read the same.
TEST(GgufHostile, EveryTruncation) {
  GgufWriter writer;
  writer.add("text", "hello");
  const std::vector<std::string> words = {"a", "bc"};
  writer.add_array("words", std::span<const std::string>(words));
  writer.add_tensor("t", tensor::DType::kF32, {2, 2}, std::vector<std::byte>(16));
  const std::vector<std::byte> whole = writer.to_bytes();
  ASSERT_EQ(whole.size() % 32, 0u);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    auto part = parse_gguf(cut, "cut.gguf", 0);
    ASSERT_EQ(part.has_value(), size >= whole.size() - 16) << size;
    if (!part) {
      ASSERT_TRUE(part.error().message.starts_with("cut.gguf: ")) << part.error().message;
    }
  }
}

}  // namespace
}  // namespace mneme::model

// Weights that another program quantised, against the same weights in bf16: an error of the wrong size means
// a layout read wrongly.
#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <vector>

#include "model/gguf.h"
#include "tensor/dequantize.h"

namespace mneme::model {
namespace {

std::string golden(const std::string& name) { return MNEME_SOURCE_DIR "/tests/data/golden/" + name; }

std::vector<float> values_of(const TensorInfo& tensor) {
  std::vector<float> out(tensor.rows() * tensor.columns());
  tensor::dequantize(tensor.type, tensor.bytes, out);
  return out;
}

double relative_rms(std::span<const float> got, std::span<const float> wanted) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(double{got[i]} - double{wanted[i]}, 2);
    norm += std::pow(double{wanted[i]}, 2);
  }
  return std::sqrt(error / norm);
}

struct Expected {
  const char* file;
  tensor::DType type;
  double low, high;
};

void PrintTo(const Expected& expected, std::ostream* out) { *out << expected.file; }

class GgufGolden : public testing::TestWithParam<Expected> {};
INSTANTIATE_TEST_SUITE_P(Files, GgufGolden,
                         testing::Values(Expected{"llama-Q8_0.gguf", tensor::DType::kQ8_0, 0.004, 0.006},
                                         Expected{"llama-Q4_0.gguf", tensor::DType::kQ4_0, 0.07, 0.10},
                                         Expected{"llama-Q4_K_M.gguf", tensor::DType::kQ4_K, 0.05, 0.08},
                                         Expected{"llama-Q6_K.gguf", tensor::DType::kQ6_K, 0.012, 0.022}));

TEST_P(GgufGolden, WeightsAreNearTheirOriginals) {
  const Expected& expected = GetParam();
  auto original = Gguf::open(golden("llama-bf16.gguf"));
  ASSERT_TRUE(original) << original.error().message;
  auto file = Gguf::open(golden(expected.file));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), original->tensors().size());
  int of_type = 0;
  for (const TensorInfo& tensor : file->tensors()) {
    auto wanted = original->require_tensor(tensor.name, tensor.dims);
    ASSERT_TRUE(wanted) << wanted.error().message;
    const double error = relative_rms(values_of(tensor), values_of(**wanted));
    if (tensor.type != expected.type) {
      EXPECT_LT(error, 0.1) << tensor.name;
      continue;
    }
    ++of_type;
    EXPECT_GT(error, expected.low) << tensor.name;
    EXPECT_LT(error, expected.high) << tensor.name;
    RecordProperty("relative_rms", std::to_string(error));
  }
  EXPECT_GT(of_type, 5);
}

}  // namespace
}  // namespace mneme::model

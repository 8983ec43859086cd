// GGUF: any bytes are a file or an error message of one line; whatever was accepted can be read to its end.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "model/gguf.h"
#include "tensor/dequantize.h"

namespace {

using namespace mneme;

// A file without a folder, rewritten for every input.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("gguf", MFD_CLOEXEC)) { MNEME_CHECK(fd_ >= 0); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }
  void rewrite(const uint8_t* data, size_t size) {
    MNEME_CHECK(::ftruncate(fd_, 0) == 0);
    MNEME_CHECK(::pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size));
  }

 private:
  int fd_;
};

// What was read goes here, so that the compiler cannot drop the reading.
volatile uint64_t sink;

uint64_t sum(std::string_view text) {
  uint64_t total = 0;
  for (const char c : text) total += static_cast<uint8_t>(c);
  return total;
}

uint64_t touch_value(const model::MetaValue& value) {
  if (const auto* text = std::get_if<std::string_view>(&value.value)) return sum(*text);
  const auto* array = std::get_if<model::MetaArray>(&value.value);
  if (array == nullptr) return 0;
  uint64_t total = array->count;
  for (const std::byte b : array->raw) total += static_cast<uint64_t>(b);
  for (const std::string_view text : array->strings) total += sum(text);
  return total;
}

void touch_metadata(const model::Gguf& file) {
  uint64_t total = 0;
  for (const auto& [key, value] : file.metadata()) {
    MNEME_CHECK(file.find(key) == &value);
    total += touch_value(value);
    const auto number = file.get_uint(key);
    const auto real = file.get_float(key);
    const auto flag = file.get_bool(key);
    const auto text = file.get_string(key);
    const auto array = file.get_array(key, model::MetaType::kString);
    // A value has one kind; only integers are also numbers.
    MNEME_CHECK(real.has_value() + flag.has_value() + text.has_value() + array.has_value() <= 1);
    MNEME_CHECK(!number || real);
  }
  sink = total;
}

void touch_tensors(const model::Gguf& file) {
  for (const model::TensorInfo& tensor : file.tensors()) {
    MNEME_CHECK(file.find_tensor(tensor.name) == &tensor);
    MNEME_CHECK(file.require_tensor(tensor.name, tensor.dims).has_value());
    const auto row = tensor::row_bytes(tensor.type, tensor.columns());
    MNEME_CHECK(row && *row * tensor.rows() == tensor.bytes.size());
    std::vector<float> values(tensor.columns());  // no more than 8 times its bytes, which are in the input
    tensor::dequantize(tensor.type, tensor.bytes.first(*row), values);
    sink = static_cast<uint64_t>(tensor.bytes.back());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static MemoryFile memory;
  memory.rewrite(data, size);
  auto file = model::Gguf::open(memory.path());
  if (!file) {
    MNEME_CHECK(file.error().message.find('\n') == std::string::npos, "{}", file.error().message);
    return 0;
  }
  touch_metadata(*file);
  touch_tensors(*file);
  return 0;
}

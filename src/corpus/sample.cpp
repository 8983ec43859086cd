#include "corpus/sample.h"

#include "corpus/shares.h"

namespace mneme::corpus {

std::vector<std::string_view> sample(const Documents& documents, const SampleOptions& options) {
  const auto class_of = [](const Document& document) -> size_t {
    if (document.kind == Kind::kCode) return 2;
    return document.language == Language::kChinese ? 1 : 0;
  };
  std::vector<uint64_t> left(3, 0);
  for (size_t i = 0; i < documents.size(); i++) left[class_of(documents[i])] += documents[i].text.size();
  left = divide(options.bytes_max, left, std::vector<double>(options.shares.begin(), options.shares.end()));
  std::vector<std::string_view> texts;
  for (size_t i = 0; i < documents.size(); i++) {
    const Document document = documents[i];
    uint64_t& room = left[class_of(document)];
    if (document.text.size() > room) continue;
    room -= document.text.size();
    texts.push_back(document.text);
  }
  return texts;
}

}  // namespace mneme::corpus

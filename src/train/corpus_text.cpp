#include "train/corpus_text.h"

namespace mneme::train {

tasks::InMemoryText as_text_source(const corpus::Documents& documents) {
  std::vector<tasks::Document> views;
  views.reserve(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const corpus::Document d = documents[i];
    views.push_back(
        {d.name, d.text, d.kind == corpus::Kind::kCode ? tasks::TextKind::kCode : tasks::TextKind::kProse,
         d.language == corpus::Language::kChinese ? tasks::Language::kChinese : tasks::Language::kEnglish});
  }
  return tasks::InMemoryText(std::move(views));
}

}  // namespace mneme::train

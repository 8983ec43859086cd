// The sentences of ruler.h's tasks, in both languages.
#include "core/error.h"
#include "tasks/ruler_draft.h"

namespace mneme::tasks {
namespace {

struct Row {
  RulerText text;
  std::string_view english;
  std::string_view chinese;
};

constexpr Row kRows[] = {
    {RulerText::kNiahPreamble,
     "Some special magic {type} are hidden in the following text. Memorize them: I will quiz you about the "
     "{type} afterwards.\n",
     "下面的文字里藏着一些特殊的魔法{type}。请记住它们，之后我会考你这些{type}。\n"},
    {RulerText::kNeedle, "One of the special magic {type} for {key} is: {value}.",
     "“{key}”的特殊魔法{type}之一是：{value}。"},
    {RulerText::kNiahOne, "What is the special magic {type} for {key} mentioned in the text above?",
     "上面的文字里提到的“{key}”的特殊魔法{type}是什么？"},
    {RulerText::kNiahOnePrefix, "The special magic {type} for {key} mentioned in the text is",
     "文字里提到的“{key}”的特殊魔法{type}是："},
    {RulerText::kNiahAll, "What are all the special magic {type} for {key} mentioned in the text above?",
     "上面的文字里提到的“{key}”的所有特殊魔法{type}是什么？"},
    {RulerText::kNiahAllPrefix, "The special magic {type} for {key} mentioned in the text are",
     "文字里提到的“{key}”的特殊魔法{type}是："},
    {RulerText::kVariablePreamble,
     "Memorize and track the chains of variable assignments that are hidden in the following text.\n",
     "请记住并跟踪藏在下面文字里的变量赋值链。\n"},
    {RulerText::kVariableValue, "VAR {to} = {value}", "变量 {to} = {value}"},
    {RulerText::kVariableCopy, "VAR {to} = VAR {from}", "变量 {to} = 变量 {from}"},
    {RulerText::kVariableQuestion,
     "Find all variables that are assigned the value {value} in the text above.",
     "找出上面的文字里所有被赋值为 {value} 的变量。"},
    {RulerText::kVariablePrefix,
     "According to the chain of variable assignments in the text above, {count} variables are assigned the "
     "value {value}:",
     "根据上面文字里的变量赋值链，有 {count} 个变量的值是 {value}："},
    {RulerText::kCommonPreamble,
     "Below is a numbered list of words. Some of them appear more often than others. Memorize the ones that "
     "appear most often.\n",
     "下面是一个带编号的词表，有些词出现得比其他词多。请记住出现次数最多的词。\n"},
    {RulerText::kCommonQuestion, "What are the {count} most common words in the list above?",
     "上面的词表里出现次数最多的 {count} 个词是什么？"},
    {RulerText::kCommonPrefix,
     "The {count} words that appear most often in the list are:", "词表里出现次数最多的 {count} 个词是："},
    {RulerText::kFrequentPreamble,
     "Read the following coded text and track the frequency of each coded word. Find the three coded words "
     "that appear most often.\n",
     "阅读下面的编码文字，记下每个编码词出现的次数，找出出现次数最多的三个编码词。\n"},
    {RulerText::kFrequentQuestion,
     "Do not explain anything, and ignore the dots. What are the three words that appear most often in the "
     "coded text above?",
     "不要解释，也不要管那些点。上面的编码文字里出现次数最多的三个词是什么？"},
    {RulerText::kFrequentPrefix,
     "The three words that appear most often in the coded text are:", "编码文字里出现次数最多的三个词是："},
};

// The same short sentences in every line (Mohtashami and Jaggi 2023, which RULER took them from).
class RepeatedSentences final : public TextSource {
 public:
  RepeatedSentences() {
    for (size_t lines = 0; lines < 256; ++lines) {
      english_ +=
          "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n";
      chinese_ += "草是绿的。天是蓝的。太阳是黄的。我们走吧。去了又回来。\n";
    }
  }
  Document pick(core::Rng&, TextKind, Language language) const override {
    const bool english = language == Language::kEnglish;
    return {"sentences", english ? english_ : chinese_, TextKind::kProse, language};
  }

 private:
  std::string english_, chinese_;
};

}  // namespace

std::string_view ruler_text(RulerText text, Language language) {
  for (const Row& row : kRows) {
    if (row.text == text) return language == Language::kEnglish ? row.english : row.chinese;
  }
  MNEME_CHECK(false, "text {}", static_cast<int>(text));
  return {};
}

const TextSource& repeated_sentences() {
  static const RepeatedSentences source;
  return source;
}

}  // namespace mneme::tasks

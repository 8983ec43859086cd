// SyntheticText: sentences from patterns with slots, and small functions in four languages. Not for learning
// a language from; for haystacks, quotes and symbols where no corpus is at hand.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "core/rng.h"
#include "tasks/text.h"

namespace mneme::tasks {
namespace {

using Words = std::span<const std::string_view>;

// Words of their own: keys are made of others (words.h).
constexpr std::string_view kThings[] = {
    "report",     "market",      "method",  "system",   "answer",  "teacher",   "village", "letter",
    "machine",    "number",      "student", "country",  "reason",  "paper",     "story",   "house",
    "table",      "morning",     "meeting", "problem",  "idea",    "road",      "company", "city",
    "school",     "garden wall", "library", "question", "season",  "train",     "visitor", "museum",
    "experiment", "price",       "weather", "recipe",   "journey", "committee", "law",     "picture"};
constexpr std::string_view kQualities[] = {
    "small",   "long",      "useful", "simple", "careful", "new",     "old",       "common",
    "local",   "difficult", "short",  "early",  "formal",  "regular", "important", "serious",
    "popular", "strange",   "public", "recent", "final",   "general"};
constexpr std::string_view kActs[] = {"changed",   "described", "reached", "followed",   "explained",
                                      "supported", "visited",   "left",    "considered", "found",
                                      "mentioned", "prepared",  "opened",  "compared",   "replaced",
                                      "watched",   "improved",  "avoided", "joined",     "measured"};
constexpr std::string_view kTimes[] = {"after the winter", "in the evening",        "before noon",
                                       "for many years",   "last spring",           "on the second day",
                                       "in most cases",    "without much delay",    "at the end of the month",
                                       "during the talk",  "as everyone expected",  "in spite of the rain",
                                       "twice a week",     "when the doors closed", "since then",
                                       "as a rule"};
constexpr std::string_view kPatterns[] = {"The Q T A the Q T Z.",
                                          "Z, the T A a Q T.",
                                          "Nobody A the T until the Q T arrived.",
                                          "A Q T was A Z.",
                                          "It was a Q T, and the T A it Z.",
                                          "Most of the T was Q, but one T A the other.",
                                          "The T of the T is Q.",
                                          "They A every T Z, although the T seemed Q.",
                                          "In the T there were N Q parts.",
                                          "The T costs N a year Z.",
                                          "What the T A was a Q T rather than a T.",
                                          "About N people A the T Z."};

constexpr std::string_view kThingsZh[] = {
    "报告", "市场", "方法", "系统", "答案", "老师", "邻居", "信件",   "机器", "数量", "学生", "国家",
    "原因", "文章", "故事", "房子", "桌面", "会议", "问题", "想法",   "道路", "公司", "城市", "教室",
    "季节", "游客", "实验", "价格", "天气", "菜谱", "旅程", "委员会", "法律", "图片", "语言", "历史"};
constexpr std::string_view kQualitiesZh[] = {"小",     "长期的", "有用的", "简单的", "仔细的", "新",
                                             "旧",     "常见的", "当地的", "困难的", "正式的", "重要的",
                                             "严肃的", "流行的", "奇怪的", "最近的"};
constexpr std::string_view kActsZh[] = {"改变了", "描述了", "影响了", "解释了", "支持了", "参观了",
                                        "离开了", "考虑过", "发现了", "提到了", "准备了", "打开了",
                                        "比较了", "替换了", "改进了", "记录了"};
constexpr std::string_view kTimesZh[] = {"冬天过后",     "傍晚时分",   "中午以前", "多年以来", "去年春季",
                                         "第二天",       "多数情况下", "没过多久", "到了月底", "谈话期间",
                                         "正如大家所料", "尽管下着雨", "每周两次"};
constexpr std::string_view kPatternsZh[] = {"ZT A那份QT。",
                                            "Z，这个T AQT。",
                                            "在QT到来之前，没有人AT。",
                                            "那是一个QT，而T在ZA它。",
                                            "大部分T都很普通，但有一个T A别的T。",
                                            "Z他们A每一个T，虽然T看起来是QT。",
                                            "这里的T一共有N个部分。",
                                            "Z，大约有N人AT。",
                                            "与其说是T，不如说是QT。"};

constexpr std::string_view kCodeWords[] = {
    "count",  "index", "buffer", "node",   "path",  "cache", "token",  "score",  "width",
    "offset", "state", "queue",  "item",   "limit", "total", "value",  "block",  "event",
    "frame",  "graph", "header", "input",  "label", "mask",  "order",  "page",   "range",
    "shape",  "slot",  "stack",  "stream", "timer", "user",  "vector", "weight", "worker"};
constexpr std::string_view kCodeVerbs[] = {"read",  "write", "find",  "merge", "parse", "update",
                                           "load",  "send",  "build", "check", "clear", "copy",
                                           "count", "make",  "print", "sort",  "split", "scan"};

class Writer {
 public:
  explicit Writer(core::Rng& rng) : rng_(rng) {}

  std::string prose(size_t bytes, Language language) {
    std::string text;
    while (text.size() < bytes) {
      for (size_t sentences = 2 + below(5); sentences > 0; --sentences) sentence(text, language);
      while (!text.empty() && text.back() == ' ') text.pop_back();
      text += below(3) == 0 ? "\n\n" : "\n";
    }
    return text;
  }

  std::string code(size_t bytes) {
    std::string text;
    const size_t language = below(3);
    while (text.size() < bytes) {
      if (language == 0) python(text);
      if (language == 1) c(text);
      if (language == 2) javascript(text);
    }
    return text;
  }

  std::string file_name(TextKind kind, size_t index) {
    const std::string stem = identifier() + '_' + std::to_string(index);
    return stem + (kind == TextKind::kProse ? ".txt" : ".src");
  }

 private:
  size_t below(size_t count) { return rng_.next_below(static_cast<uint32_t>(count)); }
  std::string_view any(Words words) { return words[below(words.size())]; }
  std::string number() { return std::to_string(2 + below(997)); }
  std::string identifier() {
    std::string text;
    add(text, {any(kCodeVerbs), "_", any(kCodeWords)});
    return text;
  }
  std::string variable() { return std::string(any(kCodeWords)); }

  void sentence(std::string& out, Language language) {
    const bool english = language == Language::kEnglish;
    const std::string_view pattern = any(english ? Words(kPatterns) : Words(kPatternsZh));
    const size_t begin = out.size();
    for (size_t i = 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      const bool whole_word = i + 1 == pattern.size() || !(pattern[i + 1] >= 'a' && pattern[i + 1] <= 'z');
      if (c == 'T' && whole_word)
        out += any(english ? Words(kThings) : Words(kThingsZh));
      else if (c == 'Q')
        out += any(english ? Words(kQualities) : Words(kQualitiesZh));
      else if (c == 'Z')
        out += any(english ? Words(kTimes) : Words(kTimesZh));
      else if (c == 'A' && whole_word && i > 0)
        out += any(english ? Words(kActs) : Words(kActsZh));
      else if (c == 'N' && whole_word)
        out += number();
      else if (c != ' ' || english)
        out += c;
    }
    if (english) put_an(out, begin);
    if (out[begin] >= 'a' && out[begin] <= 'z') out[begin] = static_cast<char>(out[begin] - 'a' + 'A');
    if (english) out += ' ';
  }

  // "a old" to "an old".
  static void put_an(std::string& out, size_t from) {
    for (size_t at = out.find(" a ", from); at != std::string::npos; at = out.find(" a ", at + 2)) {
      if (std::string_view("aeiou").find(out[at + 3]) != std::string_view::npos) out.insert(at + 2, 1, 'n');
    }
  }

  // Parts in a list are made in their order; operands of a sum need not be, and texts must not depend on it.
  static void add(std::string& out, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) out += part;
  }

  void python(std::string& out) {
    const std::string a = variable();
    const std::string b = variable() + "s";
    add(out, {"def ", identifier(), "_", number(), "(", a, ", ", b, "):\n"});
    add(out, {"    result = ", number(), "\n"});
    add(out, {"    for ", a, "_item in ", b, ":\n        if ", a, "_item > ", a, ":\n"});
    add(out, {"            result += ", a, "_item * ", number(), "\n"});
    if (below(2) == 0) add(out, {"    ", identifier(), "(result, ", number(), ")\n"});
    out += "    return result\n\n\n";
  }

  void c(std::string& out) {
    const std::string a = variable();
    const std::string b = variable() + "_size";
    if (below(3) == 0) add(out, {"#define MAX_", number(), "_", variable(), " ", number(), "\n\n"});
    add(out, {"static int ", identifier(), "_", number(), "(int ", a, ", int ", b, ") {\n"});
    add(out, {"  int result = ", number(), ";\n  for (int i = 0; i < ", b, "; ++i) {\n"});
    add(out, {"    result += ", a, " * i + ", number(), ";\n  }\n"});
    if (below(2) == 0) add(out, {"  if (result < ", number(), ") return ", identifier(), "(result);\n"});
    out += "  return result;\n}\n\n";
  }

  void javascript(std::string& out) {
    const std::string a = variable();
    const std::string b = variable() + "List";
    add(out, {"function ", identifier(), number(), "(", a, ", ", b, ") {\n"});
    add(out, {"  const ", a, "Limit = ", number(), ";\n  return ", b, ".filter((item) => item.", variable()});
    add(out, {" < ", a, "Limit).map((item) => {\n    return item.", variable(), " + ", a, " * ", number()});
    out += ";\n  });\n}\n\n";
  }

  core::Rng& rng_;
};

}  // namespace

SyntheticText::SyntheticText(uint64_t seed, size_t bytes_each) {
  core::Rng rng(seed);
  Writer writer(rng);
  for (size_t group = 0; group < made_.size(); ++group) {
    const auto kind = static_cast<TextKind>(group / 2);
    const auto language = static_cast<Language>(group % 2);
    for (size_t bytes = 0; bytes < bytes_each || made_[group].empty();) {
      const size_t wanted = 1000 + rng.next_below(15000);
      Made made{writer.file_name(kind, made_[group].size()), {}};
      made.text = kind == TextKind::kProse ? writer.prose(wanted, language) : writer.code(wanted);
      bytes += made.text.size();
      made_[group].push_back(std::move(made));
    }
  }
}

}  // namespace mneme::tasks

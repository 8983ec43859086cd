#include "guards/functions.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

namespace mneme::guards {
namespace {

enum class Scope { kOpen, kFunction, kData };  // kOpen: a namespace or class, where functions may be defined

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// template <...> in front of a declaration, and access labels.
std::string_view without_prefixes(std::string_view head) {
  for (bool again = true; again;) {
    again = false;
    head = trim(head);
    for (const std::string_view label : {"public:", "private:", "protected:"}) {
      if (!head.starts_with(label)) continue;
      head.remove_prefix(label.size());
      again = true;
    }
    if (!head.starts_with("template") || head.find('<') == std::string_view::npos) continue;
    size_t at = head.find('<');
    int depth = 0;
    for (; at < head.size(); ++at) {
      if (head[at] == '<') ++depth;
      if (head[at] == '>' && --depth == 0) break;
    }
    head.remove_prefix(std::min(at + 1, head.size()));
    again = true;
  }
  return head;
}

// Where `=` assigns at the outermost level of the head (default arguments and operator== do not), or npos.
size_t find_assignment(std::string_view head) {
  if (head.find("operator") != std::string_view::npos) return std::string_view::npos;
  int depth = 0;
  for (size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '(' || head[i] == '[') ++depth;
    if (head[i] == ')' || head[i] == ']') --depth;
    if (head[i] == '=' && depth == 0) return i;
  }
  return std::string_view::npos;
}

// A constructor's initialiser list has begun: a single ':' after the parameters.
bool in_initialiser_list(std::string_view head) {
  int depth = 0;
  bool parameters = false;
  for (size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '(') ++depth;
    if (head[i] == ')' && --depth == 0) parameters = true;
    if (head[i] != ':' || depth != 0) continue;
    if (i + 1 < head.size() && head[i + 1] == ':') {
      ++i;
    } else if (parameters) {
      return true;
    }
  }
  return false;
}

Scope scope_of(std::string_view head) {
  static const std::set<std::string_view> kOpens = {"namespace", "extern", "class",
                                                    "struct",    "union",  "enum"};
  head = without_prefixes(head);
  if (head.starts_with("inline namespace")) return Scope::kOpen;
  if (const auto words = words_of(head); !words.empty() && kOpens.contains(words[0])) {
    // struct stat status() { is a function all the same; struct alignas(64) State { is not.
    const bool is_function = head.ends_with(')') || head.ends_with("const") || head.ends_with("noexcept");
    return is_function ? Scope::kFunction : Scope::kOpen;
  }
  if (const size_t assignment = find_assignment(head); assignment != std::string_view::npos) {
    return trim(head.substr(assignment + 1)).starts_with('[') ? Scope::kFunction : Scope::kData;
  }
  return head.find('(') == std::string_view::npos ? Scope::kData : Scope::kFunction;
}

class Finder {
 public:
  explicit Finder(const SourceFile& file) : file_(file) {}

  std::vector<Function> run() {
    for (line_ = 0; line_ < file_.code.size(); ++line_) {
      const std::string& text = file_.code[line_];
      const bool continues = directive_ && line_ > 0 && file_.code[line_ - 1].ends_with('\\');
      directive_ = continues || trim(text).starts_with('#');
      if (directive_) continue;
      for (const char c : text) take(c);
      take(' ');
    }
    return std::move(found_);
  }

 private:
  bool at_top() const { return scopes_.empty() || scopes_.back() == Scope::kOpen; }

  void take(char c) {
    if (c == '{') return open();
    if (c == '}') return close();
    if (!at_top()) return;
    if (c == ';' && head_depth_ == 0) return clear_head();
    if (c == '(') ++head_depth_;
    if (c == ')') --head_depth_;
    if (trim(head_).empty()) head_line_ = line_;
    head_ += c;
  }

  void open() {
    if (!at_top()) return scopes_.push_back(Scope::kData);
    const std::string_view head = trim(head_);
    // Default arguments `= {}` and member initialisers `: member_{}` belong to the head, which goes on after
    // them.
    const bool names_member = !head.empty() && (is_word(head.back()) || head.back() == '>') &&
                              in_initialiser_list(head);
    if (head_depth_ > 0 || names_member) {
      head_stays_ = true;
      scopes_.push_back(Scope::kData);
      return;
    }
    scopes_.push_back(scope_of(head));
    if (scopes_.back() == Scope::kFunction)
      found_.push_back({std::string(without_prefixes(head)), head_line_ + 1, 0});
    if (scopes_.back() == Scope::kOpen) clear_head();
  }

  void close() {
    if (scopes_.empty()) return;
    const Scope scope = scopes_.back();
    scopes_.pop_back();
    if (scope == Scope::kFunction) found_.back().last = line_ + 1;
    if (!at_top()) return;
    if (head_stays_) {
      head_ += "{}";
      head_stays_ = false;
    } else {
      clear_head();
    }
  }

  void clear_head() {
    head_.clear();
    head_depth_ = 0;
  }

  const SourceFile& file_;
  std::vector<Function> found_;
  std::vector<Scope> scopes_;
  std::string head_;
  int head_depth_ = 0;       // open parentheses
  bool head_stays_ = false;  // the open brace is inside the head
  bool directive_ = false;
  size_t line_ = 0;
  size_t head_line_ = 0;
};

}  // namespace

std::vector<Function> find_functions(const SourceFile& file) { return Finder(file).run(); }

}  // namespace mneme::guards

#include "corpus/troff.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mneme::corpus {

namespace {

struct NamedGlyph {
  std::string_view name;
  std::string_view text;
};
constexpr NamedGlyph kGlyphs[] = {
    {"aq", "'"}, {"dq", "\""}, {"bu", "•"}, {"em", "—"}, {"en", "–"}, {"lq", "“"}, {"rq", "”"},  {"oq", "‘"},
    {"cq", "’"}, {"co", "©"},  {"rg", "®"}, {"ha", "^"}, {"ti", "~"}, {"ga", "`"}, {"rs", "\\"}, {"hy", "-"},
    {"mi", "-"}, {"mu", "×"},  {"->", "→"}, {"<-", "←"}, {"<=", "≤"}, {">=", "≥"}, {"!=", "≠"},  {"pl", "+"},
    {"sl", "/"}, {"at", "@"},  {"sh", "#"}, {"Do", "$"}, {"or", "|"}, {"ba", "|"}, {"de", "°"},  {"tm", "™"},
    {"R", "®"},  {"Tm", "™"},  {"lB", "["}, {"rB", "]"}, {"lC", "{"}, {"rC", "}"}, {"la", "⟨"},  {"ra", "⟩"},
};

std::string_view glyph(std::string_view name) {
  for (const auto& known : kGlyphs) {
    if (known.name == name) return known.text;
  }
  return "";
}

// The name after \f, \* and \(: one character, two after '(', or up to ']' after '['.
std::string_view take_name(std::string_view line, size_t& at) {
  if (at >= line.size()) return "";
  size_t size = 1;
  if (line[at] == '(') {
    at++;
    size = 2;
  } else if (line[at] == '[') {
    at++;
    const size_t end = std::min(line.find(']', at), line.size());
    const auto name = line.substr(at, end - at);
    at = std::min(end + 1, line.size());
    return name;
  }
  // A name never ends inside a character.
  const auto continues = [&](size_t i) { return i < line.size() && (line[i] & 0xC0) == 0x80; };
  while (continues(at + size)) size++;
  const auto name = line.substr(at, size);
  at = std::min(at + size, line.size());
  return name;
}

// Past a \s's number: sign, digits.
void skip_size(std::string_view line, size_t& at) {
  if (at < line.size() && (line[at] == '+' || line[at] == '-')) at++;
  for (int digits = 0; digits < 2 && at < line.size() && line[at] >= '0' && line[at] <= '9'; digits++) at++;
}

// Past the 'argument' of \h, \v, \w and their kind.
void skip_quoted(std::string_view line, size_t& at) {
  if (at >= line.size()) return;
  const size_t end = line.find(line[at], at + 1);
  at = end == std::string_view::npos ? line.size() : end + 1;
}

// A line's text with escapes resolved; what follows \" is a comment.
std::string unescape(std::string_view line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    if (line[at] != '\\') {
      out += line[at++];
      continue;
    }
    if (++at == line.size()) break;
    const char c = line[at++];
    switch (c) {
      case '"':
      case '#': return out;
      case 'f':
      case 'F':
      case 'm':
      case 'n':
      case 'k': take_name(line, at); break;
      case '*': out += glyph(take_name(line, at)); break;
      case '(': {
        at--;
        out += glyph(take_name(line, at));
        break;
      }
      case '[': {
        at--;
        out += glyph(take_name(line, at));
        break;
      }
      case 's': skip_size(line, at); break;
      case 'h':
      case 'v':
      case 'w':
      case 'o':
      case 'l':
      case 'L':
      case 'N':
      case 'X': skip_quoted(line, at); break;
      case '&':
      case '/':
      case ',':
      case '|':
      case '^':
      case ':':
      case '%':
      case 'c':
      case 'd':
      case 'u':
      case '{':
      case '}': break;
      case 'e':
      case 'E': out += '\\'; break;
      case '-': out += '-'; break;
      case '~':
      case '0':
      case ' ': out += ' '; break;
      case 't': out += '\t'; break;
      default: out += c;
    }
  }
  return out;
}

// A macro's arguments: words, "quoted ones" whole.
std::vector<std::string> arguments_of(std::string_view line) {
  std::vector<std::string> arguments;
  size_t at = 0;
  while (true) {
    while (at < line.size() && (line[at] == ' ' || line[at] == '\t')) at++;
    if (at >= line.size()) return arguments;
    if (line[at] == '\\' && at + 1 < line.size() && line[at + 1] == '"') return arguments;
    std::string word;
    const bool quoted = line[at] == '"';
    if (quoted) at++;
    for (; at < line.size(); at++) {
      if (quoted && line[at] == '"') {
        at++;
        if (at >= line.size() || line[at] != '"') break;
      } else if (!quoted && (line[at] == ' ' || line[at] == '\t')) {
        break;
      } else if (line[at] == '\\' && at + 1 < line.size()) {
        word += line[at++];
      }
      word += line[at];
    }
    arguments.push_back(unescape(word));
  }
}

bool is_any(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class ManualPage {
 public:
  void line(std::string_view line);
  std::string finish() {
    flush();
    return std::move(out_);
  }

 private:
  void request(std::string_view name, std::string_view rest);
  bool layout(std::string_view name, std::string_view rest);
  bool mdoc(std::string_view name, const std::vector<std::string>& arguments);
  void text(std::string_view words);
  void flush();  // ends the paragraph
  void blank() {
    flush();
    out_ += '\n';
  }
  void heading(const char* marks, std::string_view rest);

  std::string out_;
  std::string paragraph_;
  std::string name_;           // mdoc's .Nm
  std::string ignored_until_;  // the end of a .de, .ig
  bool unfilled_ = false;
  bool tag_next_ = false;  // the next line is the tag of a .TP
};

void ManualPage::flush() {
  if (paragraph_.empty()) return;
  out_ += paragraph_ + "\n";
  paragraph_.clear();
}

void ManualPage::text(std::string_view words) {
  if (unfilled_) {
    out_ += words;
    out_ += '\n';
    return;
  }
  while (!words.empty() && words.front() == ' ') words.remove_prefix(1);
  if (words.empty()) return;
  const bool in_chinese = !paragraph_.empty() && paragraph_.back() < 0 &&
                          static_cast<uint8_t>(words.front()) >= 0xE3;
  if (!paragraph_.empty() && !in_chinese) paragraph_ += ' ';
  paragraph_ += words;
  if (tag_next_) flush();
  tag_next_ = false;
}

void ManualPage::heading(const char* marks, std::string_view rest) {
  unfilled_ = false;
  blank();
  const auto words = arguments_of(rest);
  if (words.empty()) return;
  out_ += marks;
  for (const auto& word : words) out_ += " " + word;
  out_ += '\n';
}

void ManualPage::line(std::string_view line) {
  if (!ignored_until_.empty()) {
    if (line.starts_with(ignored_until_)) ignored_until_.clear();
    return;
  }
  if (line.empty()) {
    blank();
    return;
  }
  if (line[0] != '.' && line[0] != '\'') {
    text(unescape(line));
    return;
  }
  line.remove_prefix(1);
  while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  if (line.starts_with("\\\"")) return;
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  request(line.substr(0, end), line.substr(end));
}

bool ManualPage::layout(std::string_view name, std::string_view rest) {
  if (is_any(name, {"SH", "Sh"})) {
    heading("##", rest);
  } else if (is_any(name, {"SS", "Ss"})) {
    heading("###", rest);
  } else if (is_any(name, {"PP", "P", "LP", "Pp", "sp", "HP"})) {
    blank();
  } else if (is_any(name, {"br", "RS", "RE", "El"})) {
    flush();
  } else if (is_any(name, {"nf", "EX", "Bd", "Vb", "TS", "DS"})) {
    flush();
    unfilled_ = true;
  } else if (is_any(name, {"fi", "EE", "Ed", "Ve", "TE", "DE"})) {
    unfilled_ = false;
  } else if (is_any(name, {"TP", "TQ"})) {
    blank();
    tag_next_ = true;
  } else if (is_any(name, {"de", "ig", "de1", "am"})) {
    const auto words = arguments_of(rest);
    ignored_until_ = words.size() > 1 && name != "ig" ? "." + words[1] : "..";
  } else {
    return false;
  }
  return true;
}

void ManualPage::request(std::string_view name, std::string_view rest) {
  if (layout(name, rest)) return;
  const auto arguments = arguments_of(rest);
  std::string joined;
  if (is_any(name, {"TH", "Dt"})) {
    if (!arguments.empty())
      out_ += "# " + arguments[0] + (arguments.size() > 1 ? "(" + arguments[1] + ")\n" : "\n");
  } else if (name == "IP") {
    blank();
    if (!arguments.empty()) text(arguments[0]);
  } else if (is_any(name, {"B", "I", "SM", "SB", "R", "CW", "UR", "MT", "UE"})) {
    for (const auto& word : arguments) joined += (joined.empty() ? "" : " ") + word;
    text(joined);
  } else if (is_any(name, {"BR", "RB", "BI", "IB", "IR", "RI", "OP", "SY", "MR"})) {
    for (const auto& word : arguments) joined += word;
    text(joined);
  } else {
    mdoc(name, arguments);
  }
}

// mdoc's macros: two letters, an upper-case one first; they may follow each other on a line.
bool ManualPage::mdoc(std::string_view name, const std::vector<std::string>& arguments) {
  if (!is_any(name, {"Nm", "Nd", "Fl", "Ar", "Op", "Oo",  "Oc", "Pa", "Xr", "Cm", "Ic", "Li",
                     "Em", "Sy", "Va", "Vt", "Dv", "Ev",  "Er", "Fn", "Fa", "Ft", "In", "Fd",
                     "It", "Dq", "Sq", "Ql", "Pq", "Qq",  "Lk", "Ns", "No", "Tn", "Ux", "Bx",
                     "Nx", "Fx", "St", "An", "Ad", "Brq", "Aq", "Fo", "Cd", "Ms"})) {
    return false;
  }
  if (name == "It") {
    blank();
    paragraph_ = "-";
  }
  std::vector<std::string> words;
  if (name == "Nm" && arguments.empty()) words.push_back(name_);
  if (name == "Nm" && !arguments.empty() && name_.empty()) name_ = arguments[0];
  if (name == "Nd") words.push_back("-");
  std::string joined;
  std::string prefix = name == "Fl" ? "-" : "";
  bool tight = false;
  for (const auto& word : words) joined += (joined.empty() ? "" : " ") + word;
  for (const auto& word : arguments) {
    const bool is_macro = word.size() == 2 && word[0] >= 'A' && word[0] <= 'Z' && word[1] >= 'a' &&
                          word[1] <= 'z';
    if (is_macro) {
      prefix = word == "Fl" ? "-" : "";
      tight |= word == "Ns";
      continue;
    }
    const bool is_mark = word.size() == 1 &&
                         std::string_view(".,:;)]").find(word[0]) != std::string_view::npos;
    if (!joined.empty() && !tight && !is_mark) joined += ' ';
    joined += (is_mark ? "" : prefix) + word;
    tight = word == "(" || word == "[";
  }
  if (name == "Op") joined = "[" + joined + "]";
  if (name == "Dq" || name == "Qq") joined = "\"" + joined + "\"";
  if (name == "Pq") joined = "(" + joined + ")";
  text(joined);
  if (name == "It") flush();
  return true;
}

}  // namespace

std::string troff_to_text(std::string_view page) {
  ManualPage out;
  std::string joined;  // a line that \ continues
  while (!page.empty()) {
    const size_t end = std::min(page.find('\n'), page.size());
    std::string_view line = page.substr(0, end);
    page.remove_prefix(std::min(end + 1, page.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool continues = line.ends_with('\\') && !line.ends_with("\\\\");
    joined += continues ? line.substr(0, line.size() - 1) : line;
    if (continues && joined.size() < 10000) continue;
    out.line(joined);
    joined.clear();
  }
  if (!joined.empty()) out.line(joined);
  return out.finish();
}

std::string info_to_text(std::string_view info) {
  std::string out;
  bool after_mark = true;  // a line that is just \x1f comes before each node's own line
  while (!info.empty()) {
    const size_t end = std::min(info.find('\n'), info.size());
    const std::string_view line = info.substr(0, end);
    info.remove_prefix(std::min(end + 1, info.size()));
    const bool is_mark = !line.empty() && line[0] == '\x1f';
    if (is_mark || after_mark) {
      after_mark = is_mark;
      // The tables at the end: where nodes are.
      if (!is_mark && (line.starts_with("Tag Table:") || line.starts_with("Indirect:"))) break;
      continue;
    }
    out += line;
    out += '\n';
  }
  return out;
}

}  // namespace mneme::corpus

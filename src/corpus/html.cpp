#include "corpus/html.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/utf8.h"

namespace mneme::corpus {

namespace {

template <size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 17> kSkipped = {
    "script", "style",    "head", "nav",      "footer", "aside",  "form", "button", "select",
    "svg",    "noscript", "math", "template", "iframe", "object", "info", "credit"};
constexpr std::array<std::string_view, 46> kBlocks = {"p",       "div",
                                                      "h1",      "h2",
                                                      "h3",      "h4",
                                                      "h5",      "h6",
                                                      "ul",      "ol",
                                                      "dl",      "dt",
                                                      "dd",      "li",
                                                      "tr",      "table",
                                                      "section", "article",
                                                      "header",  "blockquote",
                                                      "pre",     "br",
                                                      "hr",      "main",
                                                      "figure",  "caption",
                                                      "center",  "address",
                                                      "body",    "fieldset",
                                                      "details", "summary",
                                                      "para",    "title",
                                                      "item",    "steps",
                                                      "note",    "simpara",
                                                      "terms",   "figcaption",
                                                      "tbody",   "thead",
                                                      "screen",  "code-block",
                                                      "listing", "programlisting"};
// Elements that have no end tag.
constexpr std::array<std::string_view, 12> kVoid = {"br",   "hr",   "img", "input", "link", "meta",
                                                    "area", "base", "col", "embed", "wbr",  "include"};
constexpr std::array<std::string_view, 20> kNavigationClasses = {
    "navheader", "navfooter",  "sphinxsidebar", "related",    "headerlink", "navbar",  "sidebar",
    "toc",       "navigation", "footer",        "breadcrumb", "top",        "noprint", "contents",
    "links",     "footline",   "menu",          "bottomnav",  "topnav",     "toplang"};

struct NamedCharacter {
  std::string_view name;
  char32_t code_point;
};
constexpr NamedCharacter kNamed[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},      {"apos", '\''},
    {"nbsp", ' '},     {"copy", 0xA9},    {"reg", 0xAE},     {"trade", 0x2122},  {"hellip", 0x2026},
    {"mdash", 0x2014}, {"ndash", 0x2013}, {"lsquo", 0x2018}, {"rsquo", 0x2019},  {"ldquo", 0x201C},
    {"rdquo", 0x201D}, {"bull", 0x2022},  {"middot", 0xB7},  {"times", 0xD7},    {"divide", 0xF7},
    {"plusmn", 0xB1},  {"deg", 0xB0},     {"micro", 0xB5},   {"para", 0xB6},     {"sect", 0xA7},
    {"laquo", 0xAB},   {"raquo", 0xBB},   {"rarr", 0x2192},  {"larr", 0x2190},   {"uarr", 0x2191},
    {"darr", 0x2193},  {"rArr", 0x21D2},  {"le", 0x2264},    {"ge", 0x2265},     {"ne", 0x2260},
    {"infin", 0x221E}, {"minus", 0x2212}, {"sum", 0x2211},   {"alpha", 0x3B1},   {"beta", 0x3B2},
    {"pi", 0x3C0},     {"lambda", 0x3BB}, {"sigma", 0x3C3},  {"eacute", 0xE9},   {"egrave", 0xE8},
    {"agrave", 0xE0},  {"aacute", 0xE1},  {"auml", 0xE4},    {"ouml", 0xF6},     {"uuml", 0xFC},
    {"szlig", 0xDF},   {"ccedil", 0xE7},  {"ntilde", 0xF1},  {"iacute", 0xED},   {"oacute", 0xF3},
    {"aring", 0xE5},   {"oslash", 0xF8},  {"shy", 0},        {"zwj", 0},         {"zwnj", 0},
    {"ensp", ' '},     {"emsp", ' '},     {"thinsp", ' '},   {"lsaquo", 0x2039}, {"rsaquo", 0x203A},
    {"frac12", 0xBD},  {"sup2", 0xB2},    {"Omega", 0x3A9},  {"mu", 0x3BC},      {"sbquo", 0x201A},
};

// One tag: <name attributes>, </name>.
struct Tag {
  std::string name;  // lower case, without a namespace
  std::string_view attributes;
  bool closes = false;
  bool is_empty = false;  // <name/>
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == ':';
}

// The character of "amp", "#38", "#x26"; 0 is one that is not shown; nullopt for no entity.
std::optional<char32_t> decode_entity(std::string_view name) {
  if (!name.starts_with('#')) {
    for (const auto& known : kNamed) {
      if (known.name == name) return known.code_point;
    }
    return std::nullopt;
  }
  name.remove_prefix(1);
  const bool hex = name.starts_with('x') || name.starts_with('X');
  if (hex) name.remove_prefix(1);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  if (value == 0xA0) return U' ';
  if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return std::nullopt;
  return static_cast<char32_t>(value);
}

bool is_navigation(std::string_view attributes) {
  if (attributes.find("role=\"navigation\"") != std::string_view::npos) return true;
  const size_t at = attributes.find("class=\"");
  if (at == std::string_view::npos) return false;
  std::string_view classes = attributes.substr(at + 7);
  classes = classes.substr(0, classes.find('"'));
  while (!classes.empty()) {
    const size_t end = std::min(classes.find(' '), classes.size());
    if (contains(kNavigationClasses, classes.substr(0, end))) return true;
    classes.remove_prefix(std::min(end + 1, classes.size()));
  }
  return false;
}

class Page {
 public:
  explicit Page(std::string_view html) : html_(html) {}
  std::string run();

 private:
  // Reads markup at '<', which html_[at_] is.
  void read_markup();
  bool read_tag(Tag& tag);
  void apply(const Tag& tag);
  void skip_element(const std::string& name);
  void read_text();
  void put(std::string_view text);  // a word or a space, as HTML fills lines
  void break_line();

  std::string_view html_;
  size_t at_ = 0;
  std::string out_;
  int pre_depth_ = 0;
  bool space_pending_ = false;
  bool line_broken_ = false;  // the pending space holds a line break
};

std::string Page::run() {
  while (at_ < html_.size()) {
    if (html_[at_] == '<')
      read_markup();
    else
      read_text();
  }
  if (pre_depth_ > 0) out_ += "\n```\n";
  return std::move(out_);
}

void Page::read_markup() {
  const std::string_view rest = html_.substr(at_);
  if (rest.starts_with("<!--")) {
    const size_t end = html_.find("-->", at_ + 4);
    at_ = end == std::string_view::npos ? html_.size() : end + 3;
    return;
  }
  if (rest.starts_with("<![CDATA[")) {
    at_ += 9;
    return;
  }
  Tag tag;
  if (rest.size() > 1 && (rest[1] == '!' || rest[1] == '?')) {
    const size_t end = html_.find('>', at_);
    at_ = end == std::string_view::npos ? html_.size() : end + 1;
  } else if (read_tag(tag)) {
    apply(tag);
  } else {
    put("<");
    at_++;
  }
}

bool Page::read_tag(Tag& tag) {
  size_t at = at_ + 1;
  tag.closes = at < html_.size() && html_[at] == '/';
  if (tag.closes) at++;
  const size_t name_begin = at;
  while (at < html_.size() && is_name(html_[at])) at++;
  if (at == name_begin) return false;
  tag.name = html_.substr(name_begin, at - name_begin);
  tag.name.erase(0, tag.name.rfind(':') + 1);
  for (char& c : tag.name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  const size_t attributes_begin = at;
  char quote = 0;
  for (; at < html_.size(); at++) {
    const char c = html_[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      break;
    }
  }
  // A quote that never ends would swallow the rest of the page: then the tag ends at the first '>'.
  if (at == html_.size()) at = std::min(html_.find('>', attributes_begin), html_.size());
  tag.attributes = html_.substr(attributes_begin, at - attributes_begin);
  tag.is_empty = tag.attributes.ends_with('/');
  at_ = std::min(at + 1, html_.size());
  return true;
}

void Page::apply(const Tag& tag) {
  const bool is_void = tag.is_empty || contains(kVoid, tag.name);
  if (!tag.closes && !is_void && (contains(kSkipped, tag.name) || is_navigation(tag.attributes))) {
    skip_element(tag.name);
    return;
  }
  const bool is_pre = tag.name == "pre" || tag.name == "screen" || tag.name == "programlisting";
  if (is_pre && !tag.is_empty) {
    if (!tag.closes && pre_depth_++ == 0) {
      break_line();
      out_ += "```\n";
    } else if (tag.closes && pre_depth_ > 0 && --pre_depth_ == 0) {
      out_ += out_.ends_with('\n') ? "```\n" : "\n```\n";
    }
    return;
  }
  if (pre_depth_ > 0) {
    if (tag.name == "br") out_ += '\n';
    return;
  }
  if (contains(kBlocks, tag.name)) {
    break_line();
    const bool is_heading = tag.name.size() == 2 && tag.name[0] == 'h' && tag.name[1] >= '1' &&
                            tag.name[1] <= '6';
    if (is_heading) {
      if (!tag.closes) out_ += "\n" + std::string(static_cast<size_t>(tag.name[1] - '0'), '#') + " ";
    } else if (tag.name == "title" && !tag.closes) {
      out_ += "\n# ";
    } else if ((tag.name == "li" || tag.name == "item") && !tag.closes) {
      out_ += "- ";
    } else if (tag.closes) {
      return;
    } else if (tag.name == "p" || tag.name == "para" || tag.name == "ul" || tag.name == "table") {
      if (!out_.ends_with("- ") && !out_.ends_with("\n\n")) out_ += '\n';
    }
  } else if (tag.name == "code" || tag.name == "tt" || tag.name == "cmd" || tag.name == "kbd") {
    put("`");
  } else if ((tag.name == "td" || tag.name == "th") && tag.closes) {
    put(" | ");
  }
}

void Page::skip_element(const std::string& name) {
  const bool is_raw = name == "script" || name == "style";  // no markup within
  int depth = 1;
  while (depth > 0 && at_ < html_.size()) {
    const size_t next = html_.find('<', at_);
    at_ = std::min(next, html_.size());
    if (at_ == html_.size()) return;
    Tag tag;
    if (html_.substr(at_).starts_with("<!--") && !is_raw) {
      const size_t end = html_.find("-->", at_ + 4);
      at_ = end == std::string_view::npos ? html_.size() : end + 3;
    } else if (is_raw && !html_.substr(at_).starts_with("</")) {
      at_++;
    } else if (!read_tag(tag)) {
      at_++;
    } else if (tag.name == name && !tag.is_empty) {
      depth += tag.closes ? -1 : 1;
    }
  }
}

void Page::read_text() {
  if (html_[at_] == '&') {
    const std::string_view rest = html_.substr(at_ + 1, 12);
    const size_t end = rest.find(';');
    const auto character = end == std::string_view::npos ? std::nullopt : decode_entity(rest.substr(0, end));
    if (character) {
      std::string text;
      if (*character != 0) core::append_utf8(text, *character);
      put(text);
      at_ += end + 2;
      return;
    }
    put("&");
    at_++;
    return;
  }
  const size_t end = std::min(html_.find_first_of("<&", at_), html_.size());
  put(html_.substr(at_, end - at_));
  at_ = end;
}

void Page::put(std::string_view text) {
  if (pre_depth_ > 0) {
    out_ += text;
    return;
  }
  for (const char c : text) {
    if (is_space(c)) {
      space_pending_ = true;
      line_broken_ |= c == '\n';
      continue;
    }
    if (space_pending_) {
      // A line break between two characters of a script without spaces is none.
      const bool in_chinese = line_broken_ && !out_.empty() && out_.back() < 0 &&
                              static_cast<uint8_t>(c) >= 0xE3;
      if (!in_chinese && !out_.empty() && out_.back() != '\n' && out_.back() != ' ') out_ += ' ';
      space_pending_ = line_broken_ = false;
    }
    out_ += c;
  }
}

void Page::break_line() {
  space_pending_ = line_broken_ = false;
  if (out_.ends_with("\n- ") || out_ == "- " || out_.ends_with("# ")) return;  // <li><p>: one line
  while (out_.ends_with('|') || out_.ends_with(' ')) out_.pop_back();          // the last cell of a row
  if (!out_.empty() && out_.back() != '\n') out_ += '\n';
}

}  // namespace

std::string html_to_text(std::string_view html) { return Page(html).run(); }

}  // namespace mneme::corpus

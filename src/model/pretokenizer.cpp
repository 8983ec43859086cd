#include "model/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "core/utf8.h"

namespace mneme::model {

using core::fail;
using core::pass;

namespace {

// Expressions as published in the models' tokenizer.json (field pre_tokenizer). Where there are several, each
// divides the pieces that the one before it left; matches and the gaps between them are pieces alike. \s is
// Unicode's White_Space throughout.
struct Rules {
  std::array<std::string_view, 4> names;
  PretokenizerTraits traits;
  std::array<const char*, 6> expressions;
};

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Han, kana, Hangul, and whatever else the published ranges take in; that they overlap changes nothing.
constexpr const char* kEastAsian = R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";

constexpr Rules kRules[] = {
    {{"default"}, {}, {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
    {{"gpt-2", "phi-2", "mpt", "olmo"}, {}, {kGpt2}},
    {{"llama-bpe", "llama3", "llama-v3"},
     {.whole_words = true, .add_bos = true},
     {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
    {{"qwen2", "qwen3", "deepseek-r1-qwen"},
     {},
     {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
    {{"deepseek-llm"},
     {},
     {"[\r\n]",
      // Letters of the scripts with upper and lower case, as they were listed by that tokeniser's authors.
      R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
      R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a})"
      R"(\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556})"
      R"(\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf})"
      R"(\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d})"
      R"(\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d})"
      R"(\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc})"
      R"(\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc})"
      R"(\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128})"
      R"(\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183})"
      R"(\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d})"
      R"(\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf})"
      R"(\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f})"
      R"(\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2})"
      R"(\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)",
      R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)",
      // Published as \s+$; the look-behind changes no match and keeps a long run of spaces from being tried
      // at each of them.
      R"((?<!\s)\s++$)", kEastAsian, R"(\p{N}+)"}},
    {{"deepseek-coder"}, {}, {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kEastAsian, R"(\p{N})"}},
    {{"deepseek-v3"},
     {},
     {R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)",
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
      R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
};

// PCRE2's \s has one character more than Unicode's White_Space (U+180E), and these models were trained
// without it: spells the class out.
std::string with_unicode_spaces(std::string_view expression) {
  constexpr std::string_view kSpaces =
      R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < expression.size(); i++) {
    const std::string_view two = expression.substr(i, 2);
    if (two == R"(\s)") {
      result.append(in_class ? "" : "[").append(kSpaces).append(in_class ? "" : "]");
    } else if (two == R"(\S)") {
      result.append("[^").append(kSpaces).append("]");
    } else if (two[0] == '\\') {
      result.append(two);
    } else {
      if (two[0] == '[' || two[0] == ']') in_class = two[0] == '[';
      result.push_back(two[0]);
      continue;
    }
    i++;
  }
  return result;
}

}  // namespace

struct Pretokenizer::Expression {
  pcre2_code* code = nullptr;
  Expression() = default;
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  ~Expression() { pcre2_code_free(code); }
};

struct Pretokenizer::Match {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  Match() {
    MNEME_CHECK(data != nullptr && context != nullptr, "out of memory");
    // No expression backtracks over more than the run it stands in; the limits are for what we did not
    // foresee. Past them a piece is cut where it is, which costs a worse split and nothing else.
    pcre2_set_match_limit(context, 1u << 30);
    pcre2_set_depth_limit(context, 10000);
    pcre2_set_heap_limit(context, 64u << 10);  // KiB
  }
  Match(const Match&) = delete;
  Match& operator=(const Match&) = delete;
  ~Match() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }

  // The first match that is not empty at or after `from`, or an empty one at the end. `text` is valid UTF-8.
  std::pair<size_t, size_t> find(const Expression& expression, std::string_view text, size_t from) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(expression.code, subject, text.size(), from, kOptions, data, context);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {  // the compiled code ran out of its small stack
      found = pcre2_match(expression.code, subject, text.size(), from, kOptions | PCRE2_NO_JIT, data,
                          context);
    }
    if (found < 0) return {text.size(), text.size()};
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
    return {span[0], span[1]};
  }
};

Pretokenizer::Pretokenizer() = default;
Pretokenizer::~Pretokenizer() = default;
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;

Result<Pretokenizer> Pretokenizer::make(std::string_view name) {
  const auto rules = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rules& candidate) {
    return !name.empty() &&
           std::find(candidate.names.begin(), candidate.names.end(), name) != candidate.names.end();
  });
  if (rules == std::end(kRules)) return fail("unknown pre-tokeniser '{}'", name);
  Pretokenizer pretokenizer;
  pretokenizer.traits_ = rules->traits;
  for (const char* published : rules->expressions) {
    if (published == nullptr) break;
    const std::string text = with_unicode_spaces(published);
    int error = 0;
    PCRE2_SIZE where = 0;
    auto expression = std::make_unique<Expression>();
    expression->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
                                     &error, &where, nullptr);
    MNEME_CHECK(expression->code != nullptr, "{}: error {} at {}", name, error, where);
    // Without JIT (a build of PCRE2 without it, or a system that forbids it) pcre2_match interprets.
    pcre2_jit_compile(expression->code, PCRE2_JIT_COMPLETE);
    pretokenizer.expressions_.push_back(std::move(expression));
  }
  return pretokenizer;
}

void Pretokenizer::split(std::string_view text, size_t bytes_max, const Sink& sink) const {
  const Sink cut_to_size = [&](std::string_view piece) {
    while (piece.size() > bytes_max) {
      const size_t cut = core::utf8_cut_before(piece, bytes_max);
      sink(piece.substr(0, cut));
      piece.remove_prefix(cut);
    }
    sink(piece);
  };
  Match match;
  while (!text.empty()) {
    const size_t valid = core::utf8_valid_prefix(text);
    if (valid > 0) split_stage(text.substr(0, valid), 0, match, cut_to_size);
    size_t broken = valid;
    while (broken < text.size()) {
      const core::Utf8Char next = core::decode_utf8(text.substr(broken));
      if (next.valid) break;
      broken += next.length;
    }
    if (broken > valid) cut_to_size(text.substr(valid, broken - valid));
    text.remove_prefix(broken);
  }
}

void Pretokenizer::split_stage(std::string_view text, size_t stage, Match& match, const Sink& sink) const {
  if (stage == expressions_.size()) {
    sink(text);
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const auto [begin, end] = match.find(*expressions_[stage], text, at);
    if (begin > at) split_stage(text.substr(at, begin - at), stage + 1, match, sink);
    if (end > begin) split_stage(text.substr(begin, end - begin), stage + 1, match, sink);
    at = end;
  }
}

}  // namespace mneme::model

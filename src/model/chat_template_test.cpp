// What a template may not do: errors name their line, and every way to spend without end meets a limit.
#include "model/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "model/jinja_json.h"

namespace mneme::model {
namespace {

JinjaValue context_of(std::string_view json) {
  auto context = parse_json(json);
  EXPECT_TRUE(context) << context.error().message;
  return context ? *context : JinjaValue::dict({});
}

std::string repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

// The text, or the error after "error: ".
std::string outcome(std::string_view source, const JinjaValue& context = JinjaValue::dict({}),
                    const ChatRenderOptions& options = {}) {
  auto compiled = ChatTemplate::compile(source);
  if (!compiled) return "error: " + compiled.error().message;
  auto text = compiled->render(context, options);
  return text ? *text : "error: " + text.error().message;
}

void expect_error(std::string_view source, std::string_view part, const ChatRenderOptions& options = {}) {
  std::string text = outcome(source, JinjaValue::dict({}), options);
  EXPECT_TRUE(text.starts_with("error: ")) << source.substr(0, 200) << "\n" << text.substr(0, 200);
  EXPECT_NE(text.find(part), std::string::npos) << source.substr(0, 200) << "\n" << text.substr(0, 300);
}

TEST(ChatTemplate, ChatMlFallback) {
  JinjaValue context = context_of(
      R"({"messages": [{"role": "user", "content": "你好"}], "add_generation_prompt": true})");
  EXPECT_EQ(outcome(kChatMlTemplate, context), "<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, ContextBuiltByHand) {
  JinjaDict message;
  message.set("role", JinjaValue("user"));
  message.set("content", JinjaValue("hi"));
  JinjaDict context;
  context.set("messages", JinjaValue::list({JinjaValue::dict(std::move(message))}));
  context.set("n", JinjaValue(int64_t{3}));
  EXPECT_EQ(outcome("{{ messages[0].role }} {{ messages[0]['content'] }} {{ n }}",
                    JinjaValue::dict(std::move(context))),
            "user hi 3");
  EXPECT_TRUE(outcome("x", JinjaValue("no dict")).starts_with("error: "));
}

TEST(ChatTemplate, SyntaxErrorsNameTheLine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a\n{{ 1 + }}", "line 2: expected a value, found '}}'"},
      {"{% if x %}\n\n", "line 1: '{% if %}' has no '{% endif %}'"},
      {"\n\n{% for x in y %}{% endif %}", "line 3: expected a statement"},
      {"{% endfor %}", "line 1: expected a statement"},
      {"{{ (1 }}", "line 1: unexpected '}', expected ')'"},
      {"{{ 'abc }}", "line 1: the string has no end"},
      {"\n{# abc", "line 2: the comment has no end"},
      {"\n{% raw %}", "line 2: '{% raw %}' has no '{% endraw %}'"},
      {"{{ a b }}", "line 1: expected '}}', found 'b'"},
      {"{% set 1 = 2 %}", "line 1: expected a name"},
      {"{% set true = 2 %}", "line 1: 'true' cannot be assigned to"},
      {"{% include 'x' %}", "line 1: expected a statement"},
      {"{% break %}", "line 1: 'break' outside of a loop"},
      {"{% for i in x %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "'break' outside of a loop"},
      {"{{ 99999999999999999999 }}", "line 1: the number 99999999999999999999 is out of range"},
      {"{{ f(a=1, 2) }}", "line 1: expected a named argument"},
      {"{% macro m(a=1, b) %}{% endmacro %}", "line 1: expected a default"},
      {"{{", "line 1: the tag has no end '}}'"},
      {"{{ a ? b }}", "line 1: unexpected character '?'"},
  };
  for (const auto& [source, part] : cases) expect_error(source, part);
}

TEST(ChatTemplate, RenderErrorsNameTheLine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"\n\n{{ raise_exception('no ' ~ 'way') }}", "line 3: no way"},
      {"{{ q.r }}", "line 1: 'q' is undefined; it has no 'r'"},
      {"{% macro m() %}\n{{ q.r }}\n{% endmacro %}\n\n{{ m() }}", "line 2: 'q' is undefined"},
      {"{{ q() }}", "'q' is undefined and cannot be called"},
      {"{{ 'x'.nothing() }}", "'nothing' is undefined and cannot be called"},
      {"{{ q + 1 }}", "'q' is undefined"},
      {"{{ 'a' + 1 }}", "unsupported operand types for +: 'str' and 'int'"},
      {"{{ 1 < 'a' }}", "'int' and 'str' have no order"},
      {"{{ [1, 'a']|sort }}", "have no order"},
      {"{{ 1 / 0 }}{{ 1 % 0 }}", "division by zero"},
      {"{{ 9223372036854775807 + 1 }}", "does not fit 64 bits"},
      {"{{ (-9223372036854775807 - 1) // -1 }}", "does not fit 64 bits"},
      {"{{ 3 ** 99 }}", "does not fit 64 bits"},
      {"{{ 1|nothing }}", "there is no filter named 'nothing'"},
      {"{{ 1 is nothing }}", "there is no test named 'nothing'"},
      {"{{ 1|trim(what=2) }}", "no argument named 'what'"},
      {"{% for a, b in [(1, 2, 3)] %}{% endfor %}", "3 values cannot be assigned to 2 names"},
      {"{% for a in 5 %}{% endfor %}", "'int' is not iterable"},
      {"{% set x = {} %}{% set x.a = 1 %}", "'x' is not a namespace"},
      {"{{ {[]: 1} }}", "cannot be the key of a dict"},
      {"{{ q|tojson }}", "tojson: the value is undefined"},
      {"{{ strftime_now('%1000000d') }}", "unknown conversion"},
      {"{{ '%s' % (1, 2) }}", "not all arguments"},
      {"{{ '%2000s' % 1 }}", "a width in a format is above"},
  };
  for (const auto& [source, part] : cases) expect_error(source, part);
}

TEST(ChatTemplate, WhatIsNeverReachedMayBeUnknown) {
  EXPECT_EQ(outcome("{% if false %}{{ 1|nothing }}{{ q.r.s }}{% endif %}ok"), "ok");
}

TEST(ChatTemplate, NestingIsBounded) {
  std::string line_of_nesting = "nested deeper than";
  expect_error("{{ " + repeat("(", 20'000) + "1" + repeat(")", 20'000) + " }}", line_of_nesting);
  expect_error("{{ " + repeat("[", 20'000) + repeat("]", 20'000) + " }}", line_of_nesting);
  expect_error("{{ " + repeat("not ", 20'000) + "1 }}", line_of_nesting);
  expect_error("{{ " + repeat("- ", 20'000) + "1 }}", line_of_nesting);
  expect_error(repeat("{% if 1 %}", 20'000) + repeat("{% endif %}", 20'000), line_of_nesting);
  expect_error("{% set " + repeat("(", 20'000) + "a" + repeat(")", 20'000) + " = 1 %}", line_of_nesting);
  expect_error("{{ 1" + repeat(" if 1 else 1", 20'000) + " }}", line_of_nesting);
  expect_error("{{ 1" + repeat("+1", 20'000) + " }}", "too long or nested too deep");
  expect_error("{{ a" + repeat(".b", 20'000) + " }}", "too long or nested too deep");
  expect_error("{{ a" + repeat("|trim", 20'000) + " }}", "too long or nested too deep");
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", line_of_nesting);
  expect_error("{% macro m() %}{% call m() %}{% endcall %}{{ caller }}{% endmacro %}{{ m() }}",
               line_of_nesting);
  expect_error("{% set ns = namespace(x=0) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}",
               line_of_nesting);
  expect_error("{{ ['a']|map(" + repeat("'map',", 10'000) + "'trim')|list }}", "nested");
}

TEST(ChatTemplate, SpendingIsBounded) {
  std::string thousandfold = "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}";
  std::string ends = "{% endfor %}{% endfor %}{% endfor %}";
  ChatRenderOptions options;
  options.limits.steps_max = 200'000;
  options.limits.allocated_bytes_max = size_t{8} << 20;
  expect_error(thousandfold + ends, "more than 200000 steps", options);
  expect_error("{{ range(10000000) }}", "range has more than", options);
  expect_error("{{ 'abc' * 1000000000 }}", "too much memory", options);
  expect_error("{{ [1] * 1000000000 }}", "too much memory", options);
  expect_error(
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "memory", options);
  expect_error(
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "memory", options);
  expect_error("{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", "too much memory", options);
  options.limits.output_bytes_max = 1000;
  expect_error("{% for a in range(1000) %}ab{% endfor %}", "prints more than 1000 bytes", options);
  expect_error("{{ 'x' * 1001 }}", "prints more than 1000 bytes", options);
  // Shared twice at each level: small in memory, without end when it is compared or printed.
  std::string doubling =
      "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}"
      "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  options.limits.steps_max = 100'000;
  expect_error(doubling + "{{ ns.a == ns.b }}", "steps", options);
  expect_error(doubling + "{{ ns.a|tojson }}", "steps", options);
}

// Python holds such a list; it must be printable to an error, comparable and freed.
TEST(ChatTemplate, CirclesAreFreed) {
  expect_error("{% set l = [] %}{% do l.append(l) %}{{ l }}", "nested too deep");
  expect_error("{% set l = [] %}{% do l.append(l) %}{{ l|tojson }}", "nested too deep");
  expect_error("{% set l = [] %}{% set m = [] %}{% do l.append(m) %}{% do m.append(l) %}{{ l == m }}",
               "nested too deep");
  EXPECT_EQ(outcome("{% set ns = namespace() %}{% set ns.me = ns %}{% set l = [ns] %}{% do l.append(l) %}ok"),
            "ok");
  EXPECT_EQ(
      outcome(
          "{% macro m() %}{% endmacro %}{% set ns = namespace(m=m) %}{% for i in [1] %}{% set ns.l = loop %}"
          "{% macro k() %}{{ i }}{% endmacro %}{% set ns.k = k %}{% endfor %}{{ ns.k() }}"),
      "1");
  EXPECT_EQ(outcome("{% set ns = namespace(head=[]) %}{% set ns.tail = ns.head %}{% for i in range(10000) %}"
                    "{% set next = [] %}{% do ns.tail.append(next) %}{% set ns.tail = next %}{% endfor %}ok"),
            "ok");
}

TEST(ChatTemplate, TheContextIsNotChanged) {
  JinjaValue context = context_of(R"({"l": [1], "d": {"a": 1}})");
  EXPECT_NE(outcome("{% do l.append(2) %}", context).find("read-only"), std::string::npos);
  EXPECT_NE(outcome("{% do d.update({'b': 2}) %}", context).find("read-only"), std::string::npos);
  EXPECT_NE(outcome("{{ d.pop('a') }}", context).find("read-only"), std::string::npos);
  EXPECT_EQ(outcome("{% set m = l[:] %}{% do m.append(2) %}{{ m }}{{ l }}", context), "[1, 2][1]");
}

TEST(ChatTemplate, ClockIsGiven) {
  setenv("TZ", "UTC", 1);
  ChatRenderOptions options;
  options.now_unix_s = 1'700'000'000;
  EXPECT_EQ(outcome("{{ strftime_now('%d %b %Y, %H:%M') }}", JinjaValue::dict({}), options),
            "14 Nov 2023, 22:13");
}

TEST(ChatTemplate, RendersOnSeveralThreads) {
  auto compiled = ChatTemplate::compile("{% for m in messages %}{{ m.role ~ m.content|trim }}{% endfor %}");
  ASSERT_TRUE(compiled);
  JinjaValue context = context_of(
      R"({"messages": [{"role": "user", "content": " a "}, {"role": "x", "content": "b"}]})");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) EXPECT_EQ(compiled->render(context).value_or(""), "useraxb");
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ChatTemplate, BrokenUtf8IsCarriedThrough) {
  JinjaDict context;
  context.set("s", JinjaValue("\xff" "a\xe4\xbd \xc0\x80"));
  JinjaValue value = JinjaValue::dict(std::move(context));
  EXPECT_EQ(outcome("{{ s|trim }}{{ s|length }}{{ s[::-1] }}{{ {s: 1}[s] }}", value),
            "\xff" "a\xe4\xbd \xc0\x80" "7\x80\xc0 \xbd\xe4" "a\xff" "1");
}

}  // namespace
}  // namespace mneme::model

// What Python's Jinja prints with Hugging Face's settings: trim_blocks, lstrip_blocks, tojson, break.
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "model/chat_template.h"
#include "model/jinja_json.h"

namespace mneme::model {
namespace {

constexpr std::string_view kContext = R"({
  "s": "Hello, World", "zh": "你好，世界　", "n": 42, "f": 1.5, "t": true, "nil": null, "l": [3, 1, 2], "e": [],
  "d": {"b": 1, "a": [1, 2], "items": 5, "c": {"x": null}},
  "u": [{"name": "Bob", "age": 3, "k": {"z": 1}}, {"name": "alice", "age": 10}, {"name": "Carol", "age": 3}],
  "html": "<a href='x'>&\"</a>", "ml": "a\n\n  b\r\nc\n"
})";

struct Case {
  std::string_view source;
  std::string_view expected;
};

void expect_all(const std::vector<Case>& cases) {
  auto context = parse_json(kContext);
  ASSERT_TRUE(context) << context.error().message;
  for (const Case& one : cases) {
    SCOPED_TRACE(one.source);
    auto compiled = ChatTemplate::compile(one.source);
    ASSERT_TRUE(compiled) << compiled.error().message;
    auto text = compiled->render(*context);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, one.expected);
  }
}

TEST(Jinja, Arithmetic) {
  expect_all({
      {"{{ 1 + 2 * 3 - 4 / 2 }}", "5.0"},
      {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
       "3 -4 2 -2 3.0 0.5"},
      {"{{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 2 ** 0.5 }}",
       "1024 64 0.5 4 1.4142135623730951"},
      {"{{ 1.0 }} {{ 1e16 }} {{ 1e15 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1e100 }} {{ -0.0 }} {{ 0.1 + 0.2 }}",
       "1.0 1e+16 1000000000000000.0 1e-05 0.0001 1e+100 -0.0 0.30000000000000004"},
      {"{{ 10 / 5 }} {{ 3 * 1.0 }} {{ 123456789012345680.0 }} {{ 1e308 * 10 }}",
       "2.0 3.0 1.2345678901234568e+17 inf"},
      {"{{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }}", "1000 31 5 15 1500.0"},
      {"{{ 'ab' * 2 }} {{ [0] * 3 }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'x' * -1 }}|",
       "abab [0, 0, 0] [1, 2] (1, 2) |"},
  });
}

TEST(Jinja, Precedence) {
  expect_all({
      {"{{ 2 * 3 ~ 4 }} {{ 1 ~ 2 * 3 }} {{ 'a' ~ 1 ~ none ~ true ~ [1] }}", "64 16 a1NoneTrue[1]"},
      {"{{ -n|abs }} {{ n - -1 }} {{ -l[0] }} {{ not 1 == 2 }} {{ not not 1 }}", "42 43 -3 True True"},
      {"{{ true and 'x' }} {{ false or 'y' }} {{ '' or 'z' and 'w' }}", "x y w"},
      {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ l|length > 2 }} {{ l|length is divisibleby 3 }}",
       "True False True True"},
      {"{{ n is defined and n > 3 }} {{ (n is string) == false }} {{ 'a' if n is string else 'b' }}",
       "True True b"},
      {"{{ 'x' if false }}|{{ 'x' if false else 'y' if false else 'z' }}|{{ 'x'|upper if t else 'y' }}",
       "|z|X"},
      {"{{ 'a' in 'abc' and 'x' not in 'abc' }} {{ 'b' in d }} {{ 3 not in l }} {{ 1 in missing }}",
       "True True False False"},
      {R"({{ (s|upper)[:2] }} {{ (l|sort)[0] }} {{ u.0.name }} {{ u[0]['name'] }} {{ 'a' 'b' "c" }})",
       "HE 1 Bob Bob abc"},
  });
}

TEST(Jinja, PrintsLikePython) {
  expect_all({
      {R"({{ true }} {{ none }} {{ [1, 'a', "it's", none, 1.5, {'k': ('v',)}] }} {{ () }})",
       R"(True None [1, 'a', "it's", None, 1.5, {'k': ('v',)}] ())"},
      {R"({{ ["it's", 'say "hi"', 'both \' and "', 'new\nline', '你好', '\x00\x1f\x7f\xa0'] }})",
       R"(["it's", 'say "hi"', 'both \' and "', 'new\nline', '你好', '\x00\x1f\x7f\xa0'])"},
      {"{{ {'a': 1, 'a': 2, 1: 'x', true: 'y'} }} {{ dict({'x': 1}, y=2) }} {{ d.keys()|list }}",
       "{'a': 2, 1: 'y'} {'x': 1, 'y': 2} ['b', 'a', 'items', 'c']"},
      {"{{ d|items|list }}", "[('b', 1), ('a', [1, 2]), ('items', 5), ('c', {'x': None})]"},
      {"{{ missing }}|{{ d.missing }}|{{ d['missing'] }}|{{ l[5] }}|{{ nil.foo }}|{{ (q.r is"
       " defined) if q else 0 }}",
       "|||||0"},
      {R"({{ 'it\'s' }} {{ "\u4f60\x41\101\n\t\q" }} {{ 'a\\b' }})", "it's 你AA\n\t\\q a\\b"},
  });
}

TEST(Jinja, Slices) {
  expect_all({
      {"{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[:3] }} {{ s[-3:] }} {{ s[::2] }} {{"
       " s[10:2:-3] }}",
       "Hd ell dlroW ,olleH Hel rld Hlo ol lWo"},
      {"{{ zh[0] }} {{ zh[::-1] }} {{ zh|length }} {{ zh.find('世') }}", "你 　界世，好你 6 3"},
      {"{{ l[::-1] }} {{ l[1:] }} {{ l[:-1] }} {{ l[5:] }} {{ l[2:0:-1] }} {{ l[-100:100] }} {{"
       " l[::-2] }} {{ s[none:] }}",
       "[2, 1, 3] [1, 2] [3, 1] [] [2, 1] [3, 1, 2] [2, 3] Hello, World"},
  });
}

TEST(Jinja, StringMethods) {
  expect_all({
      {R"({{ s.upper() }} {{ s.lower() }} {{ "they're bill's".title() }} {{ "hello)"
       R"( wORLD".capitalize() }})",
       "HELLO, WORLD hello, world They'Re Bill'S Hello world"},
      {R"([{{ "  x  ".strip() }}|{{ "  x  ".lstrip() }}|{{ "  x  ".rstrip() }}|{{ "xxaxx".strip('x'))"
       R"( }}|{{ zh.strip() }}])",
       "[x|x  |  x|a|你好，世界]"},
      {R"({{ "a,b,,c".split(',') }} {{ " a  b ".split() }} {{ "a,b,c".split(',', 1) }} {{)"
       R"( "a,b,c".rsplit(',', 1) }})",
       "['a', 'b', '', 'c'] ['a', 'b'] ['a', 'b,c'] ['a,b', 'c']"},
      {R"({{ "a b c ".rsplit(none, 1) }} {{ "".split(',') }} {{ "".split() }} {{ ml.splitlines() }})"
       R"( {{ ml.splitlines(true) }})",
       R"(['a b', 'c'] [''] [] ['a', '', '  b', 'c'] ['a\n', '\n', '  b\r\n', 'c\n'])"},
      {R"({{ "<think>x</think>\n\ny".split('</think>')[-1].lstrip('\n') }})", "y"},
      {"{{ s.startswith('He') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'H')) }} {{"
       " s.find('zz') }} {{ s.rfind('o') }}",
       "True True True -1 8"},
      {"{{ s.replace('l', 'L', 1) }} {{ s.replace('', '-') }} {{ 'aaa'.replace('aa', 'b') }} {{"
       " s.count('l') }}",
       "HeLlo, World -H-e-l-l-o-,- -W-o-r-l-d- ba 3"},
      {R"({{ '-'.join('abc') }} {{ "{} {a} {{}}".format(1, a='x') }} {{ 'abc'.removeprefix('a') }})",
       "a-b-c 1 x {} bc"},
      {R"({{ "%s is %d, %5.2f|%-5s|%05d|%x|%%|%r" % ('Bob', 3, 2.5, 'ab', 42, 255, 'q') }})",
       "Bob is 3,  2.50|ab   |00042|ff|%|'q'"},
      {R"({{ "Straße".upper() }} {{ "ÀÉÎ".lower() }} {{ "привет".upper() }} {{ ''.isalpha() }} {{)"
       R"( '12'.isdigit() }})",
       "STRASSE àéî ПРИВЕТ False True"},
  });
}

TEST(Jinja, TextFilters) {
  expect_all({
      {"{{ zh|trim }}| {{ 'xyx'|trim('x') }} {{ \"bill's-x (foo)\"|title }} {{ 12321|replace(2,"
       " 'x') }} {{ 5|upper }}",
       "你好，世界| y Bill's-X (Foo) 1x3x1 5"},
      {"{{ ml|indent }}|", "a\n\n      b\n    c\n|"},
      {"{{ ml|indent(2, true) }}|", "  a\n\n    b\n  c\n|"},
      {"{{ ml|indent('>>', blank=true) }}|", "a\n>>\n>>  b\n>>c\n>>|"},
      {R"({{ html|e }} {{ html|safe }} {{ 'a b  c'|wordcount }} {{ "%s-%s"|format(1, 'b') }} {{)"
       R"( 5|string ~ 'a' }})",
       R"(&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; <a href='x'>&"</a> 3 1-b 5a)"},
      {"{{ '42'|int }} {{ '42.7'|int }} {{ 'x'|int(5) }} {{ -3.9|int }} {{ '0x1f'|int(base=16) }}"
       " {{ none|int }}",
       "42 42 5 -3 31 0"},
      {"{{ '1.5'|float }} {{ 'z'|float }} {{ 3|float }} {{ 2.5|round }} {{ 2.567|round(2) }} {{"
       " 2.1|round(0, 'ceil') }}",
       "1.5 0.0 3.0 2.0 2.57 3.0"},
      {"{{ 42|round }} {{ 2.675|round(2) }} {{ -5.5|abs }}", "42 2.67 5.5"},
  });
}

TEST(Jinja, ToJson) {
  expect_all({
      {"{{ d|tojson }}", R"({"b": 1, "a": [1, 2], "items": 5, "c": {"x": null}})"},
      {"{{ {'a': {'b': [1, {'c': none}]}, 'e': [], 'f': {}}|tojson(indent=2) }}",
       "{\n  \"a\": {\n    \"b\": [\n      1,\n      {\n        \"c\": null\n      }\n    ]\n  },\n"
       "  \"e\": [],\n  \"f\": {}\n}"},
      {R"({{ "é你\n\t\"\\/<>&'\x01\x7f"|tojson }} {{ [1.0, 1e20, true]|tojson }} {{ (1, 2)|tojson }})",
       "\"é你\\n\\t\\\"\\\\/<>&'\\u0001\" [1.0, 1e+20, true] [1, 2]"},
      {"{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, separators=(',', ':')) }} {{"
       " 'é😀'|tojson(ensure_ascii=true) }}",
       R"({"a":2,"b":1} "\u00e9\ud83d\ude00")"},
      {"{{ {1: 2, none: 3, true: 4, 1.5: 6}|tojson }}", R"({"1": 4, "null": 3, "1.5": 6})"},
  });
}

TEST(Jinja, ListFilters) {
  expect_all({
      {"{{ l|first }} {{ l|last }} {{ e|first }}| {{ s|last }} {{ l|sum }} {{ l|min }} {{ l|max }}"
       " {{ missing|length }}",
       "3 2 | d 6 1 3 0"},
      {"{{ ['b', 'A', 'c']|sort }} {{ ['b', 'A', 'c']|sort(case_sensitive=true) }} {{"
       " l|sort(reverse=true) }} {{ s|reverse }}",
       "['A', 'b', 'c'] ['A', 'b', 'c'] [3, 2, 1] dlroW ,olleH"},
      {"{{ u|sort(attribute='age,name')|map(attribute='name')|join(', ') }} {{ u|join('+',"
       " attribute='name') }}",
       "Bob, Carol, alice Bob+alice+Carol"},
      {"{{ u|selectattr('age', 'equalto', 3)|map(attribute='name')|list }} {{ u|rejectattr('age',"
       " 'gt', 5)|list|length }}",
       "['Bob', 'Carol'] 2"},
      {"{{ u|map(attribute='k.z', default='?')|list }} {{ ['a b', 'c']|map('replace', ' ', '_')|list }}",
       "[1, '?', '?'] ['a_b', 'c']"},
      {"{{ [1, 2, 3, 4]|select('odd')|list }} {{ [0, 1, '', none, 'x']|select|list }} {{"
       " none|map('upper')|list }}",
       "[1, 3] [1, 'x'] []"},
      {"{{ ['a', 'B', 'A', 1, 1.0]|unique|list }} {{ l|batch(2, 'x')|list }} {{ [1, 2, 3, 4,"
       " 5]|slice(3, 'z')|list }}",
       "['a', 'B', 1] [[3, 1], [2, 'x']] [[1, 2], [3, 4], [5, 'z']]"},
      {"{{ {'x': 2, 'Y': 1}|dictsort }} {{ {'x': 2, 'Y': 1}|dictsort(by='value') }} {{ 'abc'|list }}",
       "[('x', 2), ('Y', 1)] [('Y', 1), ('x', 2)] ['a', 'b', 'c']"},
      {"{{ q|default('y') }} {{ ''|default('y', true) }} {{ none|default('y') }} {{ none|d('y',"
       " boolean=true) }}",
       "y y None y"},
  });
}

TEST(Jinja, Tests) {
  expect_all({
      {"{{ n is defined }} {{ q is defined }} {{ q is undefined }} {{ nil is none }} {{ n is not"
       " none }} {{ s is string }}",
       "True False True True True True"},
      {"{{ t is number }} {{ t is integer }} {{ n is integer }} {{ f is float }} {{ t is boolean }}"
       " {{ t is true }} {{ t is false }}",
       "True False True True True True False"},
      {"{{ d is mapping }} {{ s is sequence }} {{ d is iterable }} {{ n is iterable }} {{ q is"
       " iterable }} {{ range is callable }}",
       "True True True False True True"},
      {"{{ n is eq 42 }} {{ n is lt(50) }} {{ n is even }} {{ n is odd }} {{ n is divisibleby 7 }}"
       " {{ 1 is in [1, 2] }}",
       "True True True False True True"},
      {"{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ l is sameas l }} {{ 'upper' is filter }}",
       "True True True True"},
  });
}

TEST(Jinja, Loops) {
  expect_all({
      {"{% for i in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{"
       " loop.last }}{% endfor %}",
       "103TrueFalse212FalseFalse321FalseTrue"},
      {"{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{"
       " loop.length }};{% endfor %}",
       "<3>1a3;3<1>2b3;1<2>a3;"},
      {"{% for i in range(5) if i is odd %}{{ i }}{{ loop.length }}{% else %}none{% endfor %}{% for"
       " i in e %}x{% else %}none{% endfor %}",
       "1232none"},
      {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
       "b=1;a=[1, 2];items=5;c={'x': None};baitemsc"},
      {"{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for i in missing"
       " %}x{% endfor %}",
       "123"},
      {"{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break"
       " %}{% endif %}{{ i }}{% endfor %}",
       "0134"},
      {"{% for i in [1] %}a{% continue %}{% else %}b{% endfor %}{% for i in [1, 2] %}c{% if i == 2"
       " %}{% break %}{% endif %}{% else %}d{% endfor %}",
       "abcc"},
      {"{{ range(3)|list }} {{ range(2, 8, 3)|list }} {{ range(5, 0, -2)|list }}",
       "[0, 1, 2] [2, 5] [5, 3, 1]"},
  });
}

TEST(Jinja, Scopes) {
  expect_all({
      {"{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "12121"},
      {"{% set x = 1 %}{% if true %}{% set x = 9 %}{% endif %}{{ x }}{% with a=1, b=2 %}{{ a + b"
       " }}{% endwith %}{{ a }}",
       "93"},
      {"{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{"
       " ns.a }}{{ ns.missing }}",
       "4"},
      {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3, 4] %}{{ c }}{{ e }}{% set t2 = 1, 2"
       " %}{{ t2 }}",
       "1234(1, 2)"},
      {"{% set x %}abc {{ 1 }}{% endset %}[{{ x }}]{% set y | upper | trim %} abc {% endset %}[{{ y }}]",
       "[abc 1][ABC]"},
      {"{% filter replace('a', 'b')|upper %}banana{% endfilter %}{% generation %}out{% endgeneration %}",
       "BBNBNBout"},
  });
}

TEST(Jinja, Macros) {
  expect_all({
      {"{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{"
       " m(b=5, a=4) }}{{ m() }}",
       "121;131;454;2;"},
      {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}", "(1, 2){'a': 3}"},
      {"{% macro k(x) %}{{ caller(x) }}!{% endmacro %}{% call(v) k(5) %}got {{ v }}{% endcall %}",
       "got 5!"},
      {"{% macro f(n) %}{% if n <= 1 %}1{% else %}{{ n * (f(n - 1)|int) }}{% endif %}{% endmacro"
       " %}{{ f(10) }}",
       "3628800"},
      {"{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1)|int + 1 }}{{ y }}{{ m.name }}", "2m"},
      {"{% set j = joiner('; ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}", "3; 1; 2"},
      {"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{"
       " c.reset() }}{{ c.next() }}",
       "abaaNonea"},
  });
}

TEST(Jinja, Changes) {
  expect_all({
      {"{% set x = [1] %}{% do x.append(2) %}{{ x.append(3) }}{{ x }}{{ x.pop() }}{{ x.pop(0) }}{{ x }}",
       "None[1, 2, 3]31[2]"},
      {"{% set x = [1] %}{% do x.insert(0, 'z') %}{% do x.extend([7, 8]) %}{{ x }}{{ x.index(7)"
       " }}{{ x.count(8) }}",
       "['z', 1, 7, 8]21"},
      {"{% set x = {'a': 1} %}{% do x.update({'b': 2}, c=3) %}{{ x }}{{ x.pop('a') }}{{"
       " x.setdefault('z', 5) }}{{ x }}",
       "{'a': 1, 'b': 2, 'c': 3}15{'b': 2, 'c': 3, 'z': 5}"},
      {"{% set x = namespace(l=[]) %}{% for m in u %}{% set x.l = x.l + [m.name] %}{% endfor %}{{"
       " x.l|join('+') }}",
       "Bob+alice+Carol"},
  });
}

TEST(Jinja, WhiteSpace) {
  expect_all({
      {"a\n  {% if true %}\n    b\n  {% endif %}\nc\n", "a\n    b\nc"},
      {"  {% if true %}x{% endif %}  \n", "x  "},
      {"{% if true %}\n\nx\n{% endif %}\n\n", "\nx\n"},
      {"a {%- if true %} b {% endif -%}  \n c", "a b c"},
      {"  {%+ if true %}x{% endif %}", "  x"},
      {"{% if true +%}\nx{% endif %}", "\nx"},
      {"a\n  {# c #}\nb", "a\nb"},
      {"a  {# c #}\n  b", "a    b"},
      {"{#- c -#}\n\n x", "x"},
      {"x {{- 1 -}} y", "x1y"},
      {"x\n  {{ 1 }}\n  y\n", "x\n  1\n  y"},
      {"\n\n{{ 1 }}\n\n", "\n\n1\n"},
      {"a\r\nb\r\n{% if true %}\r\nc{% endif %}\rd", "a\nb\ncd"},
      {"{% raw %}\n x {{ y }}\n  {% endraw %}\n z", "\n x {{ y }}\n z"},
      {"a {%- raw -%}  x  {%- endraw -%}  b", "axb"},
      {"{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend", "  1\n  2\nend"},
      {"{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\nend", "12end"},
      {"x{% set a = 1 %}\n{% set b = 2 %}\ny", "xy"},
      {"\t{% if true %}\tx\t{% endif %}\t", "\tx\t\t"},
      {"　{% if true %}x{% endif %}", "x"},
      {"x　{%- if true %}y{% endif %}", "xy"},
      {"{{ {'a': {'b': 1}} }}", "{'a': {'b': 1}}"},
      {R"({{'%}'}}{{ "}}" }})", "%}}}"},
      {"{ { % } {a} {", "{ { % } {a} {"},
      {"{%if true%}x{%endif%}", "x"},
      {"{#{{ x }}#}y", "y"},
      {"{#+ a +#}\nb", "\nb"},
      {"{% if true %}{# x #}\n{% endif %}\ny", "y"},
      {"a\n\n", "a\n"},
      {"\n  {%- set x = 5 %}\n  {{ x }}", "  5"},
      {"{{ 1 }} }} %}", "1 }} %}"},
  });
}

}  // namespace
}  // namespace mneme::model

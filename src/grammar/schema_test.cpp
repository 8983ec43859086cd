// Schemas against a validator that knows nothing of grammars.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "grammar/json_oracle_for_test.h"
#include "grammar/tokens_for_test.h"
#include "mneme/grammar.h"

namespace mneme::grammar {
namespace {

std::vector<std::string> json_pieces() {
  return {"{\"", "\":",   "\": ",    "\",",    "\", \"",   "\"}",  "}",        "},",       "[",    "]",
          "],",  "true",  "false",   "null",   "tr",       "ue",   "12",       "345",      "-",    "0.",
          "abc", "hello", " the",    "日",     "\xE6\x97", "\xA5", "\xF0\x9F", "\x98\x80", "\\\"", "\\u",
          "00",  "\\n",   "name\":", "id\": ", "-02-",     "20",   "\xC3",     "\xA9t",    "",     "\n",
          "  ",  "{}",    "[]",      "[[",     "\"a\"",    "e+",   "}}}",      "\xFF\xFE"};
}

std::shared_ptr<const Grammar> grammar_of(const std::string& schema, bool strict = false) {
  auto made = Grammar::from_schema(schema, {.strict = strict});
  EXPECT_TRUE(made.has_value()) << made.error().message << "\n" << schema;
  return made ? *made : nullptr;
}

std::string error_of(const std::string& schema, bool strict = false) {
  auto made = Grammar::from_schema(schema, {.strict = strict});
  return made ? "" : made.error().message;
}

TEST(Schema, WhatIsDrawnIsValid) {
  const auto bytes = bytes_and({}), pieces = bytes_and(json_pieces());
  size_t ended = 0, empty = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    core::Rng rng(seed);
    const OracleJson schema = random_schema(rng);
    auto grammar = Grammar::from_schema(schema.dump(), {});
    if (!grammar) {
      ASSERT_NE(grammar.error().message.find("matches nothing"), std::string::npos)
          << seed << ": " << grammar.error().message << schema.dump();
      ++empty;
      continue;
    }
    for (const auto& vocabulary : {bytes, pieces}) {
      const Constraint constraint(*grammar, vocabulary);
      for (int i = 0; i < 3; ++i) {
        const auto text = draw_text(rng, constraint);
        if (!text) continue;
        ++ended;
        const OracleJson value = OracleJson::parse(*text, nullptr, false);
        ASSERT_FALSE(value.is_discarded()) << "seed " << seed << ": " << *text;
        ASSERT_EQ(why_invalid(schema, schema, value), "") << "seed " << seed << "\n"
                                                          << schema.dump() << "\n"
                                                          << *text;
        ASSERT_TRUE((*grammar)->matches(*text)) << "seed " << seed << ": " << *text;
      }
    }
  }
  EXPECT_GT(ended, 1400u);
  EXPECT_LT(empty, 10u);
}

TEST(Schema, ValidValuesAreAccepted) {
  size_t checked = 0;
  for (uint64_t seed = 1000; seed < 1400; ++seed) {
    core::Rng rng(seed);
    const OracleJson schema = random_schema(rng);
    auto grammar = Grammar::from_schema(schema.dump(), {});
    if (!grammar) continue;
    for (int i = 0; i < 10; ++i) {
      const OracleJson value = random_value(rng, schema, schema);
      if (!why_invalid(schema, schema, value).empty()) continue;  // bounds that contradict each other
      ++checked;
      for (const std::string& text : {value.dump(), random_text(rng, value)})
        ASSERT_TRUE((*grammar)->matches(text)) << "seed " << seed << "\n" << schema.dump() << "\n" << text;
    }
  }
  EXPECT_GT(checked, 3000u);
}

// A text that is nearly right: the grammar accepts exactly where the value is valid and the text is
// canonical.
TEST(Schema, ChangedTextsAreNotAcceptedUnlessValid) {
  for (uint64_t seed = 2000; seed < 2200; ++seed) {
    core::Rng rng(seed);
    const OracleJson schema = random_schema(rng);
    auto grammar = Grammar::from_schema(schema.dump(), {});
    if (!grammar) continue;
    for (int i = 0; i < 10; ++i) {
      std::string text = random_value(rng, schema, schema).dump();
      static constexpr std::string_view kBytes = "\"{}[],:0123456789-.aeu\\ ";
      const auto at = rng.next_below(static_cast<uint32_t>(text.size()));
      text[at] = kBytes[rng.next_below(kBytes.size())];
      if (!(*grammar)->matches(text)) continue;
      const OracleJson value = OracleJson::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << "seed " << seed << ": " << text;
      ASSERT_EQ(why_invalid(schema, schema, value), "") << "seed " << seed << "\n"
                                                        << schema.dump() << "\n"
                                                        << text;
    }
  }
}

TEST(Schema, ToolCallsInTheirOrder) {
  const auto grammar = grammar_of(R"({"type": "object", "properties": {"name": {"const": "book"},
      "arguments": {"type": "object", "properties": {"city": {"type": "string"}, "nights": {"type": "integer",
      "minimum": 1, "maximum": 30}}, "required": ["city"], "additionalProperties": false}},
      "required": ["name", "arguments"], "additionalProperties": false})",
                                  false);
  EXPECT_TRUE(grammar->matches(R"({"name": "book", "arguments": {"city": "Oslo", "nights": 30}})"));
  EXPECT_TRUE(grammar->matches(R"({"name":"book","arguments":{"city":""}})"));
  EXPECT_FALSE(grammar->matches(R"({"name": "book", "arguments": {"nights": 3}})"));
  EXPECT_FALSE(grammar->matches(R"({"name": "book", "arguments": {"city": "Oslo", "nights": 31}})"));
  EXPECT_FALSE(grammar->matches(R"({"arguments": {"city": "Oslo"}, "name": "book"})"));
  EXPECT_FALSE(grammar->matches(R"({"name":  "book", "arguments": {"city": "Oslo"}})"));
  EXPECT_TRUE(grammar->warnings().empty());
}

TEST(Schema, StrictMode) {
  EXPECT_NE(error_of(R"({"type": "array"})", true).find("strict"), std::string::npos);
  EXPECT_NE(error_of(R"({"type": "object", "properties": {}})", true).find("additionalProperties"),
            std::string::npos);
  EXPECT_NE(
      error_of(
          R"({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": false})",
          true)
          .find("\"a\""),
      std::string::npos);
  EXPECT_EQ(
      error_of(R"({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"],
                        "additionalProperties": false})",
               true),
      "");
  const char* const kUnsupported =
      R"({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}},
                                      "required": ["a"], "additionalProperties": false})";
  EXPECT_NE(error_of(kUnsupported, true).find("#/properties/a"), std::string::npos)
      << error_of(kUnsupported, true);
  const auto lenient = grammar_of(kUnsupported);
  ASSERT_EQ(lenient->warnings().size(), 1u);
  EXPECT_NE(lenient->warnings()[0].find("uniqueItems"), std::string::npos);
}

TEST(Schema, ErrorsNameThePlace) {
  EXPECT_NE(error_of("{").find("not JSON"), std::string::npos);
  EXPECT_NE(error_of(R"({"properties": {"a": {"type": "strin"}}})").find("#/properties/a"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"$ref": "#/$defs/none"})").find("none"), std::string::npos);
  EXPECT_NE(error_of(R"({"$ref": "http://else.where/schema"})").find("else.where"), std::string::npos);
  EXPECT_NE(error_of("[]").find("object or a boolean"), std::string::npos);
  EXPECT_NE(error_of(R"({"properties": 3})").find("properties"), std::string::npos);
  EXPECT_NE(error_of(R"({"required": [1]})").find("required"), std::string::npos);
  EXPECT_NE(error_of(R"({"type": "string", "minLength": -1})").find("minLength"), std::string::npos);
  EXPECT_NE(error_of(R"({"enum": 5})").find("enum"), std::string::npos);
  EXPECT_NE(error_of(R"({"anyOf": []})").find("anyOf"), std::string::npos);
}

TEST(Schema, EmptyLanguages) {
  for (const char* schema :
       {"false", R"({"enum": []})", R"({"type": "integer", "minimum": 5, "maximum": 4})", R"({"$ref": "#"})",
        R"({"type": "string", "minLength": 5, "maxLength": 4})",
        R"({"allOf": [{"type": "string"}, {"type": "object"}]})",
        R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})"}) {
    EXPECT_NE(error_of(schema).find("matches nothing"), std::string::npos) << schema << error_of(schema);
  }
}

TEST(Schema, RecursionAndReferencesThatMeetThemselves) {
  EXPECT_NE(
      error_of(R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})"),
      "");
  EXPECT_EQ(error_of(R"({"allOf": [{"$ref": "#"}], "type": "string"})"), "");  // says itself, and no more
  const auto tree = grammar_of(R"({"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"},
      "kids": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/n"}, {"description": "a kid"}]}}},
      "required": ["v"], "additionalProperties": false}}, "$ref": "#/$defs/n"})");
  EXPECT_TRUE(tree->matches(R"({"v":1,"kids":[{"v":2,"kids":[{"v":3}]},{"v":4}]})"));
  EXPECT_FALSE(tree->matches(R"({"v":1,"kids":[{"kids":[]}]})"));
}

TEST(Schema, LargeOnes) {
  OracleJson values = OracleJson::array();
  for (int i = 0; i < 20'000; ++i) values.push_back("value number " + std::to_string(i));
  const auto large = grammar_of(OracleJson{{"enum", values}}.dump());
  EXPECT_TRUE(large->matches("\"value number 19999\""));
  EXPECT_FALSE(large->matches("\"value number 20000\""));
  const Constraint constraint(large, bytes_and({}));
  core::Rng rng(5);
  ASSERT_TRUE(draw_text(rng, constraint));

  OracleJson wide = {{"type", "object"}, {"properties", OracleJson::object()}};
  for (int i = 0; i < 2000; ++i) wide["properties"]["p" + std::to_string(i)] = {{"type", "integer"}};
  EXPECT_TRUE(grammar_of(wide.dump())->matches(R"({"p7":1,"p1999":2})"));
  std::string deep = "{}";
  for (int i = 0; i < 3000; ++i) deep = "{\"items\":" + deep + "}";
  EXPECT_NE(error_of(deep), "");
  const auto counted = grammar_of(R"({"type": "string", "minLength": 3, "maxLength": 100000})");
  EXPECT_TRUE(counted->matches('"' + std::string(5000, 'x') + '"'));
  EXPECT_FALSE(counted->matches("\"ab\""));
  EXPECT_FALSE(
      grammar_of(R"({"type": "string", "maxLength": 3000})")->matches('"' + std::string(3001, 'x') + '"'));
}

TEST(Schema, ListedValuesAreHeldToTheRestToo) {
  const auto some = grammar_of(R"({"enum": ["a", "bb", "ccc", 1, 2.5, null], "minLength": 2, "maximum": 2})");
  for (const char* text : {"\"bb\"", "\"ccc\"", "1", "null"}) EXPECT_TRUE(some->matches(text)) << text;
  for (const char* text : {"\"a\"", "2.5", "true"}) EXPECT_FALSE(some->matches(text)) << text;
  EXPECT_NE(error_of(R"({"type": "integer", "const": 5, "minimum": 6})"), "");
  EXPECT_TRUE(grammar_of(R"({"type": "integer", "const": 5, "minimum": 5})")->matches("5"));
}

TEST(Schema, StringsHaveOneCharacterForASurrogatePair) {
  const auto one = grammar_of(R"({"type": "string", "minLength": 1, "maxLength": 1})");
  for (const char* text :
       {"\"a\"", "\"\xE4\xB8\xAD\"", "\"\xF0\x9F\x98\x80\"", "\"\\n\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\""})
    EXPECT_TRUE(one->matches(text)) << text;
  for (const char* text : {"\"\"", "\"ab\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"",
                           "\"\xE4\xB8\"", "\"\xC0\x80\"", "\"\n\""})
    EXPECT_FALSE(one->matches(text)) << text;
}

TEST(Schema, AnyJsonIsBoundedInDepth) {
  const auto any = Grammar::any_json_object();
  EXPECT_TRUE(any->matches(R"({"a": [1, 2.5e-3, {"b": null}], "c": "\u00e9", "d": {}})"));
  EXPECT_FALSE(any->matches("[]"));
  EXPECT_FALSE(any->matches("{\"a\": 1,}"));
  EXPECT_FALSE(any->matches("{\"a\": 01}"));
  EXPECT_FALSE(any->matches("{\"a\":  1}"));
  EXPECT_TRUE(any->matches("{\"a\":" + std::string(50, '[') + std::string(50, ']') + "}"));
  EXPECT_FALSE(any->matches("{\"a\":" + std::string(500, '[') + std::string(500, ']') + "}"));
  core::Rng rng(7);
  const Constraint constraint(any, bytes_and(json_pieces()));
  for (int i = 0; i < 20; ++i) {
    const auto text = draw_text(rng, constraint, 2000);
    if (text) {
      EXPECT_TRUE(OracleJson::parse(*text, nullptr, false).is_object()) << *text;
    }
  }
}

TEST(Schema, Formats) {
  const auto holds = [](const char* format, const char* text) {
    return grammar_of(R"({"type": "string", "format": ")" + std::string(format) + "\"}")
        ->matches('"' + std::string(text) + '"');
  };
  EXPECT_TRUE(holds("date", "2024-02-29"));
  EXPECT_FALSE(holds("date", "2023-02-29"));
  EXPECT_FALSE(holds("date", "1900-02-29"));
  EXPECT_TRUE(holds("date", "2000-02-29"));
  EXPECT_FALSE(holds("date", "2023-04-31"));
  EXPECT_TRUE(holds("date-time", "2024-12-31T23:59:59.25+01:00"));
  EXPECT_FALSE(holds("date-time", "2024-12-31 23:59:59Z"));
  EXPECT_TRUE(holds("time", "23:59:59Z"));
  EXPECT_TRUE(holds("duration", "P1Y2M3DT4H5M6S"));
  EXPECT_TRUE(holds("duration", "PT36H"));
  EXPECT_FALSE(holds("duration", "P"));
  EXPECT_FALSE(holds("duration", "PT"));
  EXPECT_TRUE(holds("uuid", "123e4567-e89b-12d3-a456-426614174000"));
  EXPECT_TRUE(holds("email", "a.b@example.org"));
  EXPECT_FALSE(holds("email", "a.b@"));
  EXPECT_TRUE(holds("ipv4", "192.168.0.255"));
  EXPECT_FALSE(holds("ipv4", "192.168.0.256"));
  EXPECT_TRUE(holds("ipv6", "2001:db8::1"));
  EXPECT_TRUE(holds("ipv6", "::"));
  EXPECT_FALSE(holds("ipv6", "1::2::3"));
  EXPECT_TRUE(holds("uri", "https://example.org/a?b=c#d"));
  EXPECT_EQ(grammar_of(R"({"type": "string", "format": "colour"})")->warnings().size(), 1u);
}

}  // namespace
}  // namespace mneme::grammar

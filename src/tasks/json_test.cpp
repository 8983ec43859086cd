#include "tasks/json.h"

#include <gtest/gtest.h>

#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

TEST(Json, EqualValuesHaveOneCanonicalText) {
  EXPECT_EQ(canonical_json(R"({"b": 1, "a": [true, null, "x"]})"),
            canonical_json(R"( {"a":[true,null,"\u0078"],"b":1.0})"));
  EXPECT_EQ(canonical_json(R"({"城市": "北京"})"), canonical_json(R"({"\u57ce\u5e02":"\u5317\u4EAC"})"));
  EXPECT_EQ(canonical_json(R"("\ud83d\ude00")"), canonical_json("\"\xF0\x9F\x98\x80\""));
  EXPECT_NE(canonical_json(R"({"a": 1})"), canonical_json(R"({"a": "1"})"));
  EXPECT_NE(canonical_json("[1,2]"), canonical_json("[2,1]"));
  EXPECT_EQ(canonical_json("-0.50"), "-0.5");
  EXPECT_EQ(canonical_json(quoted_json("a\"b\\c\n\x01")), quoted_json("a\"b\\c\n\x01"));
}

TEST(Json, ValuesOfTheSameKeysHaveOneShape) {
  EXPECT_EQ(json_shape(R"({"b": 1, "a": {"x": "y"}})"), json_shape(R"({"a": {"x": null}, "b": "z"})"));
  EXPECT_EQ(json_shape(R"([1, "a"])"), json_shape("[true,false]"));
  EXPECT_NE(json_shape("[1]"), json_shape("[1,2]"));
  EXPECT_NE(json_shape(R"({"a": 1})"), json_shape(R"({"b": 1})"));
  EXPECT_NE(json_shape(R"({"a": {}})"), json_shape(R"({"a": 1})"));
  EXPECT_NE(json_shape(R"({"a": {"x": 1}})"), json_shape(R"({"a": {"y": 1}})"));
  EXPECT_FALSE(json_shape(R"({"a": 1)"));
  EXPECT_FALSE(json_shape(R"({"a": x})"));
}

TEST(Json, WhatIsNotJsonIsRefused) {
  for (const std::string_view bad : {"",
                                     " ",
                                     "{",
                                     "}",
                                     "{]",
                                     "[1,]",
                                     "{\"a\":1,}",
                                     "{\"a\" 1}",
                                     "{a:1}",
                                     "'a'",
                                     "\"a",
                                     "01",
                                     "1.",
                                     ".5",
                                     "+1",
                                     "1e",
                                     "tru",
                                     "nul",
                                     "[1 2]",
                                     "{\"a\":1}{",
                                     "\"\\x\"",
                                     "\"\\u12\"",
                                     "\"\\ud800\"",
                                     "\"\\udc00\"",
                                     "\"\n\"",
                                     "{\"a\":1,\"a\":2}",
                                     "\"\xC3\x28\"",
                                     "- 1",
                                     "-"}) {
    EXPECT_FALSE(canonical_json(bad)) << bad;
  }
  EXPECT_FALSE(canonical_json(std::string(100000, '[')));
  EXPECT_TRUE(canonical_json(std::string(20, '[') + std::string(20, ']')));
}

TEST(Utf8, BoundariesAndValidity) {
  EXPECT_TRUE(valid_utf8("aé汉😀"));
  for (const std::string_view bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                     "\xF5\x80\x80\x80", "\x80", "\xE6\xB1", "\xFF"}) {
    EXPECT_FALSE(valid_utf8(bad));
  }
  const std::string_view text = "a汉b";
  EXPECT_EQ(floor_boundary(text, 2), 1u);
  EXPECT_EQ(floor_boundary(text, 3), 1u);
  EXPECT_EQ(floor_boundary(text, 4), 4u);
  EXPECT_EQ(floor_boundary(text, 99), 5u);
  EXPECT_EQ(bytes_of_characters(text, 2), 4u);
  EXPECT_EQ(trimmed(" \n a b\t\r\n"), "a b");
  EXPECT_EQ(trimmed(" \n"), "");
}

}  // namespace
}  // namespace mneme::tasks

#include "model/jinja_json.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "model/jinja_format.h"

namespace mneme::model {
namespace {

std::string round_trip(std::string_view text) {
  auto value = parse_json(text);
  if (!value) return "error: " + value.error().message;
  jinja::Runtime runtime({}, 0);
  auto out = jinja::to_json(runtime, *value, {});
  return out ? *out : "error: " + out.error().message;
}

TEST(JinjaJson, ReadsWhatJsonHas) {
  EXPECT_EQ(round_trip(R"( {"a" : [1, -2.5, 1e3, true, false, null, "x"], "b": {}, "a2": []} )"),
            R"({"a": [1, -2.5, 1000.0, true, false, null, "x"], "b": {}, "a2": []})");
  EXPECT_EQ(round_trip(R"("\u4f60\ud83d\ude00\n\/\"\\\b\f\r\t")"), R"("你😀\n/\"\\\b\f\r\t")");
  EXPECT_EQ(round_trip(R"("\ud83d x \udc00")"), "\"\xef\xbf\xbd x \xef\xbf\xbd\"");
  EXPECT_EQ(round_trip(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");
  EXPECT_EQ(round_trip("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(round_trip("9223372036854775808"), "9.223372036854776e+18");
  EXPECT_EQ(round_trip("0"), "0");
}

TEST(JinjaJson, RefusesTheRest) {
  for (std::string_view text :
       {"",      "  ",      "{",         "[1,",    "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}",
        "\"abc", "\"\\x\"", "\"\\u12\"", "\"\n\"", "01",   "1.",      ".5",       "1e",    "-",
        "+1",    "nul",     "truex",     "1 2",    "[1}",  "NaN",     "1e999",    "'a'",   "\"\\u12g4\""}) {
    EXPECT_TRUE(round_trip(text).starts_with("error: JSON: ")) << text << " -> " << round_trip(text);
  }
}

TEST(JinjaJson, DepthIsBounded) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(round_trip(nested(kJinjaValueDepthMax)), nested(kJinjaValueDepthMax));
  EXPECT_TRUE(round_trip(nested(kJinjaValueDepthMax + 1)).starts_with("error: JSON: nested deeper than"));
  EXPECT_TRUE(round_trip(std::string(1'000'000, '[')).starts_with("error: JSON: nested deeper than"));
}

}  // namespace
}  // namespace mneme::model

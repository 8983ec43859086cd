// Fields of a request and what is said of wrong ones; events of a stream.
#include "serve/json_fields.h"

#include <gtest/gtest.h>

#include "serve/answer_for_test.h"
#include "serve/sse.h"

namespace mneme::serve {
namespace {

struct Read {
  explicit Read(const char* text) : json(Json::parse(text)), fields(json, "", errors) {}
  std::string param() const { return errors.any() ? errors.failure().param : "-"; }
  std::string message() const { return errors.any() ? errors.failure().message : "-"; }
  Json json;
  RequestErrors errors;
  Fields fields;
};

TEST(Fields, WhatIsThere) {
  Read read(
      R"({"s": "x", "b": true, "i": 7, "f": 2.5, "w": 5.0, "n": null, "l": ["a", "b"], "o": {"k": 1}})");
  EXPECT_EQ(read.fields.text("s"), "x");
  EXPECT_TRUE(read.fields.flag("b", false));
  EXPECT_EQ(read.fields.whole("i", 0), 7);
  EXPECT_EQ(read.fields.number("f", 0), 2.5);
  EXPECT_EQ(read.fields.number("i", 0), 7);
  EXPECT_EQ(read.fields.whole("w", 0), 5);
  EXPECT_EQ(read.fields.texts("l", 4), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read.fields.texts("s", 4), (std::vector<std::string>{"x"}));
  EXPECT_EQ(read.fields.object("o")->whole("k", 0), 1);
  EXPECT_EQ(read.fields.one_of("s", {"x", "y"}, "y"), "x");
  EXPECT_FALSE(read.errors.any());
}

TEST(Fields, AbsentAndNullAreTheSame) {
  Read read(R"({"n": null})");
  for (const char* key : {"n", "absent"}) {
    EXPECT_FALSE(read.fields.has(key));
    EXPECT_EQ(read.fields.text(key, "d"), "d");
    EXPECT_TRUE(read.fields.flag(key, true));
    EXPECT_EQ(read.fields.whole(key, 3), 3);
    EXPECT_EQ(read.fields.number(key, 0.5), 0.5);
    EXPECT_TRUE(read.fields.texts(key, 4).empty());
    EXPECT_FALSE(read.fields.object(key).has_value());
    EXPECT_EQ(read.fields.one_of(key, {"a"}, "b"), "b");
  }
  EXPECT_FALSE(read.errors.any());
}

TEST(Fields, WrongOnesAreNamed) {
  const auto param = [](const char* text, auto take) {
    Read read(text);
    take(read.fields);
    EXPECT_NE(read.message().find("'" + read.param() + "'"), std::string::npos) << read.message();
    return read.param();
  };
  EXPECT_EQ(param(R"({"a": 1})", [](Fields& f) { f.text("a"); }), "a");
  EXPECT_EQ(param(R"({"a": "1"})", [](Fields& f) { f.flag("a", true); }), "a");
  EXPECT_EQ(param(R"({"a": 1.5})", [](Fields& f) { f.whole("a", 1); }), "a");
  EXPECT_EQ(param(R"({"a": 18446744073709551615})", [](Fields& f) { f.whole("a", 1); }), "a");
  EXPECT_EQ(param(R"({"a": 3})", [](Fields& f) { f.whole("a", 1, {0, 2}); }), "a");
  EXPECT_EQ(param(R"({"a": -1})", [](Fields& f) { f.number("a", 1, {0, 2}); }), "a");
  EXPECT_EQ(param(R"({"a": true})", [](Fields& f) { f.number("a", 1); }), "a");
  EXPECT_EQ(param(R"({"a": ["x", 1]})", [](Fields& f) { f.texts("a", 4); }), "a[1]");
  EXPECT_EQ(param(R"({"a": ["x", "y"]})", [](Fields& f) { f.texts("a", 1); }), "a");
  EXPECT_EQ(param(R"({"a": "x"})", [](Fields& f) { f.each("a", [](const Json&, const std::string&) {}); }),
            "a");
  EXPECT_EQ(param(R"({"a": {"b": 1}})", [](Fields& f) { f.object("a")->text("b"); }), "a.b");
  EXPECT_EQ(param(R"({"a": []})", [](Fields& f) { f.object("a"); }), "a");
  EXPECT_EQ(param(R"({"a": "z"})", [](Fields& f) { f.one_of("a", {"x", "y"}, "x"); }), "a");
  EXPECT_EQ(param(R"({})", [](Fields& f) { f.required_text("a"); }), "a");
}

TEST(Fields, TheFirstErrorStays) {
  Read read(R"({"a": 1, "b": 2})");
  read.fields.text("b"), read.fields.text("a");
  EXPECT_EQ(read.param(), "b");
  EXPECT_EQ(read.message(), "Invalid type for 'b': expected a string, but got an integer instead.");
}

TEST(Fields, OfNoObject) {
  Read read("[1]");
  EXPECT_EQ(read.message(), "Invalid request: expected an object, but got a list instead.");
  EXPECT_FALSE(read.fields.has("a"));
}

TEST(JsonText, BrokenBytesAreReplaced) {
  EXPECT_EQ(json_text(Json{{"a", "x\xFFy"}}), "{\"a\":\"x\xEF\xBF\xBDy\"}");
}

TEST(EventStream, Events) {
  auto answer = std::make_shared<KeptAnswer>();
  EventStream stream(answer);
  EXPECT_FALSE(answer->begun());
  stream.data("{\"a\":1}");
  stream.event("named", "two\nlines");
  stream.keep_alive();  // too early
  stream.end();
  EXPECT_EQ(answer->status(), 200);
  EXPECT_TRUE(answer->content_type().starts_with("text/event-stream"));
  EXPECT_EQ(answer->body(), "data: {\"a\":1}\n\nevent: named\ndata: two\ndata: lines\n\n");
  EXPECT_EQ(events_of(answer->body()),
            (std::vector<std::pair<std::string, std::string>>{{"", "{\"a\":1}"}, {"named", "two\nlines"}}));
}

TEST(ShortNumber, IsTheFloatsOwnDecimal) {
  for (const auto& [value, text] : {std::pair{0.8f, "0.8"},
                                    {0.95f, "0.95"},
                                    {1.0f, "1.0"},
                                    {0.0f, "0.0"},
                                    {16777216.0f, "16777216.0"},
                                    {-2.5f, "-2.5"},
                                    {1e-9f, "1e-09"}})
    EXPECT_EQ(Json(short_number(value)).dump(), text);
}

TEST(EventStream, SignsOfLife) {
  auto answer = std::make_shared<KeptAnswer>();
  EventStream stream(answer, "event: ping\ndata: {}\n\n", 0);
  stream.begin();
  stream.keep_alive();
  EXPECT_EQ(answer->body(), "event: ping\ndata: {}\n\n");
  EXPECT_TRUE(answer->begun());
  EXPECT_FALSE(answer->ended());
}

}  // namespace
}  // namespace mneme::serve

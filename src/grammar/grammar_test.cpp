#include <gtest/gtest.h>
#include "mneme/grammar.h"
namespace mneme::grammar { namespace {
TEST(Grammar, First) {
  auto g = Grammar::from_text("root ::= \"a\" root | \"b\"");
  ASSERT_TRUE(g.has_value()) << g.error().message;
  EXPECT_TRUE((*g)->matches("aaab"));
  EXPECT_FALSE((*g)->matches("aaa"));
  EXPECT_TRUE(Grammar::any_json_object()->matches("{\"a\": [1,2,{\"b\":null}]}"));
}
}}

#include "tasks/recital.h"

#include <gtest/gtest.h>

namespace mneme::tasks {
namespace {

TEST(Recital, GoesFromKeyToValueOrBack) {
  EXPECT_EQ(recital("the code of red-fox is 42.", "red-fox", "42"), " red-fox is 42");
  EXPECT_EQ(recital("42 is the code of red-fox.", "red-fox", "42"), "42 is the code of red-fox");
  EXPECT_EQ(recital("a=b", "a", "b"), "a=b");
  // the value stands in the key too: the one behind it is meant
  EXPECT_EQ(recital("slot 7a holds 7", "7a", "7"), " 7a holds 7");
  EXPECT_EQ(recital("no such key", "x7", "key"), "");
  EXPECT_EQ(recital("no value", "no", "42"), "");
  EXPECT_EQ(recital("", "", ""), "");
}

TEST(Recital, BeginsBeforeTheAnswerAndEndsInIt) {
  const std::string_view text = "first line\nL7 The harbour was quiet that morning\nlast";
  const size_t line = text.find("The"), end = text.find("\nlast");
  EXPECT_EQ(recital_at(text, line, end), "L7 The harbour ");
  const size_t quiet = text.find("quiet");
  EXPECT_EQ(recital_at(text, quiet, end), "L7 The harbour was quiet that m");
  EXPECT_EQ(recital_at(text, 0, 5), "first");
  EXPECT_EQ(recital_at("港口很安静，没有人", 9, 15), "港口很安静");
  EXPECT_EQ(recital_at(text, text.size(), text.size()), "last");
}

}  // namespace
}  // namespace mneme::tasks

#include "tasks/recital.h"

#include <gtest/gtest.h>

namespace mneme::tasks {
namespace {

TEST(Recital, BeginsWithWhatIsNamed) {
  EXPECT_EQ(recital("the code of red-fox is 42.", "red-fox", "42"), " red-fox is 42");
  EXPECT_EQ(recital("42 is the code of red-fox.", "red-fox", "42"), " red-fox <- 42");
  EXPECT_EQ(recital("the code of red-fox is 42.", "42", "red-fox"), " 42 <- red-fox");
  EXPECT_EQ(recital("a=b", "a", "b"), "a=b");
  EXPECT_EQ(recital("a=b", "b", "a"), "b <- a");
  // one stands in the other, too: the one outside is meant
  EXPECT_EQ(recital("slot 7a holds 7", "7a", "7"), " 7a holds 7");
  EXPECT_EQ(recital("slot 7a holds 7", "7", "7a"), " 7 <- 7a");
  EXPECT_EQ(recital("7 is 7a", "7a", "7"), " 7a <- 7");
  EXPECT_EQ(recital("no such key", "x7", "key"), "");
  EXPECT_EQ(recital("no value", "no", "42"), "");
  EXPECT_EQ(recital("", "", ""), "");
}

TEST(Recital, GoesOnToTheAnswer) {
  const std::string_view text = "first line\nL7 The harbour was quiet that morning\nlast";
  const size_t line = text.find("The"), end = text.find("\nlast");
  EXPECT_EQ(recital_from(text, line - 2, line, end), "7 The harbour was quiet that morning");
  EXPECT_EQ(recital_from(text, line, text.find(" quiet"), end), "The harbour was quiet that morning");
  EXPECT_EQ(recital_from(text, text.size(), text.size(), text.size()), "");
  EXPECT_EQ(recital_back("quiet", text.substr(line, end - line)),
            "quiet <- The harbour was quiet that morning");
}

TEST(Recital, CountsWordsAsItSaysThem) {
  EXPECT_EQ(recital_counted("the harbour", " was quiet  that morning", 3),
            "the harbour was|1| quiet|2|  that|3|");
  EXPECT_EQ(recital_counted("the harbour", " was quiet", 3), "the harbour was|1| quiet|2|");
  EXPECT_EQ(recital_counted("港口", "很安静", 2), "港口很|1|安|2|");
  EXPECT_EQ(recital_counted("the harbour", "", 2), "the harbour");
}

// Of what is long the first words, whole ones where there are blanks.
TEST(Recital, LongAnswersBeginOnly) {
  const std::string word = "harbour ";
  std::string fits, words, code, chinese;
  while (fits.size() + word.size() <= 120) fits += word;
  words = fits + word;
  for (int i = 0; i < 60; ++i) code += "7Q", chinese += "港";
  EXPECT_EQ(recital_of(fits), fits.substr(0, fits.size() - 1));
  EXPECT_EQ(recital_of(words), "harbour harbour harbour harbour");
  EXPECT_EQ(recital_of(code), code);
  EXPECT_EQ(recital_of(code + "7"), code.substr(0, 32));
  EXPECT_EQ(recital_of(chinese), chinese.substr(0, 30));
  EXPECT_EQ(recital_of("  a line "), "a line");
  EXPECT_EQ(recital_of(""), "");
}

}  // namespace
}  // namespace mneme::tasks

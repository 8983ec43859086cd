#include "engine/stop_text.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace mneme::engine {
namespace {

TEST(StopText, LetsThroughWhatCannotMatchAnyMore) {
  StopText stop({"END"});
  EXPECT_EQ(stop.push("abc"), "abc");
  EXPECT_EQ(stop.push("dE"), "d");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("ough"), "ENough");
  EXPECT_EQ(stop.push("E"), "");
  EXPECT_EQ(stop.push("ND and more"), "");
  EXPECT_TRUE(stop.matched());
  EXPECT_EQ(stop.push("never"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopText, GivesBackWhatItHeldAtTheEnd) {
  StopText stop({"\n\nUser:"});
  EXPECT_EQ(stop.push("answer\n\nUse"), "answer");
  EXPECT_EQ(stop.finish(), "\n\nUse");
  EXPECT_FALSE(stop.matched());
}

TEST(StopText, TheFirstToBeCompleteWins) {
  StopText one_piece({"abcd", "c"});
  EXPECT_EQ(one_piece.push("xabcd"), "xab");
  StopText two_pieces({"abcd", "c"});
  EXPECT_EQ(two_pieces.push("xab"), "x");
  EXPECT_EQ(two_pieces.push("cd"), "ab");
  EXPECT_TRUE(two_pieces.matched());
  EXPECT_EQ(two_pieces.matched_text(), "c");
  StopText same_end({"c", "bc"});
  EXPECT_EQ(same_end.push("abc"), "a");
  EXPECT_EQ(same_end.matched_text(), "bc");
}

TEST(StopText, EmptyTextsMatchNothing) {
  StopText stop({"", ""});
  EXPECT_EQ(stop.push("text"), "text");
  EXPECT_FALSE(stop.matched());
}

TEST(StopText, OverlappingBeginnings) {
  StopText stop({"aab"});
  EXPECT_EQ(stop.push("aaa"), "a");
  EXPECT_EQ(stop.push("ab"), "a");
  EXPECT_TRUE(stop.matched());
}

// Over a small alphabet, so that partial matches abound: the same text and the same end however it is cut.
TEST(StopText, DoesNotDependOnThePieces) {
  core::Rng rng(3);
  const auto random_text = [&](uint32_t size_max) {
    std::string text;
    for (uint32_t i = rng.next_below(size_max); i > 0; --i)
      text += static_cast<char>('a' + rng.next_below(2));
    return text;
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::vector<std::string> stops{random_text(6), random_text(6), random_text(9)};
    const std::string text = random_text(30);
    StopText whole(stops);
    std::string expected = whole.push(text);
    expected += whole.finish();
    StopText cut(stops);
    std::string got;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + rng.next_below(4);
      got += cut.push(text.substr(at, size));
      at += size;
    }
    got += cut.finish();
    ASSERT_EQ(got, expected) << text << " | " << stops[0] << " | " << stops[1] << " | " << stops[2];
    ASSERT_EQ(cut.matched(), whole.matched());
  }
}

}  // namespace
}  // namespace mneme::engine

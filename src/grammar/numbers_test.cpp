// Bounds against arithmetic, exhaustively over small texts.
#include <gtest/gtest.h>

#include <string>

#include "core/rng.h"
#include "mneme/grammar.h"

namespace mneme::grammar {
namespace {

std::shared_ptr<const Grammar> grammar_of(const std::string& schema) {
  auto made = Grammar::from_schema(schema, {});
  return made ? *made : nullptr;
}

TEST(Integers, EveryPairOfBounds) {
  core::Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    const int low = static_cast<int>(rng.next_below(2400)) - 1200;
    const int high = low + static_cast<int>(rng.next_below(i % 3 == 0 ? 12 : 1500));
    const bool open_low = rng.next_below(2) == 0, open_high = rng.next_below(2) == 0;
    const std::string schema = std::string("{\"type\":\"integer\",\"") +
                               (open_low ? "exclusiveMinimum" : "minimum") + "\":" + std::to_string(low) +
                               ",\"" + (open_high ? "exclusiveMaximum" : "maximum") +
                               "\":" + std::to_string(high) + "}";
    const auto grammar = grammar_of(schema);
    const int first = low + (open_low ? 1 : 0), last = high - (open_high ? 1 : 0);
    ASSERT_EQ(grammar != nullptr, first <= last) << schema;
    for (int x = low - 20; grammar && x <= high + 20; ++x)
      ASSERT_EQ(grammar->matches(std::to_string(x)), first <= x && x <= last) << schema << " " << x;
    if (grammar) {
      EXPECT_FALSE(grammar->matches("-0"));
      EXPECT_FALSE(grammar->matches("00"));
      EXPECT_FALSE(grammar->matches(""));
    }
  }
}

TEST(Integers, OneSidedAndFractionalBounds) {
  for (const double bound : {-1000.5, -10.0, -0.5, 0.0, 0.5, 9.99, 99.0, 100.0, 101.25}) {
    const std::string text = std::to_string(bound);
    const auto from = grammar_of("{\"type\":\"integer\",\"minimum\":" + text + "}");
    const auto to = grammar_of("{\"type\":\"integer\",\"maximum\":" + text + "}");
    for (int x = -2000; x <= 2000; ++x) {
      ASSERT_EQ(from->matches(std::to_string(x)), x >= bound) << text << " " << x;
      ASSERT_EQ(to->matches(std::to_string(x)), x <= bound) << text << " " << x;
    }
  }
}

TEST(Integers, WithoutBoundsThoseOf64Bits) {
  const auto any = grammar_of(R"({"type": "integer"})");
  for (const char* text : {"0", "-1", "9223372036854775807", "-9223372036854775808", "1000000000000000000"})
    EXPECT_TRUE(any->matches(text)) << text;
  for (const char* text :
       {"9223372036854775808", "-9223372036854775809", "10000000000000000000", "1.0", "1e3", "-", "+1"})
    EXPECT_FALSE(any->matches(text)) << text;
  EXPECT_TRUE(grammar_of(R"({"type": "integer", "minimum": -1e300, "maximum": 1e300})")->matches("5"));
  EXPECT_EQ(grammar_of(R"({"type": "integer", "minimum": 1e300})"), nullptr);
}

TEST(Integers, Multiples) {
  const auto sevens = grammar_of(R"({"type": "integer", "multipleOf": 7})");
  const auto some = grammar_of(
      R"({"type": "integer", "multipleOf": 250, "minimum": -600, "exclusiveMaximum": 1000})");
  for (int x = -3000; x <= 3000; ++x) {
    ASSERT_EQ(sevens->matches(std::to_string(x)), x % 7 == 0) << x;
    ASSERT_EQ(some->matches(std::to_string(x)), x % 250 == 0 && x >= -600 && x < 1000) << x;
  }
  EXPECT_FALSE(sevens->matches("-0"));
  const auto tiny = grammar_of(R"({"type": "integer", "multipleOf": 2, "minimum": 1e-320, "maximum": 5})");
  EXPECT_TRUE(tiny->matches("4"));
  EXPECT_FALSE(tiny->matches("0"));
}

// All decimals with up to three digits after the point around the bounds.
TEST(Numbers, BoundsWithFractions) {
  core::Rng rng(2);
  for (int i = 0; i < 50; ++i) {
    const int low = static_cast<int>(rng.next_below(4000)) - 2000;  // hundredths
    const int high = low + static_cast<int>(rng.next_below(i % 2 == 0 ? 30 : 2500));
    const bool open_low = rng.next_below(2) == 0, open_high = rng.next_below(2) == 0;
    const auto text = [](int thousandths) {
      const int size = std::abs(thousandths);
      std::string digits = std::to_string(size % 1000);
      digits.insert(0, 3 - digits.size(), '0');
      return (thousandths < 0 ? "-" : "") + std::to_string(size / 1000) + "." + digits;
    };
    const std::string schema = std::string("{\"type\":\"number\",\"") +
                               (open_low ? "exclusiveMinimum" : "minimum") + "\":" + text(low * 10) + ",\"" +
                               (open_high ? "exclusiveMaximum" : "maximum") + "\":" + text(high * 10) + "}";
    const auto grammar = grammar_of(schema);
    for (int x = low * 10 - 300; x <= high * 10 + 300; x += x % 3 == 0 ? 1 : 3) {
      const bool inside = (open_low ? x > low * 10 : x >= low * 10) &&
                          (open_high ? x < high * 10 : x <= high * 10);
      std::string spelt = text(x);
      if (x == 0) continue;
      ASSERT_EQ(grammar && grammar->matches(spelt), inside) << schema << " " << spelt;
      while (spelt.ends_with('0')) spelt.pop_back();
      if (spelt.ends_with('.')) spelt.pop_back();
      ASSERT_EQ(grammar && grammar->matches(spelt), inside) << schema << " " << spelt;
    }
    for (const char* wrong : {"00.5", ".5", "1.", "-", "1e1", "--1"})
      if (grammar) {
        ASSERT_FALSE(grammar->matches(wrong)) << schema << wrong;
      }
  }
}

TEST(Numbers, WithoutBounds) {
  const auto any = grammar_of(R"({"type": "number"})");
  for (const char* text : {"0", "-0.5", "12.25", "1e5", "1.5E-300", "-2e+10", "1234567890123456789"})
    EXPECT_TRUE(any->matches(text)) << text;
  for (const char* text : {"01", "1.", ".1", "1e", "1e999", "NaN", "Infinity", "+1", "0x1"})
    EXPECT_FALSE(any->matches(text)) << text;
}

}  // namespace
}  // namespace mneme::grammar

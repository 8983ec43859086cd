// JSON numbers between bounds, digit by digit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grammar/expressions.h"

namespace mneme::grammar {

// A decimal as its digits: 0.<fraction> + <whole>, no leading zeros in `whole` ("" is 0), no trailing ones in
// `fraction`.
struct Decimal {
  bool negative = false;
  std::string whole, fraction;

  // From a JSON number's text, with or without exponent; nothing where it has more than some hundred digits.
  static std::optional<Decimal> parse(std::string_view text);
  bool is_zero() const { return whole.empty() && fraction.empty(); }
  bool operator==(const Decimal&) const = default;
};
bool operator<(const Decimal& a, const Decimal& b);

struct NumberBounds {
  std::optional<Decimal> min, max;
  bool above_min = false, below_max = false;  // the bound itself is excluded
};

// Integers within the bounds, at most those of int64, without leading zeros and without -0.
ExpressionId integer_between(Rules& rules, const NumberBounds& bounds);
// Any number within the bounds. Without bounds: up to 19 digits before and 20 after the point, exponents from
// -307 to 307 after a single digit. With bounds: no exponents, as many digits as the bounds have and 16 more
// after the point.
ExpressionId number_between(Rules& rules, const NumberBounds& bounds);

}  // namespace mneme::grammar

#include "grammar/numbers.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace mneme::grammar {

namespace {

constexpr size_t kDigitsMax = 400;      // of a bound
constexpr uint32_t kFractionMore = 16;  // digits after those of a bound

int compare_magnitude(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int c = a.whole.compare(b.whole); c != 0) return c;
  return a.fraction.compare(b.fraction);  // by digits: shorter ones are smaller
}

// What a digit string must not go below or above while it equals it so far: digits, or nothing.
using Limit = std::optional<std::string>;

// Digit strings between two others, as expressions: each digit is free once it has left both limits.
class Digits {
 public:
  explicit Digits(Rules& rules) : rules_(&rules) {}

  // Exactly as long as the limits, which are equally long and in order.
  ExpressionId equally_long(const std::string& low, const std::string& high) {
    low_ = low, high_ = high;
    known_.clear();
    return whole_from(0, true, true);
  }

  // A fraction's digits, at most `places` of them, beginning with the point where there is one; the value
  // 0.digits is between the limits, and not the limit itself where that is `open`.
  ExpressionId fraction(const Limit& low, bool low_open, const Limit& high, bool high_open, uint32_t places) {
    low_ = low.value_or(""), high_ = high.value_or("");
    low_open_ = low_open, high_open_ = high_open;
    places_ = places;
    known_.clear();
    std::vector<ExpressionId> ways;
    if (may_stop(0, low.has_value(), high.has_value())) ways.push_back(rules_->empty());
    if (const auto digits = fraction_from(0, low.has_value(), high.has_value()))
      ways.push_back(rules_->sequence({rules_->bytes("."), *digits}));
    return rules_->choice(std::move(ways));
  }

 private:
  using Key = std::tuple<size_t, bool, bool>;

  ExpressionId digit(char first, char last) {
    return rules_->characters({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
  }
  static char at(const std::string& digits, size_t i) { return i < digits.size() ? digits[i] : '0'; }

  // Cuts the digits of one place into those that stay on a limit and those that are free, and puts `rest` of
  // each behind it.
  template <class Rest>
  std::optional<ExpressionId> place(size_t i, bool on_low, bool on_high, const Rest& rest) {
    const char low = on_low ? at(low_, i) : '0', high = on_high ? at(high_, i) : '9';
    std::vector<ExpressionId> ways;
    const auto add = [&](char first, char last, bool stays_low, bool stays_high) {
      if (first > last) return;
      if (const auto after = rest(stays_low, stays_high))
        ways.push_back(rules_->sequence({digit(first, last), *after}));
    };
    if (on_low && on_high && low == high) {
      add(low, low, true, true);
    } else {
      if (on_low) add(low, low, true, false);
      const int first = low + (on_low ? 1 : 0), last = high - (on_high ? 1 : 0);
      add(static_cast<char>(first), static_cast<char>(last), false, false);
      if (on_high && (!on_low || low < high)) add(high, high, false, true);
    }
    if (ways.empty()) return std::nullopt;
    return rules_->choice(std::move(ways));
  }

  ExpressionId whole_from(size_t i, bool on_low, bool on_high) {
    const size_t left = low_.size() - i;
    if (!on_low && !on_high) {
      const auto count = static_cast<uint32_t>(left);
      return rules_->repeat(digit('0', '9'), count, count);
    }
    if (left == 0) return rules_->empty();
    if (const auto known = known_.find({i, on_low, on_high}); known != known_.end()) return *known->second;
    const auto made = place(i, on_low, on_high,
                            [&](bool low, bool high) { return std::optional(whole_from(i + 1, low, high)); });
    known_[{i, on_low, on_high}] = made;
    return *made;
  }

  // The digits may end before place i: what is left of the limits counts as zeros.
  bool may_stop(size_t i, bool on_low, bool on_high) const {
    const bool at_low = on_low && i >= low_.size(), at_high = on_high && i >= high_.size();
    if (on_low && !at_low) return false;  // something of the limit is left, so this is below it
    return !(at_low && low_open_) && !(at_high && high_open_);
  }

  // The digits from place i on, at least one; nothing where there are none.
  std::optional<ExpressionId> fraction_from(size_t i, bool on_low, bool on_high) {
    if (i >= places_) return std::nullopt;
    if (!on_low && !on_high) return rules_->repeat(digit('0', '9'), 1, places_ - static_cast<uint32_t>(i));
    const auto [known, added] = known_.try_emplace({i, on_low, on_high}, std::nullopt);
    if (!added) return known->second;
    const auto made = place(i, on_low, on_high, [&](bool low, bool high) -> std::optional<ExpressionId> {
      std::vector<ExpressionId> ways;
      if (may_stop(i + 1, low, high)) ways.push_back(rules_->empty());
      if (const auto more = fraction_from(i + 1, low, high)) ways.push_back(*more);
      if (ways.empty()) return std::nullopt;
      return rules_->choice(std::move(ways));
    });
    return known_[{i, on_low, on_high}] = made;
  }

  Rules* rules_;
  std::string low_, high_;
  bool low_open_ = false, high_open_ = false;
  uint32_t places_ = 0;
  std::map<Key, std::optional<ExpressionId>> known_;
};

std::string or_zero(const std::string& digits) { return digits.empty() ? "0" : digits; }

// Whole numbers without sign, both ends inside.
ExpressionId whole_between(Rules& rules, const std::string& low, const std::string& high) {
  const std::string first = or_zero(low), last = or_zero(high);
  std::vector<ExpressionId> ways;
  uint32_t full_min = 0, full_max = 0;  // lengths of which all numbers are inside
  for (size_t size = first.size(); size <= last.size(); ++size) {
    const std::string least = "1" + std::string(size - 1, '0'), most(size, '9');
    const std::string& from = size == first.size() ? first : least;
    const std::string& to = size == last.size() ? last : most;
    if (from == least && to == most) {
      if (full_min == 0) full_min = static_cast<uint32_t>(size);
      full_max = static_cast<uint32_t>(size);
    } else if (from <= to) {
      ways.push_back(Digits(rules).equally_long(from, to));
    }
  }
  if (full_min > 0) {
    const ExpressionId more = rules.repeat(rules.characters({{'0', '9'}}), full_min - 1, full_max - 1);
    ways.push_back(rules.sequence({rules.characters({{'1', '9'}}), more}));
  }
  return rules.choice(std::move(ways));
}

void add_one(std::string& digits) {
  size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) {
    digits.insert(0, "1");
  } else {
    ++digits[i - 1];
  }
}

void subtract_one(std::string& digits) {  // from at least 1
  size_t i = digits.size();
  while (digits[i - 1] == '0') digits[--i] = '9';
  --digits[i - 1];
  digits.erase(
      0, digits.find_first_not_of('0') == std::string::npos ? digits.size() : digits.find_first_not_of('0'));
}

bool less_or_equal(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a <= b;
}

// Numbers without sign from `low` on, up to `high` where there is one.
struct Magnitudes {
  Decimal low;
  std::optional<Decimal> high;
  bool low_open = false, high_open = false;
};

ExpressionId magnitudes(Rules& rules, const Magnitudes& m) {
  const size_t digits = std::max(m.low.fraction.size(), m.high ? m.high->fraction.size() : 0);
  const uint32_t places = static_cast<uint32_t>(digits) + kFractionMore;
  Digits fractions(rules);
  const Limit low = m.low.fraction;
  if (m.high && m.high->whole == m.low.whole) {
    return rules.sequence({rules.bytes(or_zero(m.low.whole)),
                           fractions.fraction(low, m.low_open, m.high->fraction, m.high_open, places)});
  }
  std::vector<ExpressionId> ways;
  ways.push_back(rules.sequence(
      {rules.bytes(or_zero(m.low.whole)), fractions.fraction(low, m.low_open, std::nullopt, false, places)}));
  const ExpressionId any = fractions.fraction(std::nullopt, false, std::nullopt, false, places);
  std::string first = or_zero(m.low.whole);
  add_one(first);
  std::string last(std::max<size_t>(first.size(), 19), '9');
  if (m.high) {
    ways.push_back(
        rules.sequence({rules.bytes(or_zero(m.high->whole)),
                        fractions.fraction(std::nullopt, false, m.high->fraction, m.high_open, places)}));
    last = m.high->whole;  // at least 1: it is above low's
    subtract_one(last);
  }
  if (less_or_equal(first, or_zero(last)))
    ways.push_back(rules.sequence({whole_between(rules, first, last), any}));
  return rules.choice(std::move(ways));
}

ExpressionId any_number(Rules& rules) {
  const auto digits = [&](char first, uint32_t min, uint32_t max) {
    return rules.repeat(rules.characters({{static_cast<char32_t>(first), '9'}}), min, max);
  };
  const ExpressionId sign = rules.optional(rules.bytes("-"));
  const ExpressionId whole = rules.choice(
      {rules.bytes("0"), rules.sequence({digits('1', 1, 1), digits('0', 0, 18)})});
  const ExpressionId fraction = rules.optional(rules.sequence({rules.bytes("."), digits('0', 1, 20)}));
  const ExpressionId exponent = rules.choice(
      {digits('0', 1, 2), rules.sequence({rules.characters({{'0', '2'}}), digits('0', 2, 2)}),
       rules.sequence({rules.bytes("30"), rules.characters({{'0', '7'}})})});
  const ExpressionId power = rules.sequence({rules.characters({{'E', 'E'}, {'e', 'e'}}),
                                             rules.optional(rules.characters({{'+', '+'}, {'-', '-'}})),
                                             exponent});
  return rules.sequence({sign, rules.choice({rules.sequence({whole, fraction}),
                                             rules.sequence({digits('0', 1, 1), fraction, power})})});
}

}  // namespace

std::optional<Decimal> Decimal::parse(std::string_view text) {
  Decimal result;
  if (text.starts_with('-')) {
    result.negative = true;
    text.remove_prefix(1);
  }
  const size_t e = text.find_first_of("eE");
  int64_t exponent = 0;
  if (e != std::string_view::npos) {
    const std::string power(text.substr(e + 1));
    if (power.size() > 6) return std::nullopt;
    for (const char c : power) {
      if (c >= '0' && c <= '9') exponent = exponent * 10 + (c - '0');
    }
    if (power.starts_with('-')) exponent = -exponent;
    text = text.substr(0, e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  if (point < text.size()) digits += text.substr(point + 1);
  int64_t whole = static_cast<int64_t>(point) + exponent;  // digits before the point
  if (digits.size() > kDigitsMax || whole > static_cast<int64_t>(kDigitsMax) ||
      whole < -static_cast<int64_t>(kDigitsMax))
    return std::nullopt;
  if (whole < 0) {
    digits.insert(0, static_cast<size_t>(-whole), '0');
    whole = 0;
  }
  const auto cut = static_cast<size_t>(whole);
  if (digits.size() < cut) digits.append(cut - digits.size(), '0');
  result.whole = digits.substr(0, cut);
  result.fraction = digits.substr(cut);
  result.whole.erase(0, std::min(result.whole.find_first_not_of('0'), result.whole.size()));
  result.fraction.erase(result.fraction.find_last_not_of('0') + 1);
  if (result.is_zero()) result.negative = false;
  return result;
}

bool operator<(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative;
  const int c = compare_magnitude(a, b);
  return a.negative ? c > 0 : c < 0;
}

namespace {

// The integers of the bounds as magnitudes of two signs.
struct IntegerEnds {
  Decimal low, high;
};

IntegerEnds integer_ends(const NumberBounds& bounds) {
  IntegerEnds ends{{true, "9223372036854775808", ""}, {false, "9223372036854775807", ""}};
  const auto up = [](Decimal d, bool beyond) {  // the least integer that is not below, or above
    const bool whole = d.fraction.empty();
    d.fraction.clear();
    if (!d.negative && (!whole || beyond)) add_one(d.whole);
    if (d.negative && whole && beyond) subtract_one(d.whole);
    if (d.is_zero()) d.negative = false;
    return d;
  };
  const auto negated = [](Decimal d) {
    d.negative = !d.negative && !d.is_zero();
    return d;
  };
  if (bounds.min) ends.low = std::max(ends.low, up(*bounds.min, bounds.above_min));
  if (bounds.max) ends.high = std::min(ends.high, negated(up(negated(*bounds.max), bounds.below_max)));
  return ends;
}

}  // namespace

ExpressionId integer_between(Rules& rules, const NumberBounds& bounds) {
  const auto [low, high] = integer_ends(bounds);
  if (high < low) return rules.nothing();
  std::vector<ExpressionId> ways;
  if (low.negative) {
    const std::string nearest = high.negative ? high.whole : "1";
    ways.push_back(rules.sequence({rules.bytes("-"), whole_between(rules, nearest, low.whole)}));
  }
  if (!high.negative) ways.push_back(whole_between(rules, low.negative ? "" : low.whole, high.whole));
  return rules.choice(std::move(ways));
}

ExpressionId number_between(Rules& rules, const NumberBounds& bounds) {
  if (!bounds.min && !bounds.max) return any_number(rules);
  if (bounds.min && bounds.max && *bounds.max < *bounds.min) return rules.nothing();
  std::vector<ExpressionId> ways;
  const Decimal zero;
  const auto magnitude = [](const std::optional<Decimal>& d) {
    return d ? std::optional<Decimal>({false, d->whole, d->fraction}) : std::nullopt;
  };
  const bool reaches_above = !bounds.max || !(*bounds.max < zero);
  if (reaches_above) {
    const bool from_min = bounds.min && !bounds.min->negative;
    ways.push_back(magnitudes(
        rules, {from_min ? *bounds.min : zero, bounds.max, from_min && bounds.above_min, bounds.below_max}));
  }
  if (!bounds.min || bounds.min->negative) {
    const bool to_max = bounds.max && bounds.max->negative;
    // -0 is 0, which the part above has where it may be.
    ways.push_back(rules.sequence(
        {rules.bytes("-"), magnitudes(rules, {to_max ? *magnitude(bounds.max) : zero, magnitude(bounds.min),
                                              to_max ? bounds.below_max : true, bounds.above_min})}));
  }
  return rules.choice(std::move(ways));
}

}  // namespace mneme::grammar

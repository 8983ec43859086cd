#include "core/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mneme::core {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Plot, HoldsItsSeries) {
  Plot plot{"A < B", "x", "y", {{"one", {1, 2, 3}, {1, 4, 9}}, {"two", {1, 2, 3}, {2, kNone, 3}, true}}};
  const std::string svg = to_svg(plot);
  EXPECT_NE(svg.find("A &lt; B"), std::string::npos);
  EXPECT_NE(svg.find(">one<"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(count(svg, "opacity"), 0u);
  plot.series.clear();
  EXPECT_NE(to_svg(plot).find("</svg>"), std::string::npos);
  EXPECT_FALSE(write_svg("/nonexistent/x.svg", plot));
}

TEST(Plot, BarsAndMarksStandWhereTheyAreAskedFor) {
  Plot plot{"", "", "", {{"one", {1000, 4000}, {0.5, 0.25}, false, {0.4, kNone}, {0.6, 0.3}}}};
  plot.x_ticks = {1000, 4000};
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "h6m-3 0V"), 1u) << "the bar that is no number is left out";
  EXPECT_EQ(count(svg, ">1000<") + count(svg, ">4000<"), 2u);
  EXPECT_EQ(count(svg, ">2000<"), 0u);
}

TEST(HeatMapTest, EveryCellSaysItsShare) {
  const HeatMap map{"t", "x", "y", {"a", "b"}, {"top", "bottom"}, {0, 0.5, kNone, 1}};
  const std::string svg = to_svg(map);
  EXPECT_EQ(count(svg, "hsl("), 3u);
  for (const char* part : {">0<", ">50<", ">100<", ">top<", ">b<", "hsl(120 "}) {
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(to_svg(HeatMap{}).find("</svg>"), std::string::npos);
}

TEST(HeatMapTest, PlotsStandOneUnderTheOther) {
  const std::string both[] = {to_svg(Plot{}), to_svg(HeatMap{})};
  const std::string svg = stacked(both);
  EXPECT_EQ(count(svg, "<svg "), 3u);
  EXPECT_EQ(count(svg, "</svg>"), 3u);
  EXPECT_NE(svg.find("height=\"840\""), std::string::npos);
}

}  // namespace
}  // namespace mneme::core

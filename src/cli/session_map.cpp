#include "cli/session_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/input.h"
#include "cli/terminal.h"

namespace mneme::cli {

namespace {

constexpr size_t kColumns = 96;
constexpr std::array kSigns = {'H', 'w', 'p', '.', '!'};
constexpr std::array kNames = {"hot", "warm", "passing through", "cold", "not on the disk"};
constexpr std::array kColours = {"#c0392b", "#e08e45", "#d9c46c", "#4a78a8", "#8e44ad"};

size_t segments_of(const TierMap& map) {
  return map.layers > 0 ? map.extents.size() / static_cast<size_t>(map.layers) : 0;
}

// The least near of the segments of a column.
TierOf tier_of_column(const TierMap& map, size_t layer, size_t begin, size_t end) {
  auto least = TierOf::kHot;
  for (size_t i = begin; i < end; ++i)
    least = std::max(least, map.extents[i * static_cast<size_t>(map.layers) + layer]);
  return least;
}

}  // namespace

TierMap map_of_disk(const SessionDetail& detail) {
  TierMap map;
  map.layers = detail.layers;
  map.tokens = detail.tokens.size();
  for (const bool here : detail.segments_here) {
    map.extents.insert(map.extents.end(), static_cast<size_t>(map.layers),
                       here ? TierOf::kCold : TierOf::kUnwritten);
  }
  map.heat.resize(map.extents.size());
  return map;
}

std::string map_text(const TierMap& map) {
  const size_t segments = segments_of(map), columns = std::min(segments, kColumns);
  std::string text;
  for (size_t layer = 0; layer < static_cast<size_t>(map.layers); ++layer) {
    text += format("%3zu ", layer);
    for (size_t c = 0; c < columns; ++c) {
      const size_t begin = c * segments / columns, end = std::max(begin + 1, (c + 1) * segments / columns);
      text += kSigns[static_cast<size_t>(tier_of_column(map, layer, begin, end))];
    }
    text += '\n';
  }
  text += format(
      "    %zu tokens, %zu in segments of %zu; H hot, w warm, p passing through, . cold, ! not on the disk\n",
      map.tokens, segments * map.segment_tokens, map.segment_tokens);
  return text;
}

std::string map_svg(const std::string& title, const TierMap& map) {
  const size_t segments = segments_of(map);
  constexpr double kWidth = 960, kRow = 14, kLeft = 44, kTop = 34;
  const double cell = segments > 0 ? kWidth / static_cast<double>(segments) : kWidth;
  const double height = kTop + kRow * map.layers + 40;
  float hottest = 0;
  for (const float heat : map.heat) hottest = std::max(hottest, heat);
  std::string svg = format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%.0f\" y=\"20\" font-size=\"14\">%s: %zu tokens</text>\n",
      kLeft + kWidth + 20, height, kLeft, title.c_str(), map.tokens);
  for (size_t layer = 0; layer < static_cast<size_t>(map.layers); ++layer) {
    const double y = kTop + kRow * static_cast<double>(layer);
    svg += format("<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%zu</text>\n", kLeft - 6, y + 10, layer);
    for (size_t i = 0; i < segments; ++i) {
      const size_t at = i * static_cast<size_t>(map.layers) + layer;
      const double shade = hottest > 0 ? 0.55 + 0.45 * static_cast<double>(map.heat[at] / hottest) : 0.8;
      svg += format(
          "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\" fill=\"%s\" fill-opacity=\"%.2f\"/>\n",
          kLeft + cell * static_cast<double>(i), y, std::max(cell - 0.3, 0.2), kRow - 1,
          kColours[static_cast<size_t>(map.extents[at])], shade);
    }
  }
  for (size_t i = 0; i < kNames.size(); ++i) {
    const double x = kLeft + 150 * static_cast<double>(i);
    svg += format(
        "<rect x=\"%.0f\" y=\"%.0f\" width=\"10\" height=\"10\" fill=\"%s\"/>"
        "<text x=\"%.0f\" y=\"%.0f\">%s</text>\n",
        x, height - 22, kColours[i], x + 14, height - 13, kNames[i]);
  }
  return svg + "</svg>\n";
}

Result<void> write_map(const std::string& path, const std::string& title, const TierMap& map) {
  return write_text(path, map_svg(title, map));
}

}  // namespace mneme::cli

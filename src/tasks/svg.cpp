// svg: figures described in words, asked for as SVG written in one way.
#include <array>
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Colour {
  std::string_view svg;
  std::string_view english;
  std::string_view chinese;
};
constexpr Colour kColours[] = {{"red", "red", "红色"},       {"blue", "blue", "蓝色"},
                               {"green", "green", "绿色"},   {"black", "black", "黑色"},
                               {"yellow", "yellow", "黄色"}, {"orange", "orange", "橙色"},
                               {"purple", "purple", "紫色"}, {"gray", "grey", "灰色"}};
constexpr Colour kColoursHeldOut[] = {
    {"brown", "brown", "棕色"}, {"pink", "pink", "粉色"}, {"white", "white", "白色"}};

struct Shape {
  std::string said;
  std::string drawn;
};

Shape any_shape(Draft& draft) {
  const Colour colour = draft.train() ? draft.any_of(kColours) : draft.any_of(kColoursHeldOut);
  const std::string_view said = draft.english() ? colour.english : colour.chinese;
  std::array<std::string, 4> n;
  for (std::string& one : n) one = std::to_string(draft.between(1, 99));
  const size_t way = draft.below(3);
  const Fields fields = {{"colour", said}, {"svg", colour.svg}, {"x", n[0]},  {"y", n[1]}, {"r", n[2]},
                         {"w", n[2]},      {"h", n[3]},         {"x2", n[2]}, {"y2", n[3]}};
  constexpr Slot kSlots[] = {Slot::kSvgCircle, Slot::kSvgRect, Slot::kSvgLine};
  constexpr std::string_view kDrawn[] = {
      "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{svg}\"/>",
      "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{svg}\"/>",
      "<line x1=\"{x}\" y1=\"{y}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{svg}\"/>"};
  return {fill(any_wording(draft, kSlots[way]), fields), fill(kDrawn[way], fields)};
}

}  // namespace

void make_svg(Draft& draft) {
  const size_t shapes_max = draft.between(1, 2);
  draft.sample.form = shapes_max == 1 ? "one_shape" : "two_shapes";
  std::vector<Record> records;
  std::vector<std::string> names, answers;
  const size_t count = std::min(draft.questions(), draft.request.context_bytes / 40 + 1);
  for (size_t i = 0; i < count; ++i) {
    std::string said, drawn = "<svg>";
    for (size_t k = draft.between(1, shapes_max); k > 0; --k) {
      const Shape shape = any_shape(draft);
      said += (said.empty() ? "" : draft.english() ? "; " : "；") + shape.said;
      drawn += shape.drawn;
    }
    names.push_back(fresh_key(draft, ValueKind::kWords));
    answers.push_back(drawn + "</svg>");
    records.push_back(
        {fill(any_wording(draft, Slot::kSvgRecord), {{"name", names[i]}, {"shapes", said}}), true});
  }
  bury(draft, records, {.before = any_preamble(draft)});
  for (size_t i = 0; i < count; ++i) {
    if (!records[i].kept) continue;
    draft.ask(fill(any_wording(draft, Slot::kSvgQuestion), {{"name", names[i]}}), answers[i],
              records[i].range);
  }
}

}  // namespace mneme::tasks

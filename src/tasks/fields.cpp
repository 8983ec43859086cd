#include "tasks/fields.h"

#include "tasks/json.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

std::string two_digits(size_t number) {
  return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

std::string any_date(Draft& draft) {
  // The years are apart: a date of held-out is none of train.
  const size_t year = draft.train() ? draft.between(2001, 2024) : draft.between(2025, 2032);
  const std::string month = two_digits(draft.between(1, 12));
  return std::to_string(year) + '-' + month + '-' + two_digits(draft.between(1, 28));
}

std::string_view any_colour(Draft& draft) {
  constexpr std::string_view kEnglish[] = {"red",   "blue",  "green",  "yellow",
                                           "black", "white", "orange", "purple"};
  constexpr std::string_view kEnglishHeldOut[] = {"brown", "pink", "grey", "teal"};
  constexpr std::string_view kChinese[] = {"红色", "蓝色", "绿色", "黄色", "黑色", "白色", "橙色", "紫色"};
  constexpr std::string_view kChineseHeldOut[] = {"棕色", "粉色", "灰色", "青色"};
  if (draft.english()) return draft.train() ? draft.any_of(kEnglish) : draft.any_of(kEnglishHeldOut);
  return draft.train() ? draft.any_of(kChinese) : draft.any_of(kChineseHeldOut);
}

}  // namespace

FieldValue any_field(Draft& draft, FieldType type) {
  switch (type) {
    case FieldType::kPerson: return {any_person(draft)};
    case FieldType::kCity: return {word(draft, WordClass::kCity)};
    case FieldType::kProduct: return {word(draft, WordClass::kProduct)};
    case FieldType::kDate: return {any_date(draft)};
    case FieldType::kCount: return {std::to_string(draft.between(2, 999)), true};
    case FieldType::kAge: return {std::to_string(draft.between(18, 90)), true};
    case FieldType::kAmount: {
      size_t amount = draft.between(100, 99999);
      while (!belongs(std::to_string(amount), draft.request.split)) amount = draft.between(100, 99999);
      return {std::to_string(amount), true};
    }
    case FieldType::kYear:
      return {std::to_string(draft.train() ? draft.between(1850, 2005) : draft.between(1700, 1849)), true};
    case FieldType::kColour: return {std::string(any_colour(draft))};
    case FieldType::kName: return {capitalised(word(draft, WordClass::kNoun))};
    case FieldType::kCode: {
      static constexpr std::string_view kLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ";
      for (;;) {
        std::string code{draft.any_of(kLetters), draft.any_of(kLetters), '-'};
        code += std::to_string(draft.between(100, 9999));
        if (belongs(code, draft.request.split)) return {code};
      }
    }
    case FieldType::kFlag: return {draft.chance(0.5f) ? "true" : "false", true};
  }
  return {};
}

std::string json_of(const FieldValue& value) { return value.is_bare ? value.text : quoted_json(value.text); }

}  // namespace mneme::tasks

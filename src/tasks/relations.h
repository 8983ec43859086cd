// paraphrase's relations: what a record says of a subject, and how questions ask for it in other words.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tasks/fields.h"
#include "tasks/tasks.h"

namespace mneme::tasks {

struct Relation {
  std::string_view id;
  FieldType subject;
  FieldType value;
  std::vector<std::string_view> records;    // {s} {v}
  std::vector<std::string_view> questions;  // {s}
};

std::span<const Relation> relations(Language language, Split split);

const std::vector<Relation>& relations_english(Split split);
const std::vector<Relation>& more_relations_english();  // the second half of train's
const std::vector<Relation>& relations_chinese(Split split);

}  // namespace mneme::tasks

// Train and held-out have nothing in common that could be learned by heart.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>

#include "tasks/record_formats.h"
#include "tasks/relations.h"
#include "tasks/schemas.h"
#include "tasks/utf8.h"
#include "tasks/values.h"
#include "tasks/wordings.h"
#include "tasks/words.h"

namespace mneme::tasks {
namespace {

using Strings = std::set<std::string>;

constexpr Language kLanguages[] = {Language::kEnglish, Language::kChinese};

void expect_disjoint(const Strings& train, const Strings& held_out) {
  EXPECT_FALSE(train.empty());
  EXPECT_FALSE(held_out.empty());
  for (const std::string& one : held_out) EXPECT_FALSE(train.contains(one)) << one;
}

// collect(split) on both sides.
void expect_disjoint(const std::function<Strings(Split)>& collect) {
  expect_disjoint(collect(Split::kTrain), collect(Split::kHeldOut));
}

TEST(Split, WordsHaveNothingInCommon) {
  for (const Language language : kLanguages) {
    expect_disjoint([&](Split split) {
      Strings all;
      for (size_t i = 0; i < kWordClasses; ++i) {
        for (const auto word : words(static_cast<WordClass>(i), language, split)) {
          EXPECT_TRUE(valid_utf8(word));
          all.emplace(word);
        }
      }
      return all;
    });
  }
}

TEST(Split, WordingsHaveNothingInCommon) {
  for (const Language language : kLanguages) {
    for (size_t slot = 0; slot < kSlots; ++slot) {
      SCOPED_TRACE("slot " + std::to_string(slot));
      expect_disjoint([&](Split split) {
        const auto all = wordings(static_cast<Slot>(slot), language, split);
        return Strings(all.begin(), all.end());
      });
    }
  }
}

TEST(Split, RecordFormatsHaveNothingInCommon) {
  EXPECT_GE(record_formats(Split::kTrain).size(), 9u);
  EXPECT_GE(record_formats(Split::kHeldOut).size(), 3u);
  for (const bool ids : {true, false}) {
    expect_disjoint([&](Split split) {
      Strings all;
      for (const RecordFormat& one : record_formats(split)) all.emplace(ids ? one.id : one.record);
      return all;
    });
  }
}

TEST(Split, RelationsHaveNothingInCommon) {
  for (const Language language : kLanguages) {
    expect_disjoint([&](Split split) {
      Strings all;
      for (const Relation& one : relations(language, split)) {
        EXPECT_TRUE(all.emplace(one.id).second);
        for (const auto record : one.records) EXPECT_TRUE(all.emplace(record).second) << record;
        for (const auto question : one.questions) EXPECT_TRUE(all.emplace(question).second) << question;
      }
      return all;
    });
  }
}

TEST(Split, SchemasAndToolsHaveNothingInCommon) {
  for (const Language language : kLanguages) {
    expect_disjoint([&](Split split) {
      Strings all;
      for (const Schema& one : schemas(language, split)) {
        all.emplace(one.id);
        all.insert(one.sentences.begin(), one.sentences.end());
        EXPECT_EQ(one.fields.size(), 4u);
        for (const SchemaField& field : one.fields) all.insert(field.keys.begin(), field.keys.end());
      }
      return all;
    });
  }
  expect_disjoint([&](Split split) {
    Strings all;
    for (const ToolParameter& one : tool_parameters(split)) all.emplace(one.name);
    for (const ToolWord& one : tool_verbs(split)) all.emplace(one.name);
    for (const ToolWord& one : tool_objects(split)) all.emplace(one.name);
    return all;
  });
}

TEST(Split, RandomValuesHaveNothingInCommon) {
  const SyntheticText source(3, 1000);
  for (size_t kind = 0; kind < kValueKinds; ++kind) {
    SCOPED_TRACE("kind " + std::to_string(kind));
    expect_disjoint([&](Split split) {
      Strings all;
      core::Rng rng(5);
      const Request request{.split = split};
      for (int i = 0; i < 300; ++i) {
        Draft draft{request, source, rng, {}, {}};
        all.insert(fresh_value(draft, static_cast<ValueKind>(kind)));
      }
      return all;
    });
  }
}

TEST(Split, FormsOfSamplesHaveNothingInCommon) {
  const SyntheticText source(3, 20000);
  for (const TaskKind task :
       {TaskKind::kPasskey, TaskKind::kMultiNeedle, TaskKind::kKeyValue, TaskKind::kParaphrase,
        TaskKind::kVariableTracking, TaskKind::kExtraction, TaskKind::kToolCall, TaskKind::kGrounded}) {
    for (const Language language : kLanguages) {
      SCOPED_TRACE(name(task));
      expect_disjoint([&](Split split) {
        Strings all;
        core::Rng rng(9);
        const Request request{.split = split, .language = language, .context_bytes = 1500};
        for (int i = 0; i < 60; ++i) all.insert(generate(task, request, source, rng).form);
        return all;
      });
    }
  }
}

TEST(Split, NeighboursAreOtherKeys) {
  const SyntheticText source(3, 1000);
  for (const Language language : kLanguages) {
    core::Rng rng(4);
    const Request request{.language = language};
    Draft draft{request, source, rng, {}, {}};
    Strings seen;
    for (int i = 0; i < 500; ++i) {
      const std::string key = fresh_key(draft, any_key_kind(draft));
      EXPECT_TRUE(seen.insert(key).second) << key;
      for (int k = 0; k < 3; ++k) {
        const std::string other = fresh_neighbour(draft, key);
        EXPECT_TRUE(valid_utf8(other));
        EXPECT_TRUE(seen.insert(other).second) << other;
      }
    }
  }
}

}  // namespace
}  // namespace mneme::tasks

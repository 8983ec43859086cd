// What a grammar may grow to. Beyond these it is refused, with the number in the message, or (in use) its
// rarest branches are cut off: what is generated stays inside the language.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mneme::grammar {

inline constexpr size_t kSourceBytesMax = 2 << 20;  // of a grammar's text or a JSON schema
inline constexpr int kNestingMax = 200;             // groups in groups, schemas in schemas
inline constexpr size_t kExpressionsMax = 500'000;
inline constexpr size_t kStatesMax = 2'000'000;        // of the compiled machine
inline constexpr uint32_t kRepeatMax = 1'000'000'000;  // {m,n}
// A repetition is written out as copies while they are together no larger than this, counted beyond it.
inline constexpr size_t kCopiesMax = 192;
inline constexpr size_t kNullableCopiesMax = 4000;  // states, of what may be empty, which cannot be counted
inline constexpr uint32_t kDepthMax = 96;  // open rules at any time: bounds the nesting of what is generated
inline constexpr size_t kItemsMax = 2048;  // ways of reading the text so far that are followed at once
inline constexpr size_t kCacheBytesMax = 32 << 20;  // of one automaton: configurations, tables, masks
inline constexpr size_t kWorkMax = 5'000'000;       // items looked at for one mask: some tenths of a second

}  // namespace mneme::grammar

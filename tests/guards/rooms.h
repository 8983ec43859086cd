// The rooms guard: every #include of src/ and include/ against the table in cmake/rooms.cmake.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "guards/source_tree.h"

namespace mneme::guards {

// The table: which rooms there are, what each may include, and which see include/mneme only.
struct RoomTable {
  std::vector<std::string> rooms;
  std::map<std::string, std::set<std::string>> below;
  std::set<std::string> public_api_only;
};

// Reads the set(...) lines of rooms.cmake.
RoomTable parse_room_table(std::string_view cmake);

// The table itself: no room twice, none that is unknown, no cycles. Paths of violations are
// cmake/rooms.cmake.
std::vector<Violation> check_room_table(const RoomTable& table);

// Quoted includes: own room, a room below, or mneme/...; and each third-party header in the one room it
// belongs to.
std::vector<Violation> check_includes(const RoomTable& table, const std::vector<SourceFile>& files);

// Headers that include each other in a circle.
std::vector<Violation> check_include_cycles(const std::vector<SourceFile>& files);

}  // namespace mneme::guards

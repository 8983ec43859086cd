#include "guards/rooms.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>

namespace mneme::guards {
namespace {

const char* const kTablePath = "cmake/rooms.cmake";

// A dependency is used in exactly one place; "mneme" stands for include/mneme, "test" and "bench" for what is
// not the product.
struct ThirdParty {
  std::string_view prefix;
  std::string_view room;
};
constexpr ThirdParty kThirdParty[] = {
    {"fmt/", "core"},        {"xxhash.h", "core"},   {"pcre2.h", "model"}, {"CLI/", "cli"},
    {"nlohmann/", "cli"},    {"tl/", "mneme"},       {"gtest/", "test"},   {"gmock/", "test"},
    {"benchmark/", "bench"}, {"unicode/", "engram"}, {"torch/", "train"},  {"ATen/", "train"},
    {"c10/", "train"},       {"liburing.h", "kv"},   {"boost/", "serve"},  {"openssl/", "serve"},
};
// What other rooms need too: programs their options, grammars JSON schemas.
constexpr ThirdParty kAlso[] = {
    {"CLI/", "corpus"}, {"CLI/", "train"}, {"nlohmann/", "grammar"}, {"nlohmann/", "serve"}};

// Headers of the C library, POSIX, Linux and the compiler; the C++ library's have neither dot nor slash.
bool is_system_header(std::string_view name) {
  if (name.find_first_of("./") == std::string_view::npos) return true;
  if (starts_with_any(name, {"sys/", "linux/", "netinet/", "asm/", "bits/"})) return true;
  static const std::set<std::string_view> kNames = {
      "assert.h", "cpuid.h",  "dirent.h",  "dlfcn.h",   "errno.h",  "fcntl.h",     "immintrin.h", "limits.h",
      "malloc.h", "math.h",   "poll.h",    "pthread.h", "sched.h",  "signal.h",    "stdint.h",    "stdio.h",
      "stdlib.h", "string.h", "termios.h", "time.h",    "unistd.h", "x86intrin.h",
  };
  return kNames.contains(name);
}

struct Include {
  size_t line = 0;  // from 1
  bool quoted = false;
  std::string name;
};

std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> found;
  for (size_t i = 0; i < file.code.size(); ++i) {
    std::string_view line = trim(file.code[i]);
    if (!line.starts_with('#')) continue;
    line = trim(line.substr(1));
    if (!line.starts_with("include")) continue;
    line = trim(line.substr(std::string_view("include").size()));
    const bool quoted = line.starts_with('"');
    const size_t end = line.find(quoted ? '"' : '>', 1);
    if (end != std::string_view::npos) found.push_back({i + 1, quoted, std::string(line.substr(1, end - 1))});
  }
  return found;
}

// src/kv/pool.cpp -> "kv"; include/mneme/engine.h -> "mneme".
std::string room_of(std::string_view path) {
  for (const std::string_view top : {std::string_view("src/"), std::string_view("include/")}) {
    if (!path.starts_with(top)) continue;
    path.remove_prefix(top.size());
    return std::string(path.substr(0, path.find('/')));
  }
  return {};
}

std::optional<std::string> why_quoted_is_wrong(const RoomTable& table, const SourceFile& file,
                                               const std::string& name) {
  const std::string from = room_of(file.path);
  const size_t slash = name.find('/');
  if (slash == std::string::npos || name.starts_with("."))
    return "\"" + name + "\": write it as \"room/file.h\"";
  const std::string to = name.substr(0, slash);
  if (to == "mneme" || to == from) return std::nullopt;
  if (!table.below.contains(to)) {
    if (is_test(file.path)) return std::nullopt;  // from tests/, by the compiler's leave
    return "\"" + name + "\": " + to + " is no room";
  }
  if (from == "mneme") return "\"" + name + "\": the public interface includes mneme/ only";
  const auto below = table.below.find(from);
  const bool through_api = table.public_api_only.contains(from) && to != "core" && to != "serve";
  if (through_api) return "\"" + name + "\": " + from + " reaches the rest through mneme/ only";
  if (below != table.below.end() && below->second.contains(to)) return std::nullopt;
  return "\"" + name + "\": " + from + " may not include " + to;
}

std::optional<std::string> why_angled_is_wrong(const SourceFile& file, const std::string& name) {
  if (is_system_header(name)) return std::nullopt;
  const auto* known = std::ranges::find_if(kThirdParty,
                                           [&](const ThirdParty& x) { return name.starts_with(x.prefix); });
  if (known == std::end(kThirdParty))
    return "<" + name + ">: a new dependency; name its room in tests/guards/rooms.cpp";
  const std::string room = room_of(file.path);
  if (known->room == room) return std::nullopt;
  const auto is_this = [&](const ThirdParty& x) { return name.starts_with(x.prefix) && x.room == room; };
  if (std::ranges::any_of(kAlso, is_this)) return std::nullopt;
  if (known->room == "test" && is_test(file.path)) return std::nullopt;
  return "<" + name + "> belongs to " + std::string(known->room);
}

// Finds one circle in a graph; empty when there is none. Depth first, grey nodes are on the path.
using Graph = std::map<std::string, std::set<std::string>>;

std::vector<std::string> find_cycle(const Graph& graph) {
  std::vector<std::string> path;
  std::set<std::string> done;
  const std::function<bool(const std::string&)> visit = [&](const std::string& node) {
    const auto on_path = std::ranges::find(path, node);
    if (on_path != path.end()) {
      path.erase(path.begin(), on_path);
      path.push_back(node);
      return true;
    }
    if (done.contains(node)) return false;
    path.push_back(node);
    if (const auto edges = graph.find(node); edges != graph.end()) {
      for (const std::string& next : edges->second) {
        if (visit(next)) return true;
      }
    }
    path.pop_back();
    done.insert(node);
    return false;
  };
  for (const auto& [node, edges] : graph) {
    if (visit(node)) return path;
  }
  return {};
}

std::string arrows(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& node : path) text += (text.empty() ? "" : " -> ") + node;
  return text;
}

}  // namespace

RoomTable parse_room_table(std::string_view cmake) {
  const std::string_view kRoom = "MNEME_ROOM_";
  RoomTable table;
  std::istringstream in{std::string(cmake)};
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("set(MNEME_") || line.find('$') != std::string::npos) continue;
    const auto words = words_of(line);  // set, the variable, its values
    const std::vector<std::string> names(words.begin() + 2, words.end());
    if (words[1] == "MNEME_ROOMS") {
      table.rooms = names;
    } else if (words[1] == "MNEME_PUBLIC_API_ONLY") {
      table.public_api_only.insert(names.begin(), names.end());
    } else if (words[1].starts_with(kRoom)) {
      table.below[std::string(words[1].substr(kRoom.size()))].insert(names.begin(), names.end());
    }
  }
  return table;
}

std::vector<Violation> check_room_table(const RoomTable& table) {
  std::vector<Violation> found;
  std::set<std::string> known;
  if (table.rooms.empty())
    found.push_back({kTablePath, 0, "no rooms were read: has the form of the table changed?"});
  for (const std::string& room : table.rooms) {
    if (!known.insert(room).second) found.push_back({kTablePath, 0, room + " is named twice"});
    if (!table.below.contains(room)) found.push_back({kTablePath, 0, room + " has no line of its own"});
  }
  for (const auto& [room, below] : table.below) {
    if (!known.contains(room)) found.push_back({kTablePath, 0, room + " is not in MNEME_ROOMS"});
    for (const std::string& other : below) {
      if (!known.contains(other))
        found.push_back({kTablePath, 0, room + " names " + other + ", which is no room"});
    }
  }
  for (const std::string& room : table.public_api_only) {
    if (!known.contains(room)) found.push_back({kTablePath, 0, room + " is not in MNEME_ROOMS"});
  }
  if (const auto cycle = find_cycle(table.below); !cycle.empty()) {
    found.push_back({kTablePath, 0, "rooms in a circle: " + arrows(cycle)});
  }
  return found;
}

std::vector<Violation> check_includes(const RoomTable& table, const std::vector<SourceFile>& files) {
  std::vector<Violation> found;
  for (const SourceFile& file : files) {
    if (const std::string room = room_of(file.path); room != "mneme" && !table.below.contains(room)) {
      found.push_back({file.path, 0, "this folder is not in " + std::string(kTablePath)});
    }
    for (const Include& include : includes_of(file)) {
      const auto why = include.quoted ? why_quoted_is_wrong(table, file, include.name)
                                      : why_angled_is_wrong(file, include.name);
      if (why) found.push_back({file.path, include.line, *why});
    }
  }
  return found;
}

std::vector<Violation> check_include_cycles(const std::vector<SourceFile>& files) {
  Graph graph;
  for (const SourceFile& file : files) {
    const std::string name = file.path.substr(file.path.find('/') + 1);  // as it is included
    for (const Include& include : includes_of(file)) {
      if (include.quoted) graph[name].insert(include.name);
    }
  }
  const auto cycle = find_cycle(graph);
  if (cycle.empty()) return {};
  return {{cycle.front(), 0, "headers in a circle: " + arrows(cycle)}};
}

}  // namespace mneme::guards

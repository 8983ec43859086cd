// Guard: who includes whom. The first tests hold the project to cmake/rooms.cmake; the rest show the guard
// bad samples, so that one that finds nothing is known to look.
#include "guards/rooms.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace mneme::guards {
namespace {

RoomTable project_table() { return parse_room_table(read_text(MNEME_SOURCE_DIR "/cmake/rooms.cmake")); }

TEST(Rooms, TableIsSound) { EXPECT_EQ(report(check_room_table(project_table())), ""); }

TEST(Rooms, EveryIncludeFollowsTheTable) {
  const auto files = read_sources(MNEME_SOURCE_DIR, {"src", "include"});
  ASSERT_GT(files.size(), 20u);
  const auto found = check_includes(project_table(), files);
  EXPECT_TRUE(found.empty()) << report(found);
}

TEST(Rooms, NoHeadersInACircle) {
  EXPECT_EQ(report(check_include_cycles(read_sources(MNEME_SOURCE_DIR, {"src", "include"}))), "");
}

TEST(Rooms, EveryRoomHasAFolder) {
  for (const std::string& room : project_table().rooms) {
    EXPECT_TRUE(std::filesystem::is_directory(std::string(MNEME_SOURCE_DIR "/src/") + room)) << room;
  }
}

// Bad samples.

const char* const kTable =
    "set(MNEME_ROOMS core kv model engine cli)\n"
    "set(MNEME_ROOM_core      )\n"
    "set(MNEME_ROOM_kv        core)\n"
    "set(MNEME_ROOM_model     kv core)\n"
    "set(MNEME_ROOM_engine    model kv core)\n"
    "set(MNEME_ROOM_cli       engine)\n"
    "set(MNEME_PUBLIC_API_ONLY cli)\n";

std::string complaint(std::string path, std::string_view text) {
  return report(check_includes(parse_room_table(kTable), {parse_source(std::move(path), text)}));
}

TEST(RoomsSelf, ReadsTheTable) {
  const RoomTable table = parse_room_table(kTable);
  EXPECT_EQ(table.rooms.size(), 5u);
  EXPECT_EQ(table.below.at("model"), (std::set<std::string>{"core", "kv"}));
  EXPECT_TRUE(table.below.at("core").empty());
  EXPECT_EQ(table.public_api_only, std::set<std::string>{"cli"});
  EXPECT_EQ(report(check_room_table(table)), "");
}

TEST(RoomsSelf, FindsFaultsOfTheTable) {
  EXPECT_NE(report(check_room_table(parse_room_table(""))).find("no rooms"), std::string::npos);
  const auto circle = parse_room_table("set(MNEME_ROOMS a b)\nset(MNEME_ROOM_a b)\nset(MNEME_ROOM_b a)\n");
  EXPECT_EQ(report(check_room_table(circle)), "cmake/rooms.cmake:0: rooms in a circle: a -> b -> a\n");
  const auto itself = parse_room_table("set(MNEME_ROOMS a)\nset(MNEME_ROOM_a a)\n");
  EXPECT_EQ(report(check_room_table(itself)), "cmake/rooms.cmake:0: rooms in a circle: a -> a\n");
  const auto unknown = parse_room_table("set(MNEME_ROOMS a a)\nset(MNEME_ROOM_a b)\nset(MNEME_ROOM_c )\n");
  EXPECT_EQ(check_room_table(unknown).size(), 3u);
}

TEST(RoomsSelf, UpwardsAndSidewaysAreFound) {
  EXPECT_EQ(complaint("src/kv/a.cpp",
                      "#include \"core/error.h\"\n#include \"kv/b.h\"\n#include \"mneme/result.h\"\n"),
            "");
  EXPECT_EQ(complaint("src/kv/a.cpp", "#include \"kv/b.h\"\n#include \"model/model.h\"\n"),
            "src/kv/a.cpp:2: \"model/model.h\": kv may not include model\n");
  EXPECT_EQ(complaint("src/core/a_test.cpp", "  #  include \"kv/b.h\" // why\n"),
            "src/core/a_test.cpp:1: \"kv/b.h\": core may not include kv\n");
  EXPECT_NE(complaint("src/attic/a.cpp", "\n"), "");
}

TEST(RoomsSelf, PublicRoomsSeeMnemeOnly) {
  EXPECT_EQ(complaint("src/cli/a.cpp", "#include \"cli/b.h\"\n#include \"mneme/engine.h\"\n"), "");
  EXPECT_NE(complaint("src/cli/a.cpp", "#include \"engine/engine.h\"\n"), "");
  EXPECT_NE(complaint("src/cli/a.cpp", "#include \"core/error.h\"\n"), "");
  EXPECT_EQ(complaint("include/mneme/a.h", "#include \"mneme/b.h\"\n#include <tl/expected.hpp>\n"), "");
  EXPECT_NE(complaint("include/mneme/a.h", "#include \"core/error.h\"\n"), "");
}

TEST(RoomsSelf, PathsAreWrittenInOneWay) {
  EXPECT_NE(complaint("src/kv/a.cpp", "#include \"b.h\"\n"), "");
  EXPECT_NE(complaint("src/kv/a.cpp", "#include \"../core/error.h\"\n"), "");
  EXPECT_NE(complaint("src/kv/a.cpp", "#include \"elsewhere/error.h\"\n"), "");
  EXPECT_EQ(complaint("src/kv/a_test.cpp", "#include \"support/error.h\"\n"), "");
}

TEST(RoomsSelf, ThirdPartyHeadersHaveOneRoom) {
  EXPECT_EQ(complaint("src/core/a.h", "#include <fmt/format.h>\n#include <xxhash.h>\n#include <vector>\n"),
            "");
  EXPECT_NE(complaint("src/kv/a.h", "#include <fmt/format.h>\n"), "");
  EXPECT_NE(complaint("src/core/a.h", "#include <tl/expected.hpp>\n"), "");
  EXPECT_NE(complaint("src/engine/a.h", "#include <pcre2.h>\n"), "");
  EXPECT_NE(complaint("src/model/a.h", "#include <nlohmann/json.hpp>\n"), "");
  EXPECT_EQ(complaint("src/cli/a.cpp", "#include <CLI/CLI.hpp>\n#include <nlohmann/json.hpp>\n"), "");
  EXPECT_NE(complaint("src/core/a.h", "#include <boost/asio.hpp>\n"), "");
  EXPECT_EQ(complaint("src/core/a_test.cpp", "#include <gtest/gtest.h>\n"), "");
  EXPECT_NE(complaint("src/core/a.cpp", "#include <gtest/gtest.h>\n"), "");
  EXPECT_EQ(complaint("src/core/a.cpp", "#include <sys/mman.h>\n#include <unistd.h>\n"), "");
}

TEST(RoomsSelf, CommentsAndStringsAreNoIncludes) {
  EXPECT_EQ(complaint("src/kv/a.cpp", "// #include \"model/m.h\"\n/*\n#include \"model/m.h\"\n*/\n"), "");
  EXPECT_EQ(complaint("src/kv/a.cpp", "const char* s = R\"x(\n#include \"model/m.h\"\n)x\";\n"), "");
}

TEST(RoomsSelf, HeadersInACircleAreFound) {
  const std::vector<SourceFile> files = {parse_source("src/kv/a.h", "#include \"kv/b.h\"\n"),
                                         parse_source("src/kv/b.h", "#include \"kv/c.h\"\n"),
                                         parse_source("src/kv/c.h", "#include \"kv/a.h\"\n")};
  EXPECT_EQ(report(check_include_cycles(files)),
            "kv/a.h:0: headers in a circle: kv/a.h -> kv/b.h -> kv/c.h -> kv/a.h\n");
  EXPECT_EQ(report(check_include_cycles({files[0], files[1]})), "");
}

}  // namespace
}  // namespace mneme::guards

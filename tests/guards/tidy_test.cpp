// Guard: the house rules that a program can check. The first tests hold the project to them; the rest show
// the guard bad samples, so that one that finds nothing is known to look.
#include "guards/tidy.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "guards/functions.h"

namespace mneme::guards {
namespace {

const std::vector<std::string> kFolders = {"include", "src", "tests", "bench", "fuzz"};

TEST(Tidy, Sources) {
  const auto files = read_sources(MNEME_SOURCE_DIR, kFolders);
  ASSERT_GT(files.size(), 20u);
  const auto found = check_tidy(files);
  EXPECT_TRUE(found.empty()) << report(found);
}

TEST(Tidy, Whitespace) {
  std::vector<Violation> found;
  std::vector<std::string> paths = {"CMakeLists.txt", "CMakePresets.json", "README.md", "README.zh-CN.md",
                                    "ARCHITECTURE.md"};
  for (const auto& file : read_sources(MNEME_SOURCE_DIR, kFolders)) paths.push_back(file.path);
  for (const auto& entry : std::filesystem::directory_iterator(MNEME_SOURCE_DIR "/cmake")) {
    paths.push_back("cmake/" + entry.path().filename().string());
  }
  for (const std::string& path : paths) {
    const auto more = check_whitespace(path, read_text(std::string(MNEME_SOURCE_DIR "/") + path));
    found.insert(found.end(), more.begin(), more.end());
  }
  EXPECT_TRUE(found.empty()) << report(found);
}

// Bad samples.

std::string repeat(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string tidy(std::string path, std::string_view text) {
  return report(check_tidy({parse_source(std::move(path), text)}));
}

TEST(TidySelf, LinesAreCountedInCharacters) {
  EXPECT_EQ(tidy("src/kv/a.cpp", "// " + repeat("é", 107) + "\n"), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", "\n// " + repeat("é", 108) + "\n"),
            "src/kv/a.cpp:2: 111 characters, at most 110\n");
  EXPECT_EQ(tidy("src/kv/a.cpp", "// " + repeat("记", 107) + "\n"), "");
}

TEST(TidySelf, FilesHaveAnEnd) {
  EXPECT_EQ(tidy("src/kv/a.cpp", repeat("\n", 500)), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", repeat("\n", 501)), "src/kv/a.cpp:0: 501 lines, at most 500\n");
}

TEST(TidySelf, LongFunctionsAreFound) {
  const auto with = [](const std::string& head, size_t body, const std::string& tail) {
    return "namespace a {\n" + head + repeat("  x();\n", body) + tail + "}\n";
  };
  EXPECT_EQ(tidy("src/kv/a.cpp", with("void f() {\n", 68, "}\n")), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", with("void f() {\n", 69, "}\n")),
            "src/kv/a.cpp:2: a function of 71 lines, at most 70: void f()\n");
  for (const std::string head :
       {"TEST(A, B) {\n",
        "template <class T, class = std::enable_if_t<(1 > 0)>>\nT f(T x = {}) const noexcept {\n",
        "A::A(int a) : a_(a), b_{1}, c_{} {\n", "A::A(int a)\n    : a_{a} {\n", "bool operator==(A a) {\n",
        "struct stat f() {\n", "auto f() -> int {\n", "const auto f = [](int a) {\n",
        "int f(int a = g({1, 2})) {\n", "static int f() {\n  if (a) {\n  } else {\n  }\n",
        "const char* f() {\n  return \"}}}\"; // }}\n"}) {
    EXPECT_NE(tidy("src/kv/a.cpp", with(head, 70, "}\n")), "") << head;
  }
  EXPECT_NE(tidy("src/kv/a.cpp", with("class A : public B {\n public:\n  void f() {\n", 70, "  }\n};\n")),
            "");
  EXPECT_NE(tidy("src/kv/a.cpp", with("int small() { return 1; }\nvoid f() {\n", 70, "}\n")), "");
}

TEST(TidySelf, WhatIsNoFunctionMayBeLong) {
  const auto rows = [](const std::string& head, const std::string& row, const std::string& tail) {
    return head + repeat(row, 100) + tail;
  };
  EXPECT_EQ(tidy("src/kv/a.cpp", rows("constexpr int kTable[] = {\n", "  {1, 2},\n", "};\n")), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", rows("enum class A : int {\n", "  kA,\n", "};\n")), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", rows("struct alignas(64) A {\n", "  int a = f();\n", "};\n")), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", rows("extern \"C\" {\n", "int f(int);\n", "}\n")), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", rows("class A {\n", "  int f() const { return 1; }\n", "};\n")), "");
}

TEST(TidySelf, FunctionsHaveTheirLines) {
  const auto file = parse_source(
      "a.cpp", "int a;\nint f(\n    int b) {\n  return b;\n}\n\nstruct S {\n  void g() {}\n};\n");
  const auto functions = find_functions(file);
  ASSERT_EQ(functions.size(), 2u);
  EXPECT_EQ(functions[0].first, 2u);
  EXPECT_EQ(functions[0].last, 5u);
  EXPECT_EQ(functions[1].head, "void g()");
  EXPECT_EQ(functions[1].first, 8u);
  EXPECT_EQ(functions[1].last, 8u);
}

TEST(TidySelf, NamesThatSayNothing) {
  EXPECT_NE(tidy("src/kv/a.cpp", "class BlockManager;\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "struct HelperOf;\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "struct FileUtils;\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "RequestHandler h;\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "using X = TextProcessor2;\n"), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", "struct Utility; struct Preprocessor; int manage; // Helper\n"), "");
  EXPECT_NE(tidy("src/kv/file_utils.cpp", "\n"), "");
  EXPECT_NE(tidy("src/utils/a.cpp", "\n"), "");
  EXPECT_NE(tidy("src/kv/common/a.cpp", "\n"), "");
  EXPECT_EQ(tidy("src/kv/uncommon/a.cpp", "\n"), "");
}

TEST(TidySelf, LibraryCodeDoesNotPrint) {
  for (const std::string line :
       {"std::cout << 1;\n", "std::cerr << 1;\n", "printf(\"\");\n", "std::fprintf(f, \"\");\n", "puts(s);\n",
        "fmt::print(\"\");\n", "#include <iostream>\n", "std::fputs(s, stderr);\n"}) {
    EXPECT_NE(tidy("src/kv/a.cpp", line), "") << line;
    EXPECT_NE(tidy("include/mneme/a.h", "#pragma once\n" + line), "") << line;
    EXPECT_EQ(tidy("src/cli/a.cpp", line), "") << line;
    EXPECT_EQ(tidy("src/kv/a_test.cpp", line), "") << line;
    EXPECT_EQ(tidy("src/core/error.cpp", line), "") << line;
  }
  EXPECT_EQ(
      tidy("src/kv/a.cpp", "std::snprintf(b, 1, \"printf\"); // std::cout\nint imprint = blueprint();\n"),
      "");
}

TEST(TidySelf, PragmaOnceComesFirst) {
  EXPECT_EQ(tidy("src/kv/a.h", "// Why.\n/* And\n more. */\n#pragma once\n"), "");
  EXPECT_NE(tidy("src/kv/a.h", "#include <vector>\n#pragma once\n"), "");
  EXPECT_NE(tidy("src/kv/a.h", "// #pragma once\n"), "");
  EXPECT_NE(tidy("src/kv/a.h", ""), "");
}

TEST(TidySelf, RemindersNeedASentence) {
  EXPECT_NE(tidy("src/kv/a.cpp", "// TODO\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "int a;  // FIXME: later\n"), "");
  EXPECT_NE(tidy("src/kv/a.cpp", "/* XXX(me) */\n"), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", "// TODO: read the table from the file once it has one\n"), "");
  EXPECT_EQ(tidy("src/kv/a.cpp", "const char* s = \"TODO\";\n"), "");
}

TEST(TidySelf, IntrinsicsStayInTheirFolders) {
  EXPECT_NE(tidy("src/kernels/a.cpp", "#include <immintrin.h>\n"), "");
  EXPECT_NE(tidy("src/core/a.cpp", "#include <x86intrin.h>\n"), "");
  EXPECT_EQ(tidy("src/kernels/avx2/a.cpp", "#include <immintrin.h>\n"), "");
}

TEST(TidySelf, Whitespace) {
  EXPECT_EQ(check_whitespace("a", "one\n\ntwo\n").size(), 0u);
  EXPECT_EQ(check_whitespace("a", "").size(), 0u);
  EXPECT_EQ(report(check_whitespace("a", "one\n\ttwo\n")), "a:2: a tab\n");
  EXPECT_EQ(report(check_whitespace("a", "one \n")), "a:1: blanks at the end\n");
  EXPECT_EQ(report(check_whitespace("a", "one\r\n")), "a:1: a carriage return\n");
  EXPECT_EQ(report(check_whitespace("a", "one\ntwo")), "a:0: the last line does not end\n");
}

}  // namespace
}  // namespace mneme::guards

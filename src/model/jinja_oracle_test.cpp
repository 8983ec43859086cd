// Our templates, written in the manner of the model families, rendered here and by npm's
// @huggingface/jinja: byte for byte.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "model/chat_template.h"
#include "model/jinja_json.h"

namespace mneme::model {
namespace {

const std::string kFolder = MNEME_SOURCE_DIR "/tests/jinja_oracle";

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  for (size_t size = 0; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, size);
  pclose(pipe);
  return out;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(JinjaOracle, RendersLikeHuggingFaceJinja) {
  if (!std::ifstream(kFolder + "/node_modules/@huggingface/jinja/package.json").good()) {
    GTEST_SKIP() << "no @huggingface/jinja: run `npm ci` in tests/jinja_oracle";
  }
  if (std::system("node --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no node";
  auto cases = parse_json(output_of("cd '" + kFolder + "' && TZ=UTC node run.mjs"));
  ASSERT_TRUE(cases && cases->is_list()) << "run.mjs printed no JSON";
  ASSERT_GE(cases->as_list()->items.size(), 200u);

  setenv("TZ", "UTC", 1);
  ChatRenderOptions options;
  options.now_unix_s = 1'700'000'000;  // run.mjs has the same
  for (const JinjaValue& item : cases->as_list()->items) {
    const JinjaDict& one = *item.as_dict();
    const std::string& file = one.find_or_null("template")->as_string();
    SCOPED_TRACE(file + " with " + one.find_or_null("name")->as_string());
    auto compiled = ChatTemplate::compile(read_text(kFolder + "/templates/" + file));
    ASSERT_TRUE(compiled) << compiled.error().message;
    auto text = compiled->render(*one.find_or_null("context"), options);
    if (const JinjaValue* expected = one.find_or_null("text")) {
      ASSERT_TRUE(text) << text.error().message;
      EXPECT_EQ(*text, expected->as_string());
    } else {
      ASSERT_FALSE(text) << *text;
      const std::string& message = one.find_or_null("error")->as_string();
      EXPECT_NE(text.error().message.find(message), std::string::npos) << text.error().message << "\n"
                                                                       << message;
    }
  }
}

}  // namespace
}  // namespace mneme::model

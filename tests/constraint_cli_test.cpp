// --json-schema, --regex and --grammar, as scripts use them, with a model whose text is noise.
#include "cli_for_test.h"

namespace mneme {
namespace {

const char* const kSchema =
    R"({"type": "object", "properties": {"sky": {"enum": ["clear", "cloudy"]}, )"
    R"("degrees": {"type": "integer", "minimum": -40, "maximum": 50}}, "required": ["sky", "degrees"]})";

class ConstraintCli : public Cli {
 protected:
  Outcome run(const std::string& arguments, const std::string& input = "") {
    return mneme("run -m " + kModel + " -p 'The weather' --seed 5 " + arguments, input);
  }
};

TEST_F(ConstraintCli, JsonAsTheSchemaSays) {
  for (const std::string& schema : {"'" + std::string(kSchema) + "'", write("schema.json", kSchema)}) {
    const Outcome done = run("--json-schema " + schema);
    ASSERT_EQ(done.status, 0) << done.err;
    const Json json = Json::parse(done.out);
    EXPECT_TRUE(json["sky"] == "clear" || json["sky"] == "cloudy") << done.out;
    EXPECT_TRUE(json["degrees"] >= -40 && json["degrees"] <= 50) << done.out;
  }
  EXPECT_EQ(run("--json-schema '" + std::string(kSchema) + "'").out,
            run("--json-schema '" + std::string(kSchema) + "'").out);
}

TEST_F(ConstraintCli, ExpressionsAndRules) {
  const Outcome phone = run("--regex '[0-9]{3}-[0-9]{4}'");
  ASSERT_EQ(phone.status, 0) << phone.err;
  EXPECT_EQ(phone.out.size(), 9u) << phone.out;
  EXPECT_EQ(phone.out[3], '-');
  const std::string rules = write("rules.gbnf", "root ::= (\"yes\" | \"no\") \"!\"\n");
  const Outcome answer = run("--grammar " + rules);
  EXPECT_TRUE(answer.out == "yes!\n" || answer.out == "no!\n") << answer.out << answer.err;
  const Outcome chat = mneme("chat -m " + kModel + " --grammar " + rules, "well?\nreally?\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  EXPECT_EQ(std::count(chat.out.begin(), chat.out.end(), '!'), 2) << chat.out;
}

TEST_F(ConstraintCli, SaysWhatIsNotComplete) {
  const Outcome cut = run("-n 2 --json --json-schema '" + std::string(kSchema) + "'");
  ASSERT_EQ(cut.status, 0) << cut.err;
  EXPECT_EQ(Json::parse(cut.out)["complete"], false);
  EXPECT_EQ(Json::parse(run("--json --regex a").out)["complete"], true);
  EXPECT_FALSE(Json::parse(run("--json -n 2").out).contains("complete"));
  EXPECT_NE(run("-n 2 --regex '[a-z]{50}'").err.find("not complete"), std::string::npos);
}

TEST_F(ConstraintCli, RefusesWithOneLine) {
  for (const std::string& wrong :
       {std::string("--json-schema '{\"type\": \"strin\"}'"), std::string("--regex '('"),
        "--grammar " + write("bad.gbnf", "root ::= x\n"), std::string("--json-schema nowhere.json")}) {
    const Outcome refused = run(wrong);
    EXPECT_EQ(refused.status, 1) << wrong;
    EXPECT_EQ(refused.err_lines(), 1u) << refused.err;
    EXPECT_EQ(refused.out, "") << wrong;
  }
  EXPECT_NE(run("--grammar " + write("bad.gbnf", "root ::= x\n")).err.find("line 1, column 10"),
            std::string::npos);
  EXPECT_EQ(run("--regex a --json-schema {}").status, 2);
  const Outcome warned = run(
      "--json-schema '{\"type\": \"array\", \"items\": {\"const\": 1}, \"maxItems\": 2, \"uniqueItems\": "
      "true}'");
  EXPECT_EQ(warned.status, 0);
  EXPECT_NE(warned.err.find("uniqueItems"), std::string::npos) << warned.err;
}

}  // namespace
}  // namespace mneme

// Sessions as scripts see them: kept, gone on with, looked at, copied, damaged.
#include "cli_for_test.h"

namespace mneme {
namespace {

class SessionCli : public Cli {
 protected:
  const KernelsThatRoundAlike kernels_;
  // About 600 tokens: two segments and a tail.
  static std::string long_text() {
    std::string text;
    for (int i = 0; i < 55; ++i) text += "Line " + std::to_string(i * 89) + " of memory.\n";
    return text;
  }
  Json run_json(const std::string& flags, const std::string& input) {
    const Outcome outcome = mneme("run -m " + kModel + " --ignore-eos --temp 0 --json " + flags, input);
    EXPECT_EQ(outcome.status, 0) << flags << "\n" << outcome.err;
    return outcome.status == 0 ? Json::parse(outcome.out) : Json();
  }
  fs::path a_segment() const {
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "home/store/segments"))
      if (entry.path().extension() == ".kv") return entry.path();
    return {};
  }
  Json list() { return Json::parse(mneme("session list --json").out); }
};

TEST_F(SessionCli, GoesOnWhereItWas) {
  const std::string more = long_text() + "And then";
  const Json whole = run_json("-n 12", more);
  const Json first = run_json("-n 0 --session s", long_text());
  EXPECT_EQ(first["storage"]["session"], "s");
  EXPECT_EQ(first["storage"]["tokens_found"], 0);
  EXPECT_EQ(first["storage"]["segments_sealed"], 2);
  EXPECT_GT(first["storage"]["bytes_written"], 0);
  for (const char* key :
       {"bytes", "hits", "misses", "bytes_read", "stalled_s", "read_s", "extents_evicted", "segments_found"})
    EXPECT_TRUE(first["storage"].contains(key)) << key;
  const Json second = run_json("-n 12 --session s", more);
  EXPECT_EQ(second["text"], whole["text"]);
  EXPECT_EQ(second["storage"]["segments_found"], 2);
  EXPECT_EQ(second["storage"]["tokens_found"].get<int>() + second["prefill"]["tokens"].get<int>(),
            whole["prefill"]["tokens"]);
  EXPECT_GT(second["storage"]["tokens_found"], 512) << "the tail too";
  EXPECT_FALSE(whole.contains("storage"));

  const Outcome again = mneme("run -m " + kModel + " -n 1 --session s", more);
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("begins with this text already, and goes on for 12 tokens"), std::string::npos)
      << again.err;

  // The same text without a name: found by what it is.
  const std::string store = (folder_ / "home/store").string();
  const Json third = run_json("-n 12 --hot 8MiB --warm 0 --cold-dir " + store, more);
  EXPECT_EQ(third["text"], whole["text"]);
  EXPECT_EQ(third["storage"]["tokens_found"], 512);
  EXPECT_EQ(third["prefill"]["found"], 512);
  EXPECT_EQ(third["prefill"]["tokens"].get<int>() + 512, whole["prefill"]["tokens"]) << "what was computed";
}

TEST_F(SessionCli, AKilledRunIsTakenBack) {
  const Json whole = run_json("-n 4", long_text());
  const fs::path log = folder_ / "home/store/sessions/k.log";
  // Killed while it generates: what it read is in the log.
  shell(std::string(MNEME_BINARY) + " run -m " + kModel + " --ignore-eos -n -1 --session k -f " +
        write("long", long_text()) +
        " > /dev/null & pid=$!; for i in $(seq 1000); do sleep 0.05; test $(stat -c %s " + log.string() +
        " || echo 0) -gt 3000 && break; done; kill -9 $pid; wait $pid");
  EXPECT_GT(list()["sessions"][0]["tokens_unfinished"], 500);
  for (const char* look : {"session list", "session show k"})
    EXPECT_NE(mneme(look).out.find("the next takes back"), std::string::npos) << look;
  const Json again = run_json("-n 4 --session k", long_text());
  EXPECT_EQ(list()["sessions"][0]["tokens_unfinished"], 0);
  EXPECT_EQ(again["text"], whole["text"]);
  EXPECT_EQ(mneme("session verify").status, 0);
}

// Sparse prefill makes other segments of the same tokens: a session may have begun with either kind.
TEST_F(SessionCli, ChangesItsPrefill) {
  const std::string file = (folder_ / "s.mneme").string();
  const auto expect_whole = [&] {
    EXPECT_EQ(mneme("session verify").status, 0);
    EXPECT_EQ(mneme("session export s " + file).status, 0);
    EXPECT_EQ(mneme("session import " + file + " t").status, 0);
    EXPECT_EQ(mneme("session verify").status, 0);
    EXPECT_EQ(mneme("session rm t").status, 0);
  };
  run_json("-n 4 --session s", long_text());
  for (const char* other : {"--prefill sparse", "--prefill dense"}) {
    const Outcome outcome = mneme("run -m " + kModel + " -p More. -n 4 --json --session s " +
                                  std::string(other));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("read again"), std::string::npos) << other;
    expect_whole();
  }
  const Json again = Json::parse(mneme("run -m " + kModel + " -p Yet. -n 4 --json --session s").out);
  EXPECT_GT(again["storage"]["tokens_found"], 512);
}

TEST_F(SessionCli, Life) {
  EXPECT_EQ(list()["sessions"].size(), 0u);
  EXPECT_EQ(mneme("session list").status, 0);
  run_json("-n 4 --session s", long_text());
  const Json sessions = list()["sessions"];
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0].size(), 11u);
  EXPECT_EQ(sessions[0]["name"], "s");
  EXPECT_EQ(sessions[0]["segments"], 2);
  EXPECT_EQ(sessions[0]["segments_missing"], 0);
  EXPECT_EQ(sessions[0]["has_tail"], true);
  EXPECT_EQ(sessions[0]["model"], kModel);
  EXPECT_GT(sessions[0]["tokens"], 512);

  EXPECT_NE(mneme("session show s --map").out.find("  0 ..\n  1 ..\n  2 ..\n  3 ..\n"), std::string::npos);
  const std::string svg = (folder_ / "map.svg").string();
  EXPECT_EQ(mneme("session show s --map-svg " + svg).status, 0);
  EXPECT_EQ(read_file(svg).substr(0, 4), "<svg");
  EXPECT_EQ(Json::parse(mneme("session show s --json").out), sessions[0]);

  EXPECT_EQ(mneme("session fork s t").status, 0);
  const Json shared = Json::parse(mneme("session verify --json").out);
  EXPECT_EQ(shared["sessions"], 2);
  EXPECT_EQ(shared["segments"], 2) << "each file counts once";
  const std::string file = (folder_ / "s.mneme").string();
  EXPECT_EQ(mneme("session export s " + file).status, 0);
  EXPECT_EQ(mneme("session rm s").status, 0);
  EXPECT_EQ(mneme("session rm t").status, 0);
  EXPECT_EQ(mneme("session rm --unused").status, 0);
  EXPECT_TRUE(a_segment().empty());
  EXPECT_EQ(mneme("session import " + file + " u").status, 0);
  const Json verified = Json::parse(mneme("session verify --json").out);
  EXPECT_EQ(verified["sessions"], 1);
  EXPECT_EQ(verified["segments"], 2);
  EXPECT_EQ(verified["problems"].size(), 0u);
  EXPECT_EQ(list()["sessions"][0]["name"], "u");
}

TEST_F(SessionCli, DamageIsNamedAndComputedAgain) {
  const Json whole = run_json("-n 8", long_text());
  run_json("-n 0 --session s", long_text());
  const fs::path segment = a_segment();
  ASSERT_FALSE(segment.empty());
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5000);
  const int byte = file.peek();
  file.put(static_cast<char>(byte ^ 4));
  file.close();
  EXPECT_EQ(mneme("session fork s t").status, 0);
  EXPECT_EQ(Json::parse(mneme("session verify --json").out)["problems"].size(), 1u) << "said once";
  EXPECT_EQ(mneme("session rm t").status, 0);
  const Outcome outcome = mneme("session verify s");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE((outcome.out + outcome.err).find(segment.filename().string()), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(segment)) << "looking changes nothing";
  EXPECT_EQ(mneme("session verify --set-aside").status, 1);
  EXPECT_FALSE(fs::exists(segment));
  EXPECT_EQ(run_json("-n 8 --session s", long_text())["text"], whole["text"]);
  EXPECT_EQ(mneme("session verify s").status, 0);
}

TEST_F(SessionCli, FailuresAreOneLine) {
  const std::string run = "run -m " + kModel + " -p x -n 2 ";
  expect_failure("session show s", 1, "no sessions");
  expect_failure("session list --cold-dir " + write("file", "text"), 1, "not a folder");
  expect_failure("session list --cold-dir " + (folder_ / "mistyped").string(), 1, "no such folder");
  expect_failure(run + "--session s --hot 0 --warm 0", 1, "works from");
  expect_failure(run + "--session a/b", 1, "'a/b' cannot name a session");
  expect_failure(run + "--cold-dir " + write("file", "text"), 1, "file");
  fs::create_directories(folder_ / "other");
  write("other/mine", "text");
  expect_failure(run + "--cold-dir " + (folder_ / "other").string(), 1, "not a store of mneme");
  expect_failure(run + "--cold-dir /proc/none", 1, "/proc/none");
  expect_failure("session", 2, "subcommand");
  expect_failure("session rm", 2, "NAME");
  expect_failure("session rm s --unused", 2, "--unused");
  expect_failure("session fork s", 2, "to is required");
  EXPECT_EQ(mneme(run + "--session s").status, 0);
  for (const char* verb : {"show", "verify", "rm"})
    expect_failure(std::string("session ") + verb + " none", 1, "no session is called none");
  expect_failure("session fork s s", 1, "already");
  expect_failure("session fork s ../t", 1, "cannot name");
  expect_failure("session fork s 't\x1b[31m'", 1, "'t?[31m'");
  expect_failure("session export s /nonexistent/file", 1, "/nonexistent/file");
  expect_failure("session import " + kModel + " t", 1, "not an exported session");
  expect_failure("run -m " + kData + "golden/llama-bf16.gguf -p x --session s", 1, "another model");
  expect_failure("chat -m " + kModel + " --session s", 1, "no conversation");
  const std::string store = (folder_ / "home/store").string();
  const Outcome locked = shell("flock " + store + "/lock " + MNEME_BINARY + " " + run + "--session s");
  EXPECT_EQ(locked.status, 1);
  EXPECT_NE(locked.err.find("in use by another process"), std::string::npos) << locked.err;
}

TEST_F(SessionCli, AChatGoesOn) {
  const std::string chat = "chat -m " + kModel + " --temp 0 -n 8 --system Brief. ";
  const Outcome whole = mneme(chat, "Hello\nAnd then?\n");
  const Outcome first = mneme(chat + "--session c", "Hello\n");
  const Outcome second = mneme("chat -m " + kModel + " --temp 0 -n 8 --session c", "And then?\n");
  EXPECT_EQ(first.out + second.out, whole.out) << second.err;
  EXPECT_EQ(first.err + second.err, "");
  const Outcome unknown = mneme(chat, "/nope\n");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("unknown command /nope"), std::string::npos) << unknown.err;
  EXPECT_EQ(mneme(chat, "/etc/passwd holds what?\n").status, 0);
  // What is longer than a note comes back as well.
  std::string line;
  for (int i = 0; i < 5100; ++i) line += "模型";  // 61,200 bytes of JSON
  EXPECT_EQ(mneme(chat + "--session c", line + "\n").status, 0);
  EXPECT_EQ(mneme(chat + "--session c", "").status, 0);
  EXPECT_EQ(mneme(chat + "--session c", "/reset\nHello\n").out, first.out);
  EXPECT_EQ(mneme("session fork c d").status, 0);
  EXPECT_EQ(first.out + mneme(chat + "--session d", "And then?\n").out, whole.out);
  expect_failure("run -m " + kModel + " -p x --session c", 1, "is a conversation");
}

}  // namespace
}  // namespace mneme

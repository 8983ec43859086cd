// The server as those who run it see it: flags, keys, signals, what it leaves behind.
#include <fcntl.h>
#include <signal.h>

#include "../src/serve/raw_client_for_test.h"
#include "cli_for_test.h"

namespace mneme {
namespace {

class ServeCli : public Cli {
 protected:
  ~ServeCli() override {
    if (process_ > 0) ::kill(process_, SIGKILL), ::waitpid(process_, nullptr, 0);
  }
  // `flags` split at blanks. Waits until the server listens.
  void start(const std::string& flags) {
    std::vector<std::string> words = {MNEME_BINARY, "serve", "-m", "tiny=" + kModel, "--port", "0"};
    std::stringstream stream(flags);
    for (std::string word; stream >> word;) words.push_back(word);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const std::string err = (folder_ / "serve_err").string();
    process_ = ::fork();
    if (process_ == 0) {
      const int fd = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(fd, STDERR_FILENO);
      ::execv(MNEME_BINARY, arguments.data());
      ::_exit(127);
    }
    const std::string mark = "serving tiny at http://127.0.0.1:";
    for (int i = 0; i < 1000 && port_ == 0; ++i) {
      ::usleep(20'000);
      const std::string text = read_file(err);
      const size_t at = text.find(mark);
      if (at != text.npos && text.find('\n', at) != text.npos)
        port_ = static_cast<uint16_t>(std::atoi(text.c_str() + at + mark.size()));
    }
    ASSERT_NE(port_, 0) << read_file(err);
  }
  // Its exit status, 128 + n for signal n; -1 after 30 s.
  int end(int signal) {
    ::kill(process_, signal);
    for (int i = 0; i < 1500; ++i) {
      int status = 0;
      if (::waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      ::usleep(20'000);
    }
    return -1;
  }
  serve::RawAnswer ask(const std::string& method, const std::string& path, const std::string& headers = "",
                       const std::string& body = "") {
    serve::RawClient client(port_);
    client.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.answer(method == "HEAD", 60'000);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  pid_t process_ = -1;
  uint16_t port_ = 0;
};

TEST_F(ServeCli, OtherMachinesNeedKeys) {
  const std::string serve = "serve -m " + kModel;
  expect_failure(serve + " --host 0.0.0.0", 2, "give --keys FILE, or --no-keys");
  expect_failure(serve + " --host 0.0.0.0 --keys /no/such/keys", 1, "no such file of keys");
  expect_failure("serve", 2, "-m is required");
  expect_failure(serve + " --tls-cert a.pem", 2, "--tls-cert and --tls-key go together");
  expect_failure(serve + " --memory-only --hot 1GiB", 2, "--memory-only");
  expect_failure("serve -m /no/such.gguf --memory-only", 1, "/no/such.gguf");
  expect_failure("serve -m /no/such.gguf --memory-only --lazy", 1, "/no/such.gguf: No such file");
  expect_failure(serve + " --memory-only --host no.such.host.invalid --no-keys", 1, "no.such.host.invalid");
}

TEST_F(ServeCli, ServesUntilItIsToldToStop) {
  const std::string log = (folder_ / "log").string();
  start("--memory-only --log " + log);
  EXPECT_EQ(ask("GET", "/health").body, R"({"status":"ok"})");
  EXPECT_NE(ask("GET", "/").body.find("tiny"), std::string::npos);
  const Json props = Json::parse(ask("GET", "/props").body);
  EXPECT_EQ(props["models"][0]["name"], "tiny");
  EXPECT_EQ(props["models"][0]["loaded"], true);
  EXPECT_NE(ask("GET", "/metrics").body.find("mneme_generations_running{model=\"tiny\"} 0"),
            std::string::npos);
  EXPECT_EQ(end(SIGTERM), 0);
  std::stringstream lines(read_file(log));
  std::vector<std::string> paths;
  for (std::string line; std::getline(lines, line);) paths.push_back(Json::parse(line)["path"]);
  EXPECT_EQ(paths, (std::vector<std::string>{"/health", "/", "/props", "/metrics"}));
}

TEST_F(ServeCli, AnswersEndBeforeTheServerDoes) {
  start("--memory-only");
  const std::string body = R"({"prompt":"Once upon a time","max_tokens":300,"stream":true,"logit_bias":{}})";
  serve::RawClient client(port_);
  client.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  while (client.unread().find("data: ") == std::string::npos) ASSERT_TRUE(client.read_more(60'000));
  ::kill(process_, SIGTERM);
  const serve::RawAnswer answer = client.answer(false, 60'000);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.whole);
  EXPECT_NE(answer.body.find("data: [DONE]"), std::string::npos);
  EXPECT_EQ(end(SIGCONT), 0);
}

TEST_F(ServeCli, PromptsAreFoundAgainAfterARestart) {
  const KernelsThatRoundAlike kernels;
  std::string prompt;
  for (int i = 0; i < 60; ++i) prompt += "Line " + std::to_string(i * 89) + " of memory. ";
  const std::string body = Json{{"prompt", prompt}, {"max_tokens", 4}, {"temperature", 0}}.dump();
  const auto ask_once = [&] {
    start("--cold-dir " + (folder_ / "store").string());
    const serve::RawAnswer answer = ask("POST", "/v1/completions", "", body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(end(SIGTERM), 0);
    port_ = 0;
    return Json::parse(answer.body);
  };
  const Json first = ask_once(), second = ask_once();
  EXPECT_EQ(first["choices"][0]["text"], second["choices"][0]["text"]);
  EXPECT_EQ(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_GE(second["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>(), 256);
}

TEST_F(ServeCli, AKeyKeepsNoMoreNamedSessionsThanItMay) {
  const std::string file = (folder_ / "keys.json").string();
  std::string key = mneme("serve key add alice --sessions 1 --keys " + file).out;
  key.pop_back();
  start("--keys " + file + " --cold-dir " + (folder_ / "store").string());
  const auto ask_in = [&](const std::string& session, const std::string& path = "/v1/completions") {
    const Json body = {{"prompt", "Once"},
                       {"session", session},
                       {"max_tokens", 2},
                       {"messages", Json::array({{{"role", "user"}, {"content", "Once"}}})}};
    return ask("POST", path, "x-api-key: " + key + "\r\n", body.dump());
  };
  const serve::RawAnswer first = ask_in("a");
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(Json::parse(first.body)["model"], "tiny") << "the name that the server gives it";
  for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
    const serve::RawAnswer more = ask_in("b", path);
    EXPECT_EQ(more.status, 403) << more.body;
    EXPECT_EQ(Json::parse(more.body)["error"]["code"], "sessions_max");
    EXPECT_EQ(ask_in("a", path).status, 200) << "it is there already";
  }
  const Json list = Json::parse(ask("GET", "/v1/sessions", "x-api-key: " + key + "\r\n").body);
  ASSERT_EQ(list["data"].size(), 1u);
  EXPECT_EQ(list["data"][0]["id"], "a");
  EXPECT_EQ(end(SIGTERM), 0);
}

TEST_F(ServeCli, KeysHaveANameAndOneOfSeveralIsTakenBackByItsId) {
  const std::string flag = " --keys " + (folder_ / "keys.json").string();
  expect_failure("serve key list" + flag, 1, "no such file of keys");
  expect_failure("serve key add \"\"" + flag, 2, "name is empty");
  mneme("serve key add alice" + flag), mneme("serve key add alice" + flag);
  expect_failure("serve key rm alice" + flag, 1, "2 keys have the name 'alice': say which by its id");
  const Json list = Json::parse(mneme("serve key list --json" + flag).out);
  ASSERT_EQ(list["keys"].size(), 2u);
  EXPECT_EQ(mneme("serve key rm " + list["keys"][0]["id"].get<std::string>() + flag).status, 0);
  EXPECT_EQ(mneme("serve key rm alice" + flag).status, 0);
}

TEST_F(ServeCli, KeysAreMadeListedAndTakenBack) {
  const std::string file = (folder_ / "keys.json").string(), flag = " --keys " + file;
  std::string key = mneme("serve key add alice --admin --requests 1000" + flag).out;
  ASSERT_EQ(key.substr(0, 9), "sk-mneme-");
  key.pop_back();
  EXPECT_EQ(read_file(file).find(key), std::string::npos);
  const Json list = Json::parse(mneme("serve key list --json" + flag).out);
  EXPECT_EQ(list["keys"][0]["name"], "alice");
  EXPECT_EQ(list["keys"][0]["requests_per_minute"], 1000);
  EXPECT_NE(mneme("serve key list" + flag).out.find("alice"), std::string::npos);
  expect_failure("serve key rm bob" + flag, 1, "no key has the id or name 'bob'");
  start("--memory-only" + flag);
  EXPECT_EQ(ask("GET", "/props").status, 401);
  EXPECT_EQ(ask("GET", "/props", "x-api-key: " + key + "\r\n").status, 200);
  expect_failure("top --once " + url(), 1, "asks for a key");
  EXPECT_EQ(mneme("top --once --json --key " + key + " " + url()).status, 0);
  EXPECT_EQ(mneme("serve key rm alice" + flag).status, 0);
  ::kill(process_, SIGHUP);
  for (int i = 0; i < 100 && ask("GET", "/props", "x-api-key: " + key + "\r\n").status == 200; ++i)
    ::usleep(50'000);
  EXPECT_EQ(ask("GET", "/props", "x-api-key: " + key + "\r\n").status, 401);
}

TEST_F(ServeCli, TopSaysWhereKeysAndValuesAre) {
  start("--cold-dir " + (folder_ / "store").string());
  EXPECT_NE(mneme("top --once " + url()).out.find("(open 0 B) | 0 hits"), std::string::npos);
  // Less than a segment is open, more is sealed but for its end.
  ASSERT_EQ(ask("POST", "/v1/completions", "", R"({"prompt":[65],"max_tokens":1})").status, 200);
  Outcome once = mneme("top --once " + url());
  EXPECT_NE(once.out.find("iB (open "), std::string::npos) << once.out;
  EXPECT_EQ(once.out.find("hot"), std::string::npos) << once.out;
  const Json body = {{"prompt", Json(std::vector<int>(600, 66))}, {"max_tokens", 1}};
  ASSERT_EQ(ask("POST", "/v1/completions", "", body.dump()).status, 200);
  once = mneme("top --once " + url());
  EXPECT_NE(once.out.find(", hot "), std::string::npos) << once.out;
  EXPECT_EQ(end(SIGTERM), 0);
}

TEST_F(ServeCli, TopShowsModelsAndSessions) {
  start("--memory-only");
  const Outcome once = mneme("top --once " + url());
  EXPECT_EQ(once.status, 0) << once.err;
  EXPECT_NE(once.out.find("tiny: 0 running, 0 waiting"), std::string::npos) << once.out;
  EXPECT_NE(once.out.find("0 sessions"), std::string::npos) << once.out;
  const Json json = Json::parse(mneme("top --once --json " + url()).out);
  EXPECT_EQ(json["models"][0]["name"], "tiny");
  EXPECT_TRUE(json["sessions"].is_array());
  EXPECT_EQ(end(SIGINT), 0);
  expect_failure("top --once " + url(), 1, url());
  expect_failure("top --once ftp://x", 1, "no address like");
}

}  // namespace
}  // namespace mneme

#include "serve/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "serve/key_limits.h"

namespace mneme::serve {
namespace {

class KeysTest : public testing::Test {
 protected:
  KeysTest() {
    path_ = testing::TempDir() + "/keys_" + std::to_string(::getpid()) + "_" +
            testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
    std::filesystem::remove(path_);
  }
  ~KeysTest() override { std::filesystem::remove(path_); }
  std::string text() const {
    std::ifstream file(path_);
    std::stringstream out;
    out << file.rdbuf();
    return out.str();
  }
  void put(const std::string& content) const { std::ofstream(path_) << content; }

  std::string path_;
};

TEST_F(KeysTest, AreFoundByTheirTextAlone) {
  const NewKey alice = new_key("alice", {.requests_per_minute = 5, .is_admin = true}),
               bob = new_key("bob", {});
  EXPECT_NE(alice.text, bob.text);
  const std::vector<Key> both = {alice.key, bob.key};
  ASSERT_TRUE(write_keys(path_, both));
  auto keys = Keys::open(path_);
  ASSERT_TRUE(keys) << keys.error().message;
  for (int i = 0; i < 2; ++i) {  // slowly, then out of the table
    const auto found = (*keys)->find(alice.text, "1.2.3.4");
    ASSERT_EQ(found.verdict, Keys::Verdict::kKnown);
    EXPECT_EQ(found.key->name, "alice");
    EXPECT_EQ(found.key->limits.requests_per_minute, 5u);
    EXPECT_TRUE(found.key->limits.is_admin);
    EXPECT_EQ((*keys)->find(bob.text, "1.2.3.4").key->name, "bob");
  }
  std::string wrong = alice.text;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  for (const std::string& text : {wrong, std::string("sk-mneme-"), std::string(), alice.key.hash,
                                  "sk-mneme-" + alice.key.id + "-", alice.text + "0", std::string(5000, 'x')})
    EXPECT_EQ((*keys)->find(text, "1.2.3.4").verdict, Keys::Verdict::kUnknown) << text;
}

TEST_F(KeysTest, SecretsAreNotInTheFile) {
  const NewKey made = new_key("alice", {});
  ASSERT_TRUE(write_keys(path_, std::vector<Key>{made.key}));
  const std::string secret = made.text.substr(made.text.rfind('-') + 1);
  EXPECT_EQ(secret.size(), 64u);
  EXPECT_EQ(text().find(secret), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(KeysTest, AChangedFileIsReadAgain) {
  const NewKey alice = new_key("alice", {}), bob = new_key("bob", {});
  ASSERT_TRUE(write_keys(path_, std::vector<Key>{alice.key}));
  auto keys = Keys::open(path_);
  ASSERT_TRUE(keys);
  EXPECT_EQ((*keys)->find(alice.text, "").verdict, Keys::Verdict::kKnown);
  ASSERT_TRUE(write_keys(path_, std::vector<Key>{bob.key}));
  ASSERT_TRUE((*keys)->reread());
  EXPECT_EQ((*keys)->find(alice.text, "").verdict, Keys::Verdict::kUnknown);
  EXPECT_EQ((*keys)->find(bob.text, "").verdict, Keys::Verdict::kKnown);
  put("{");
  EXPECT_FALSE((*keys)->reread());
  EXPECT_EQ((*keys)->find(bob.text, "").verdict, Keys::Verdict::kKnown);  // as they were
}

TEST_F(KeysTest, GuessingIsSlowedDown) {
  const NewKey alice = new_key("alice", {}), bob = new_key("bob", {});
  ASSERT_TRUE(write_keys(path_, std::vector<Key>{alice.key, bob.key}));
  auto keys = Keys::open(path_);
  ASSERT_TRUE(keys);
  EXPECT_EQ((*keys)->find(alice.text, "6.6.6.6").verdict, Keys::Verdict::kKnown);
  for (int i = 0; i < 60; ++i) (*keys)->find("sk-mneme-guess" + std::to_string(i), "6.6.6.6");
  EXPECT_EQ((*keys)->find("sk-mneme-guess", "6.6.6.6").verdict, Keys::Verdict::kTooManyTries);
  EXPECT_EQ((*keys)->find(bob.text, "6.6.6.6").verdict, Keys::Verdict::kTooManyTries);
  EXPECT_EQ((*keys)->find(alice.text, "6.6.6.6").verdict, Keys::Verdict::kKnown);  // was right before
  EXPECT_EQ((*keys)->find(bob.text, "1.2.3.4").verdict, Keys::Verdict::kKnown);
}

TEST_F(KeysTest, AWrongFileSaysWhatIsWrong) {
  const auto error = [&](const std::string& content) {
    put(content);
    const auto read = read_keys(path_);
    return read ? std::string("fine") : read.error().message.substr(path_.size() + 2);
  };
  EXPECT_EQ(error("{\"version\": 1, \"keys\": []}"), "fine");
  EXPECT_EQ(error("[]"), "no JSON object");
  EXPECT_EQ(error("{}"), "'version' is not 1");
  EXPECT_EQ(error("{\"version\": 1}"), "'keys' is no list");
  EXPECT_EQ(error("{\"version\": 1, \"keys\": [1]}"), "key 1: is no object");
  EXPECT_EQ(error("{\"version\": 1, \"keys\": [{\"id\": \"x\"}]}"), "key 1: 'id' is not 12 hex digits");
  const std::string good = R"("id":"0123456789ab","salt":")" + std::string(32, 'a') + R"(","hash":")" +
                           std::string(64, 'b') + R"(","iterations":1000)";
  EXPECT_EQ(error(R"({"version":1,"keys":[{)" + good + "}]}"), "fine");
  EXPECT_EQ(error(R"({"version":1,"keys":[{)" + good + "},{" + good + "}]}"), "key 2: its id is there twice");
  EXPECT_EQ(error(R"({"version":1,"keys":[{)" + good + R"(,"tokens_max":-1}]})"),
            "key 1: 'tokens_max' is no number from 0");
  EXPECT_EQ(error(R"({"version":1,"keys":[{)" + good + R"(,"priority":"top"}]})"),
            "key 1: 'top' is no priority: high, normal or low");
  EXPECT_FALSE(Keys::open(path_ + ".none"));
}

TEST(RateLimits, BucketsFillWithTime) {
  double now = 100;
  RateLimits limits([&] { return now; });
  Key key;
  key.id = "a";
  key.limits.requests_per_minute = 2;
  EXPECT_EQ(limits.take(key).message, "");
  const auto second = limits.take(key);
  EXPECT_EQ(second.message, "");
  const Headers expected = {{"x-ratelimit-limit-requests", "2"},
                            {"x-ratelimit-remaining-requests", "0"},
                            {"x-ratelimit-reset-requests", "60s"}};
  EXPECT_EQ(second.headers, expected);
  const auto third = limits.take(key);
  EXPECT_EQ(third.message, "Rate limit reached: 2 requests a minute");
  EXPECT_NEAR(third.retry_after_s, 30, 1e-6);
  Key other = key;
  other.id = "b";
  EXPECT_EQ(limits.take(other).message, "");  // of its own
  now += 30;
  EXPECT_EQ(limits.take(key).message, "");
  EXPECT_NE(limits.take(key).message, "");
}

TEST(RateLimits, TokensArePaidForAfterwards) {
  double now = 0;
  RateLimits limits([&] { return now; });
  Key key;
  key.limits.tokens_per_minute = 600;
  EXPECT_EQ(limits.take(key).message, "");
  limits.spend_tokens(key, 1200);
  const auto refused = limits.take(key);
  EXPECT_EQ(refused.message, "Rate limit reached: 600 tokens a minute");
  EXPECT_NEAR(refused.retry_after_s, 60.1, 1e-6);
  now += 61;
  EXPECT_EQ(limits.take(key).message, "");
}

TEST(RateLimits, GenerationsAtOnce) {
  RateLimits limits;
  Key key;
  key.limits.generations_max = 2;
  EXPECT_TRUE(limits.enter(key));
  EXPECT_TRUE(limits.enter(key));
  EXPECT_FALSE(limits.enter(key));
  limits.leave(key);
  EXPECT_TRUE(limits.enter(key));
}

}  // namespace
}  // namespace mneme::serve

#include "serve/http_path.h"

#include <gtest/gtest.h>

namespace mneme::serve {
namespace {

std::string path_of(std::string_view target) {
  const auto parsed = parse_target(target);
  return parsed ? parsed->path + "?" + parsed->query : "error: " + parsed.error().message;
}

TEST(HttpPath, IsNormalised) {
  EXPECT_EQ(path_of("/"), "/?");
  EXPECT_EQ(path_of("/v1/models"), "/v1/models?");
  EXPECT_EQ(path_of("//v1///models/"), "/v1/models?");
  EXPECT_EQ(path_of("/v1/%6dodels"), "/v1/models?");
  EXPECT_EQ(path_of("/v1/./x/%2e%2e/models"), "/v1/models?");
  EXPECT_EQ(path_of("/v1/messages?beta=true"), "/v1/messages?beta=true");
  EXPECT_EQ(path_of("/a?b?c=%20"), "/a?b?c=%20");
  EXPECT_EQ(path_of("/a#b"), "/a?");
  EXPECT_EQ(path_of("/m/%E6%A8%A1"), "/m/模?");
  EXPECT_EQ(path_of("http://host:80/v1/models?a"), "/v1/models?a");
  EXPECT_EQ(path_of("*"), "*?");
}

TEST(HttpPath, RefusesWhatHasNoMeaning) {
  EXPECT_EQ(path_of("/a%00b"), "error: the path has a control character");
  EXPECT_EQ(path_of("/a%0d%0ab"), "error: the path has a control character");
  EXPECT_EQ(path_of("/a%4"), "error: the path has a '%' that is no escape");
  EXPECT_EQ(path_of("/a%zz"), "error: the path has a '%' that is no escape");
  EXPECT_EQ(path_of("/../etc/passwd"), "error: the path leads above the root");
  EXPECT_EQ(path_of("/a/%2e%2e/%2e%2e/etc"), "error: the path leads above the root");
  EXPECT_EQ(path_of("/a%ff"), "error: the path is no UTF-8");
  EXPECT_EQ(path_of("v1/models"), "error: the target is no path");
  EXPECT_EQ(path_of("http://host"), "error: the target has no path");
  EXPECT_EQ(path_of("ftp://host/x"), "error: the target is no path");
}

TEST(HttpPath, QueriesAreDecoded) {
  EXPECT_EQ(query_value_of("a=1&b=two+words&c=%41%zz", "b"), "two words");
  EXPECT_EQ(query_value_of("a=1&b=two+words&c=%41%zz", "c"), "A%zz");
  EXPECT_EQ(query_value_of("a=1&a=2", "a"), "1");
  EXPECT_EQ(query_value_of("beta", "beta"), "");
  EXPECT_EQ(query_value_of("", "beta"), "");
  EXPECT_EQ(query_value_of("a%3Db=c", "a=b"), "c");
}

}  // namespace
}  // namespace mneme::serve

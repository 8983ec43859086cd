// The server behind a certificate of its own making.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "serve/http.h"
#include "serve/http_get.h"
#include "serve/raw_client_for_test.h"

namespace mneme::serve {
namespace {

void write_pem_pair(const std::string& certificate_path, const std::string& key_path) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  FILE* file = std::fopen(certificate_path.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

int connected_socket(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

class HttpTls : public testing::Test {
 protected:
  void SetUp() override {
    const std::string base = testing::TempDir() + "/tls_" + std::to_string(::getpid());
    options_.tls_certificate_path = base + ".crt";
    options_.tls_key_path = base + ".key";
    options_.port = 0;
    write_pem_pair(options_.tls_certificate_path, options_.tls_key_path);
  }
  void TearDown() override {
    std::filesystem::remove(options_.tls_certificate_path);
    std::filesystem::remove(options_.tls_key_path);
  }
  HttpOptions options_;
};

TEST_F(HttpTls, OurClientTrustsWhomItIsToldTo) {
  auto server = HttpServer::start(options_,
                                  [](auto, auto answer) { answer->send(200, "text/plain", "here"); });
  ASSERT_TRUE(server) << server.error().message;
  const std::string port = ":" + std::to_string((*server)->port());
  const auto get = [&](const std::string& url, const std::string& ca_path) {
    return http_get(url + port + "/", {}, std::chrono::seconds(5), ca_path);
  };
  const auto reply = get("https://localhost", options_.tls_certificate_path);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->body, "here");
  const auto unknown = get("https://localhost", "");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("certificate verify failed"), std::string::npos)
      << unknown.error().message;
  EXPECT_FALSE(get("https://127.0.0.1", options_.tls_certificate_path)) << "it is another's name";
  EXPECT_FALSE(get("http://localhost", ""));
  EXPECT_FALSE(get("https://localhost", "/no/such.pem"));
}

TEST_F(HttpTls, AnswersAndStreams) {
  auto server = HttpServer::start(options_, [](auto request, auto answer) {
    answer->begin(200, "text/plain");
    for (int i = 0; i < 100; ++i) answer->write(std::string(1000, 'x'));
    answer->write(request->path);
    answer->end();
  });
  ASSERT_TRUE(server) << server.error().message;
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* tls = SSL_new(context);
  const int fd = connected_socket((*server)->port());
  SSL_set_fd(tls, fd);
  ASSERT_EQ(SSL_connect(tls), 1);
  EXPECT_GE(SSL_version(tls), TLS1_2_VERSION);
  const std::string request = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  SSL_write(tls, request.data(), static_cast<int>(request.size()));
  std::string all;
  char bytes[4096];
  for (int count = 1; count > 0;) {
    count = SSL_read(tls, bytes, sizeof bytes);
    if (count > 0) all.append(bytes, static_cast<size_t>(count));
  }
  EXPECT_EQ(all.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_GT(all.size(), 100'000u);
  EXPECT_NE(all.find("/a\r\n0\r\n\r\n"), std::string::npos);
  EXPECT_EQ(SSL_get_shutdown(tls) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);  // not cut off
  SSL_free(tls);
  SSL_CTX_free(context);
  ::close(fd);
}

TEST_F(HttpTls, OldVersionsAreRefused) {
  auto server = HttpServer::start(options_, [](auto, auto answer) { answer->send(200, "text/plain", "x"); });
  ASSERT_TRUE(server);
  for (const int version : {TLS1_1_VERSION, TLS1_2_VERSION}) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);  // the client itself would take the old one
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, version);
    SSL* tls = SSL_new(context);
    const int fd = connected_socket((*server)->port());
    SSL_set_fd(tls, fd);
    EXPECT_EQ(SSL_connect(tls) == 1, version == TLS1_2_VERSION);
    SSL_free(tls);
    SSL_CTX_free(context);
    ::close(fd);
  }
}

TEST_F(HttpTls, WithoutItNothingIsAnswered) {
  options_.limits.header_time = std::chrono::milliseconds(300);
  auto server = HttpServer::start(options_, [](auto, auto answer) { answer->send(200, "text/plain", "x"); });
  ASSERT_TRUE(server);
  RawClient plain((*server)->port()), silent((*server)->port());
  plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(plain.closed_by_server());
  EXPECT_EQ(plain.unread().find("HTTP/1.1"), std::string::npos);
  EXPECT_TRUE(silent.closed_by_server());  // a handshake that never comes
}

TEST_F(HttpTls, AKeyOfAnotherCertificateIsRefused) {
  HttpOptions other = options_;
  other.tls_certificate_path += ".other";
  other.tls_key_path += ".other";
  write_pem_pair(other.tls_certificate_path, other.tls_key_path);
  const std::string path = other.tls_certificate_path;
  other.tls_certificate_path = options_.tls_certificate_path;
  EXPECT_FALSE(HttpServer::start(other, [](auto, auto) {}));
  std::filesystem::remove(path);
  std::filesystem::remove(other.tls_key_path);
}

}  // namespace
}  // namespace mneme::serve

// A whole server over scripted models, and requests to it.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "serve/backend_for_test.h"
#include "serve/keys.h"
#include "serve/models_for_test.h"
#include "serve/raw_client_for_test.h"
#include "serve/server.h"

namespace mneme::serve {

class ServerUnderTest {
 protected:
  ~ServerUnderTest() {
    server_ = nullptr;
    if (!keys_path_.empty()) std::filesystem::remove(keys_path_);
  }
  void start(ServerOptions options = {}) {
    options.http.port = 0;
    options.log = [this](std::string_view line) {
      const std::lock_guard lock(log_mutex_);
      log_.emplace_back(line);
    };
    models_->add("scripted", backend_);
    models_->add("unloaded", nullptr);
    auto started = Server::start(options, models_);
    MNEME_CHECK(started, "{}", started.error().message);
    server_ = std::move(*started);
  }
  // The texts of keys with these limits, in a file that `options` names.
  std::vector<std::string> make_keys(ServerOptions& options, const std::vector<KeyLimits>& limits) {
    keys_path_ = std::filesystem::temp_directory_path() / fmt::format("server_keys_{}.json", ::getpid());
    std::vector<Key> keys;
    std::vector<std::string> texts;
    for (const KeyLimits& one : limits) {
      NewKey made = new_key("key", one);
      keys.push_back(made.key);
      texts.push_back(made.text);
      owners_.push_back(made.key.id);
    }
    MNEME_CHECK(write_keys(keys_path_, keys), "{}", keys_path_);
    options.keys_path = keys_path_;
    return texts;
  }
  RawAnswer ask(std::string_view method, std::string_view target, std::string_view headers = {},
                std::string_view body = {}) {
    RawClient client(server_->port());
    std::string bytes = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n" +
                        std::string(headers);
    if (headers.find("Host:") == std::string_view::npos) bytes += "Host: localhost\r\n";
    if (!body.empty()) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(bytes + "\r\n" + std::string(body));
    return client.answer(method == "HEAD");
  }
  Json ask_json(std::string_view method, std::string_view target, std::string_view headers = {},
                std::string_view body = {}) {
    return Json::parse(ask(method, target, headers, body).body, nullptr, false);
  }
  // Lines come after the answer: waits for so many.
  std::vector<std::string> log(size_t count) {
    for (int i = 0; i < 500; ++i) {
      {
        const std::lock_guard lock(log_mutex_);
        if (log_.size() >= count) return log_;
      }
      ::usleep(10'000);
    }
    return {};
  }

  std::shared_ptr<ScriptedBackend> backend_ = std::make_shared<ScriptedBackend>();
  std::shared_ptr<FixedModels> models_ = std::make_shared<FixedModels>();
  std::unique_ptr<Server> server_;
  std::string keys_path_;
  std::vector<std::string> owners_;  // of the keys made
  std::mutex log_mutex_;
  std::vector<std::string> log_;
};

}  // namespace mneme::serve

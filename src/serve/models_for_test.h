// Models for tests: names and backends that the test holds as well.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "serve/api.h"

namespace mneme::serve {

class FixedModels final : public Models {
 public:
  void add(std::string name, std::shared_ptr<Backend> backend) {
    entries_.push_back({name, "", backend != nullptr, 1'700'000'000});
    backends_.emplace_back(std::move(name), std::move(backend));
  }
  std::vector<ModelEntry> list() const override { return entries_; }
  tl::expected<std::shared_ptr<Backend>, Failure> find(std::string_view name, size_t) override {
    for (const auto& [there, backend] : backends_) {
      if (there == name && backend) return backend;
    }
    Failure failure;
    failure.kind = FailureKind::kInvalid;
    failure.message = "no model " + std::string(name);
    return tl::unexpected(failure);
  }

 private:
  std::vector<ModelEntry> entries_;
  std::vector<std::pair<std::string, std::shared_ptr<Backend>>> backends_;
};

}  // namespace mneme::serve

// The models that a server offers, each loaded at start or when it is first asked for.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api.h"

namespace mneme::serve {

struct ModelSpec {
  std::string name, path;
  std::string role;  // "lite", "large", or empty
};
// "PATH", "NAME=PATH" or "NAME=PATH,lite" / ",large". Without a name it is that of the file, without ".gguf".
Result<ModelSpec> parse_model_spec(std::string_view text);

struct ModelsOptions {
  std::vector<ModelSpec> specs;  // at least one; names differ
  bool strict_names = false;     // unknown names are an error, else the first model answers
  // "auto" takes the lite model for requests of fewer bytes (of a body: some four a token).
  size_t lite_bytes_max = 16 << 10;
  // Opens the model of a spec; may take long. Called on the thread that asks, without a lock, once at a time
  // for each model; after a failure again with the next request.
  std::function<Result<std::shared_ptr<Backend>>(const ModelSpec& spec)> load;
};

class LoadedModels final : public Models {
 public:
  // Fails for no model, a name twice, a role twice, a role that is none, and the name "auto".
  static Result<std::unique_ptr<LoadedModels>> make(ModelsOptions options);
  Result<void> load(std::string_view name);  // now
  Result<void> load_all();

  std::vector<ModelEntry> list() const override;
  tl::expected<std::shared_ptr<Backend>, Failure> find(std::string_view name, size_t body_bytes) override;
  // Those that are loaded.
  std::vector<std::shared_ptr<Backend>> backends() const;

 private:
  explicit LoadedModels(ModelsOptions options);
  struct Model {
    ModelSpec spec;
    int64_t created_unix_s = 0;
    bool loading = false;
    std::shared_ptr<Backend> backend;  // null: not loaded
    uint64_t attempts = 0;             // that ended
    std::string error;                 // of the last
  };
  // The index of who answers to the name, or -1.
  int choose(std::string_view name, size_t body_bytes) const;
  Result<std::shared_ptr<Backend>> loaded(Model& model);

  ModelsOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Model> models_;  // guarded by mutex_, but for the specs, which do not change
};

}  // namespace mneme::serve

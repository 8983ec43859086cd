#include "serve/models.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <utility>

#include "core/error.h"

namespace mneme::serve {

using core::fail;
using core::pass;

Result<ModelSpec> parse_model_spec(std::string_view text) {
  ModelSpec spec;
  for (const std::string_view role : {"lite", "large"}) {
    if (text.size() <= role.size() || !text.ends_with(role)) continue;
    if (text[text.size() - role.size() - 1] != ',') continue;
    spec.role = role;
    text.remove_suffix(role.size() + 1);
    break;
  }
  // A path may have '=' in its folders: a name has no slash.
  const size_t equals = text.find('=');
  const bool named = equals != std::string_view::npos && text.substr(0, equals).find('/') == text.npos;
  spec.path = text.substr(named ? equals + 1 : 0);
  spec.name = named ? text.substr(0, equals) : text;
  if (!named) {
    spec.name = spec.name.substr(spec.name.find_last_of('/') + 1);
    if (spec.name.ends_with(".gguf")) spec.name.resize(spec.name.size() - 5);
  }
  if (spec.path.empty() || spec.name.empty())
    return fail("\"{}\" names no model: NAME=PATH, or a path", text);
  return spec;
}

LoadedModels::LoadedModels(ModelsOptions options) : options_(std::move(options)) {
  for (const ModelSpec& spec : options_.specs) {
    Model& model = models_.emplace_back();
    model.spec = spec;
    model.created_unix_s = std::time(nullptr);
  }
}

Result<std::unique_ptr<LoadedModels>> LoadedModels::make(ModelsOptions options) {
  if (options.specs.empty()) return fail("there is no model to serve");
  std::set<std::string> names, roles;
  for (const ModelSpec& spec : options.specs) {
    if (spec.name == "auto") return fail("a model cannot be called auto: that name chooses one");
    if (!names.insert(spec.name).second) return fail("two models are called {}", spec.name);
    if (spec.role.empty()) continue;
    if (spec.role != "lite" && spec.role != "large")
      return fail("model {}: the role {} is neither lite nor large", spec.name, spec.role);
    if (!roles.insert(spec.role).second) return fail("two models have the role {}", spec.role);
  }
  return std::unique_ptr<LoadedModels>(new LoadedModels(std::move(options)));
}

std::vector<ModelEntry> LoadedModels::list() const {
  std::lock_guard lock(mutex_);
  std::vector<ModelEntry> entries;
  for (const Model& model : models_)
    entries.push_back({model.spec.name, model.spec.role, model.backend != nullptr, model.created_unix_s});
  return entries;
}

std::vector<std::shared_ptr<Backend>> LoadedModels::backends() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Backend>> loaded;
  for (const Model& model : models_)
    if (model.backend) loaded.push_back(model.backend);
  return loaded;
}

int LoadedModels::choose(std::string_view name, size_t body_bytes) const {
  const auto index_of = [&](auto matches) {
    const auto at = std::find_if(models_.begin(), models_.end(),
                                 [&](const Model& model) { return matches(model.spec); });
    return at == models_.end() ? -1 : static_cast<int>(at - models_.begin());
  };
  if (name == "auto") {
    const std::string_view role = body_bytes < options_.lite_bytes_max ? "lite" : "large";
    if (const int lite_or_large = index_of([&](const ModelSpec& spec) { return spec.role == role; });
        lite_or_large >= 0)
      return lite_or_large;
    // The other role is taken: whoever is not it.
    const int other = index_of([](const ModelSpec& spec) { return spec.role != "lite"; });
    return std::max(other, 0);
  }
  const int named = index_of([&](const ModelSpec& spec) { return spec.name == name; });
  return named >= 0 || (options_.strict_names && !name.empty()) ? named : 0;
}

tl::expected<std::shared_ptr<Backend>, Failure> LoadedModels::find(std::string_view name, size_t body_bytes) {
  const int index = choose(name, body_bytes);
  if (index < 0) {
    std::string names;
    for (const ModelSpec& spec : options_.specs) names += (names.empty() ? "" : ", ") + spec.name;
    return tl::unexpected(
        Failure{FailureKind::kNoModel,
                fmt::format("the model {} does not exist; there are: {}", name, names), 0, 0, 0, "model"});
  }
  auto backend = loaded(models_[static_cast<size_t>(index)]);
  if (backend) return *backend;
  return tl::unexpected(Failure{FailureKind::kInternal, backend.error().message, 0, 0, 0});
}

// Who comes first loads, the others wait for him: for what he gets, be it an error.
Result<std::shared_ptr<Backend>> LoadedModels::loaded(Model& model) {
  std::unique_lock lock(mutex_);
  if (model.backend) return model.backend;
  if (model.loading) {
    const uint64_t attempt = model.attempts;
    changed_.wait(lock, [&] { return model.attempts > attempt; });
    if (model.backend) return model.backend;
    return tl::unexpected(Error{model.error});
  }
  model.loading = true;
  lock.unlock();
  auto backend = options_.load(model.spec);
  lock.lock();
  model.loading = false;
  ++model.attempts;
  if (backend)
    model.backend = *backend;
  else
    model.error = backend.error().message;
  changed_.notify_all();
  return backend;
}

Result<void> LoadedModels::load(std::string_view name) {
  const auto at = std::find_if(models_.begin(), models_.end(),
                               [&](const Model& model) { return model.spec.name == name; });
  if (at == models_.end()) return fail("there is no model {}", name);
  if (auto backend = loaded(*at); !backend) return pass(backend);
  return {};
}

Result<void> LoadedModels::load_all() {
  for (Model& model : models_)
    if (auto backend = loaded(model); !backend) return pass(backend);
  return {};
}

}  // namespace mneme::serve

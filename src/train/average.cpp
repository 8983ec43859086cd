#include "train/average.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "corpus/vocabulary.h"
#include "model/gguf.h"
#include "train/import.h"
#include "train/spelling.h"

namespace mneme::train {

namespace {

Result<void> check(const AverageOptions& a) {
  if (a.models.size() < 2) return core::fail("at least two models are averaged");
  if (a.shares.empty()) return {};
  if (a.shares.size() != a.models.size())
    return core::fail("{} shares of {} models", a.shares.size(), a.models.size());
  for (const double share : a.shares) {
    if (!(share > 0) || !std::isfinite(share)) return core::fail("shares are greater than 0");
  }
  return {};
}

// A network of the file's shape, with some weights.
Result<Network> make_network(const model::Gguf& file, const corpus::Vocabulary& vocabulary) {
  ModelOptions options;
  if (auto shape = read_shape(file, options); !shape) return core::pass(shape);
  options.vocab_size = vocabulary.size();
  return Network(options, 1,
                 options.engram.layers.empty() ? std::vector<uint32_t>() : classes_of(vocabulary));
}

}  // namespace

// One model after the other through the first one's network; sums in f64.
Result<void> average_models(const AverageOptions& a) {
  if (auto good = check(a); !good) return good;
  const double all = a.shares.empty() ? static_cast<double>(a.models.size())
                                      : std::accumulate(a.shares.begin(), a.shares.end(), 0.0);
  std::optional<corpus::Vocabulary> vocabulary;
  std::optional<Network> network;
  std::vector<torch::Tensor> sums;
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < a.models.size(); ++i) {
    const std::string& path = a.models[i];
    auto file = model::Gguf::open(path);
    if (!file) return core::pass(file);
    auto own = corpus::Vocabulary::read(path);
    if (!own) return core::pass(own);
    if (i > 0 && own->to_text() != vocabulary->to_text())
      return core::fail("{} and {} have different vocabularies", a.models.front(), path);
    if (i == 0) {
      auto made = make_network(*file, *own);
      if (!made) return core::fail("{}: {}", path, made.error().message);
      vocabulary = std::move(*own), network = std::move(*made);
      for (const Parameter& p : network->parameters())
        sums.push_back(torch::zeros(p.value.sizes(), torch::kFloat64));
    }
    if (auto read = import_gguf(*file, *network); !read)
      return core::fail("{}: {}", path, read.error().message);
    const double share = (a.shares.empty() ? 1.0 : a.shares[i]) / all;
    for (size_t p = 0; p < sums.size(); ++p)
      sums[p] += network->parameters()[p].value.to(torch::kFloat64) * share;
  }
  for (size_t p = 0; p < sums.size(); ++p) network->parameters()[p].value.copy_(sums[p]);
  return export_gguf(a.out, *network, &*vocabulary, a.file);
}

}  // namespace mneme::train

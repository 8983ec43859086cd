#include "train/indexer_loss.h"

#include <torch/autograd.h>
#include <torch/torch.h>

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace mneme::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [rows, keys] true where query row (at position `first` + row) does not see the key.
torch::Tensor hidden_keys(int64_t rows, int64_t keys, int64_t first, const torch::Device& device) {
  const auto options = torch::TensorOptions().dtype(torch::kLong).device(device);
  return torch::arange(keys, options).unsqueeze(0) > torch::arange(first, first + rows, options).unsqueeze(1);
}

// Some of the queries, and the keys that the last of them sees.
struct Block {
  torch::Tensor log_share;  // [rows, keys] log softmax(I), -inf where hidden
  torch::Tensor loss;       // sum over the rows of KL
  torch::Tensor relu;       // [rows, J, keys]
};

Block score(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& head,
            const torch::Tensor& target, int64_t first) {
  const auto hidden = hidden_keys(query.size(0), key.size(0), first, key.device());
  Block block;
  block.relu = torch::relu(torch::matmul(query, key.t()));
  const auto index = torch::matmul(head.unsqueeze(1), block.relu).squeeze(1);
  block.log_share = torch::log_softmax(index.masked_fill(hidden, -std::numeric_limits<double>::infinity()),
                                       1);
  // p (log p - log share), 0 where p is 0 or the key hidden: there log share may be -inf.
  const auto entropy = torch::xlogy(target, target);
  block.loss = (entropy - target * block.log_share.masked_fill(hidden, 0)).sum();
  return block;
}

struct LossFunction : torch::autograd::Function<LossFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& query, const torch::Tensor& key,
                               const torch::Tensor& head, const torch::Tensor& target, int64_t first) {
    const int64_t rows = query.size(0);
    auto d_query = torch::empty_like(query), d_head = torch::empty_like(head), d_key = torch::zeros_like(key);
    auto loss = torch::zeros({}, query.options());
    for (int64_t from = 0; from < rows; from += kIndexerRows) {
      const int64_t to = std::min(rows, from + kIndexerRows), seen = first + to;
      const auto q = query.slice(0, from, to), w = head.slice(0, from, to), k = key.slice(0, 0, seen);
      const auto p = target.slice(0, from, to).slice(1, 0, seen);
      const auto block = score(q, k, w, p, first + from);
      loss += block.loss;
      const auto d_index = torch::exp(block.log_share) * p.sum(1, true) - p;  // [rows, keys]
      d_head.slice(0, from, to).copy_(torch::matmul(block.relu, d_index.unsqueeze(2)).squeeze(2));
      const auto d_dots = (block.relu > 0) * (w.unsqueeze(2) * d_index.unsqueeze(1));  // [rows, J, keys]
      d_query.slice(0, from, to).copy_(torch::matmul(d_dots, k));
      d_key.slice(0, 0, seen).add_(torch::matmul(d_dots.flatten(0, 1).t(), q.flatten(0, 1)));
    }
    const double mean = 1.0 / static_cast<double>(rows);
    context->save_for_backward({d_query.mul_(mean), d_key.mul_(mean), d_head.mul_(mean)});
    return loss * mean;
  }

  static variable_list backward(AutogradContext* context, variable_list d) {
    const auto saved = context->get_saved_variables();
    return {saved[0] * d[0], saved[1] * d[0], saved[2] * d[0], {}, {}};
  }
};

}  // namespace

torch::Tensor indexer_loss(const IndexerScores& scores, const torch::Tensor& target, bool fused) {
  const int64_t rows = scores.query.size(0), seen = scores.first + rows;
  MNEME_CHECK(rows > 0 && scores.key.size(0) >= seen, "{} keys for {} queries after {}", scores.key.size(0),
              rows, scores.first);
  MNEME_CHECK(target.dim() == 2 && target.size(0) == rows && target.size(1) == scores.key.size(0),
              "target is not [{}, {}]", rows, scores.key.size(0));
  const auto p = target.detach();
  if (fused) return LossFunction::apply(scores.query, scores.key, scores.head, p, scores.first);
  return score(scores.query, scores.key, scores.head, p, scores.first).loss / static_cast<double>(rows);
}

}  // namespace mneme::train

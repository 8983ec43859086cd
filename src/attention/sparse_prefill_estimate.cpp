// Estimates of a sparse prefill pass: blocks that are not read, as tokens of the kernel of dense attention. A
// block is one token whose key is its centre and whose value is the mean of its values, and whose logit is
// the logarithm of its mass
//   q . centre + c = [q 1 1] . [centre high(c) low(c)]
// with c in two bf16 (16 bits). So 64 blocks cost what one block costs that is read.
#include <algorithm>
#include <cmath>

#include "attention/sparse_prefill_step.h"
#include "tensor/convert.h"

namespace mneme::attention {

using kv::kBlockTokens;

// Keys and values of up to kMeanBlocks * 64 candidates, as a block's lie (kernels/ops.h); without c.
void SparsePrefill::State::make_means(const PrefillStep& step, const PrefillUnit& unit,
                                      std::span<const int> candidates, Thread& thread) const {
  const size_t dim = as_size(shape.head_dim), wide = as_size(wide_dim()), block = wide * kBlockTokens;
  for (size_t i = 0; i < candidates.size(); ++i) {
    kv::SealedBlock sealed;
    step.job.sequence->sealed(step.layer, unit.kv_head, PrefillPlan::kSinkBlocks + candidates[i],
                              {&sealed, 1});
    const kernels::SealedSummary& summary = sealed.summary;
    const float scale = summary.statistics->value_mean_scale;
    const size_t token = i % kBlockTokens;
    uint16_t* keys = &thread.mean_keys[i / kBlockTokens * block + token * 2];
    uint16_t* values = &thread.mean_values[i / kBlockTokens * block + token / 2 * wide * 2 + token % 2];
    for (size_t c = 0; c < dim; c += 2, keys += 2 * kBlockTokens)
      keys[0] = summary.key_centres[c], keys[1] = summary.key_centres[c + 1];
    for (size_t c = 0; c < dim; ++c)
      values[2 * c] = tensor::to_bf16(scale * e4m3[summary.value_means[c]]).bits;
  }
}

void SparsePrefill::State::estimate(const PrefillStep& step, int unit, Thread& thread) {
  const PrefillUnit of = step.unit(unit);
  thread.estimated.clear();
  for (int b = 0; b < step.plan.candidates; ++b)
    if (!chosen[candidate_at(step, unit, b)]) thread.estimated.push_back(b);
  if (thread.estimated.empty()) return;
  const size_t dim = as_size(shape.head_dim), wide = as_size(wide_dim()), block = wide * kBlockTokens;
  const size_t tokens = as_size(of.tokens);
  thread.mean_keys.resize(kMeanBlocks * block);
  thread.mean_values.resize(kMeanBlocks * block);
  place_queries(step, of.kv_head, of.token, of.tokens, thread);
  thread.wide_queries.assign(as_size(of.rows) * wide, 0.0f);
  for (size_t row = 0; row < as_size(of.rows); ++row) {
    float* to = &thread.wide_queries[(row % as_size(group) * tokens + row / as_size(group)) * wide];
    std::copy_n(&thread.queries[row * dim], dim, to);
    to[dim] = to[dim + 1] = 1.0f;
  }
  thread.wide.resize(softmax_state_floats(of.rows, wide_dim()));
  const SoftmaxState sums = softmax_state_at(thread.wide.data(), of.rows, wide_dim());
  clear_state(sums);

  constexpr size_t kMeans = size_t{kMeanBlocks} * kBlockTokens;
  for (size_t first = 0; first < thread.estimated.size(); first += kMeans) {
    const auto some =
        std::span(thread.estimated).subspan(first).first(std::min(kMeans, thread.estimated.size() - first));
    make_means(step, of, some, thread);
    thread.keys.clear(), thread.values.clear();
    for (size_t at = 0; at * kBlockTokens < some.size(); ++at) {
      thread.keys.push_back(&thread.mean_keys[at * block]);
      thread.values.push_back(&thread.mean_values[at * block]);
    }
    thread.limits.assign(tokens, static_cast<int>(some.size()));
    for (int query_head = 0; query_head < group; ++query_head) {
      const float* correction = corrections_of(step, unit, query_head);
      for (size_t i = 0; i < some.size(); ++i) {
        const float c = correction[some[i]];
        const tensor::Bf16 high = tensor::to_bf16(c), low = tensor::to_bf16(c - tensor::to_f32(high));
        uint16_t* pair =
            &thread.mean_keys[i / kBlockTokens * block + dim * kBlockTokens + i % kBlockTokens * 2];
        pair[0] = high.bits, pair[1] = low.bits;
      }
      const size_t row = as_size(query_head) * tokens;
      attend(step, {sums.out + row * wide, sums.max + row, sums.sum + row, of.tokens, wide_dim()}, wide_dim(),
             &thread.wide_queries[row * wide], thread);
    }
  }
  const SoftmaxState state = state_of(step, unit);
  for (size_t row = 0; row < as_size(of.rows); ++row) {
    const size_t from = row % as_size(group) * tokens + row / as_size(group);
    merge_state({state.out + row * dim, state.max + row, state.sum + row, 1, shape.head_dim},
                {sums.out + from * wide, sums.max + from, sums.sum + from, 1, shape.head_dim});
  }
}

}  // namespace mneme::attention

// Scan and selection of a sparse prefill pass.
#include <algorithm>
#include <cmath>

#include "attention/sparse_prefill_step.h"
#include "tensor/convert.h"

namespace mneme::attention {

namespace {

// Logits further than this below the largest count as so far below.
constexpr float kExponentMax = 80.0f;
// A sample's error that is so many times what the others expect comes as a surprise.
constexpr float kSurprise = 8.0f;

}  // namespace

// Spread over the tile's tokens, the last one among them; the query heads take turns.
int SparsePrefill::State::sampled_row(const PrefillUnit& unit, int sample) const {
  const int token = std::max(0, (sample + 1) * unit.tokens / samples - 1);
  return token * group + sample % group;
}

void SparsePrefill::State::scan(const PrefillStep& step) {
  step.pool.run(step.units(), [&](int unit, int index) {
    Thread& thread = threads[as_size(index)];
    const PrefillUnit of = step.unit(unit);
    place_queries(step, of.kv_head, of.token, of.tokens, thread);
    read_fixed(step, of, state_of(step, unit), thread);
    if (step.unread) return;
    scan_samples(step, unit, thread);
    weigh(step, unit, thread);
  });
}

// The Scorer's masses and the logits of the blocks' centres, of the sampled rows.
void SparsePrefill::State::scan_samples(const PrefillStep& step, int unit, Thread& thread) {
  const PrefillUnit of = step.unit(unit);
  const size_t dim = as_size(shape.head_dim), candidates = as_size(step.plan.candidates);
  thread.sampled.resize(as_size(samples) * dim);
  for (int i = 0; i < samples; ++i)
    std::copy_n(&thread.queries[as_size(sampled_row(of, i)) * dim], dim, &thread.sampled[as_size(i) * dim]);
  for (auto* of_rows : {&thread.max, &thread.sum, &thread.centre})
    of_rows->resize(as_size(samples) * candidates);
  thread.size2.resize(2 * candidates);
  thread.centres.resize(as_size(PrefillPlan::kRunBlocks) * dim);
  const BlockRuns runs = step.plan.runs();
  for (int run = 0; run < runs.runs(); ++run) {
    const size_t first = as_size(runs.run_first(run)), count = as_size(runs.run_count(run));
    const int first_block = runs.first_block + runs.run_first(run);
    thread.sealed.resize(count);
    step.job.sequence->sealed(step.layer, of.kv_head, first_block, thread.sealed);
    thread.summaries.clear();
    for (size_t i = 0; i < count; ++i) {
      const kernels::SealedSummary& summary = thread.sealed[i].summary;
      const float norm = summary.statistics->value_norm_rms, spread = thread.sealed[i].value_spread;
      thread.summaries.push_back(summary);
      thread.size2[2 * (first + i)] = spread * spread;
      thread.size2[2 * (first + i) + 1] = std::max(norm * norm - spread * spread, 0.0f);
      for (size_t c = 0; c < dim; ++c)
        thread.centres[i * dim + c] = tensor::to_f32(tensor::Bf16{summary.key_centres[c]});
    }
    scorer->score({&step.ops, step.layer, of.kv_head, first_block, thread.sampled.data(), samples,
                   shape.head_dim, thread.summaries, &thread.max[first], &thread.sum[first], candidates,
                   thread.scratch.data()});
    step.ops.dots({&thread.centre[first], candidates, thread.centres.data(), static_cast<int>(count),
                   thread.sampled.data(), dim, samples, shape.head_dim});
  }
}

// A sampled row's shares of the softmax take the place of its masses, those that its centres alone would give
// the place of their logits, and one over the number of tokens that share a mass that of its sum. Returns
// what turns a logit of a centre into the logarithm of a share.
float SparsePrefill::State::weigh_sample(const PrefillStep& step, int unit, int sample, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates), at = as_size(sample) * candidates;
  const int row = sampled_row(step.unit(unit), sample);
  const SoftmaxState fixed = state_of(step, unit);
  const float bias = static_cast<float>(step.controller.log_bias());
  float *max = &thread.max[at], *sum = &thread.sum[at];
  const float top = std::max(*std::max_element(max, max + candidates) - bias, fixed.max[row]);
  float total = fixed.sum[row] * std::exp(fixed.max[row] - top);
  for (size_t b = 0; b < candidates; ++b) {
    max[b] = sum[b] * std::exp(max[b] - bias - top);
    total += max[b];
    sum[b] = 1 / std::max(sum[b], 1.0f);
  }
  for (size_t b = 0; b < candidates; ++b) max[b] /= total;
  return -top - std::log(total);
}

// What each block would cost if it were estimated, and the corrections of its masses. A row that is not
// sampled finds what others have chosen: each sample's errors stay or go by what all other samples think of
// the block (leave-one-out).
void SparsePrefill::State::weigh(const PrefillStep& step, int unit, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates), at = candidate_at(step, unit, 0);
  for (int i = 0; i < samples; ++i) {
    const float offset = weigh_sample(step, unit, i, thread);
    float* centre = &thread.centre[as_size(i) * candidates];
    for (size_t b = 0; b < candidates; ++b) centre[b] += offset;
  }
  for (int query_head = 0; query_head < group; ++query_head) expect_errors(step, unit, query_head, thread);
  const auto rho = static_cast<float>(step.controller.estimate_share());
  const float factor = rho * rho * static_cast<float>(group) / static_cast<float>(samples);
  const float of_others = static_cast<float>(samples) / static_cast<float>(samples - 1);
  StepHistogram& histogram = histograms[as_size(unit)];
  histogram.clear();
  float surprise = 0;
  for (size_t b = 0; b < candidates; ++b) {
    float sum = 0;
    for (int i = 0; i < samples; ++i) sum += thread.max[as_size(i) * candidates + b];
    errors[at + b] = factor * sum;
    for (int i = 0; i < samples; ++i) {
      const float own = thread.max[as_size(i) * candidates + b];
      const float others = of_others * std::max(sum - own, 0.0f);
      histogram.add(factor * others, factor * own);
      surprise += std::max(own - kSurprise * others / static_cast<float>(samples), 0.0f);
    }
  }
  // The rule of succession: the next row surprises all samples once in so many times.
  histogram.add(0, factor * surprise / static_cast<float>(samples + 1));
}

// Of one query head's samples: corrections, and their errors, without rho, in place of their shares.
void SparsePrefill::State::expect_errors(const PrefillStep& step, int unit, int query_head, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates);
  const int count = samples / group;
  // One of the head's samples is used up by the correction.
  const float freedom = static_cast<float>(count) / static_cast<float>(count - 1);
  float* correction = corrections_of(step, unit, query_head);
  const auto sample_at = [&](int i, size_t b) { return as_size(query_head + i * group) * candidates + b; };
  for (size_t b = 0; b < candidates; ++b) {
    float scanned = 0, guessed = 0, logits = 0;
    for (int i = 0; i < count; ++i) {
      float& centre = thread.centre[sample_at(i, b)];
      const float share = thread.max[sample_at(i, b)];
      scanned += share;
      logits += std::log(std::max(share, 1e-37f)) - centre;
      centre = std::exp(std::clamp(centre, -kExponentMax, kExponentMax));
      guessed += centre;
    }
    const bool told = scanned > 1e-30f && guessed > 1e-30f;
    const float ratio = told ? scanned / guessed : 1.0f;
    correction[b] = told ? std::log(ratio) : logits / static_cast<float>(count);
    for (int i = 0; i < count; ++i) {
      const size_t sample = sample_at(i, b);
      const float share = thread.max[sample], off = share - thread.centre[sample] * ratio;
      thread.max[sample] = share * share * thread.sum[sample] * thread.size2[2 * b] +
                           freedom * off * off * thread.size2[2 * b + 1];
    }
  }
}

void SparsePrefill::State::choose_none(const PrefillStep& step) {
  const size_t candidates = as_size(step.units()) * as_size(step.plan.candidates);
  std::fill_n(chosen.begin(), candidates, uint8_t{0});
  std::fill_n(corrections.begin(), candidates * as_size(group), std::log(float{kv::kBlockTokens}));
}

void SparsePrefill::State::select(const PrefillStep& step, double allowed_error) {
  const int candidates = step.plan.candidates;
  for (int tile = 0; tile < step.tiles; ++tile) {
    StepHistogram all = histograms[as_size(tile)];
    for (int head = 1; head < step.heads; ++head) all.add(histograms[as_size(head * step.tiles + tile)]);
    const Threshold threshold = all.threshold(allowed_error);
    for (int head = 0; head < step.heads; ++head) {
      const int unit = head * step.tiles + tile;
      const size_t at = candidate_at(step, unit, 0);
      expected[as_size(unit)] = histograms[as_size(unit)].left_at(threshold);
      for (size_t b = at; b < at + as_size(candidates); ++b)
        chosen[b] = threshold.treat({errors[b], 0}) == Treatment::kEstimated ? 0 : 1;
    }
  }
  std::fill_n(chosen_by_any.begin(), candidates, uint8_t{0});
  for (int unit = 0; unit < step.units(); ++unit) {
    for (int b = 0; b < candidates; ++b) chosen_by_any[as_size(b)] |= chosen[candidate_at(step, unit, b)];
  }
}

}  // namespace mneme::attention

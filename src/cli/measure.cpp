#include "cli/measure.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

namespace {

constexpr size_t kRepeatedTokens = 512;  // really evaluated before the rest of a depth is copied

// Any ids will do, as long as each repetition has its own: rows of n-gram tables that were read once come
// faster from then on. The stream is the same in every run of the program.
class TokenStream {
 public:
  explicit TokenStream(uint64_t seed) : state_(seed) {}

  std::vector<TokenId> next(size_t count, int vocab_size) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
      tokens.push_back(static_cast<TokenId>((state_ >> 33) % static_cast<uint64_t>(vocab_size)));
    }
    return tokens;
  }

 private:
  uint64_t state_;
};

// Pages that were never written back stay, and the host of a virtual machine may keep a copy of its own.
Result<void> drop_from_page_cache(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool dropped = descriptor >= 0 && ::fdatasync(descriptor) == 0 &&
                       ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (dropped) return {};
  return tl::unexpected(Error{path + ": cannot be dropped from the page cache"});
}

// Multiplications and additions of one token's matrix products but for the head, which a prefill does once.
double flops_per_token(const ModelInfo& info) {
  const double dim = info.dim;
  const double queries = double{1} * info.heads * info.head_dim;
  const double keys = double{1} * info.kv_heads * info.head_dim;
  return 2.0 * info.layers * (2 * dim * queries + 2 * dim * keys + 3 * dim * info.ffn_dim);
}

class Measurement {
 public:
  Measurement(Engine& engine, const BenchPlan& plan, const MachineLimits& limits,
              const std::function<void(const std::string&)>& on_work)
      : engine_(&engine), plan_(&plan), limits_(limits), on_work_(&on_work) {}

  // A session of `depth` tokens to measure in.
  Result<void> start(size_t depth);
  Result<BenchRow> prefill();
  Result<BenchRow> decode();

 private:
  Result<void> evaluate(std::span<const TokenId> tokens);
  Result<void> evaluate_in(std::span<const TokenId> tokens, size_t piece);
  Result<double> repetition(size_t tokens, bool one_by_one);
  Result<BenchRow> measure(const std::string& name, size_t tokens, bool one_by_one);
  void set_rates(BenchRow& row, size_t tokens) const;

  Engine* engine_;
  const BenchPlan* plan_;
  MachineLimits limits_;
  const std::function<void(const std::string&)>* on_work_;
  std::unique_ptr<Session> session_;
  TokenStream stream_{1};  // of what is measured; a depth is filled with other tokens, the same each time
  size_t depth_ = 0;
  bool repeated_ = false;
  AttentionReport attention_;  // behind the last repetition
  std::string label_;
};

Result<void> Measurement::start(size_t depth) {
  depth_ = depth;
  session_ = engine_->new_session();
  label_ = format("filling to depth %zu", depth);
  repeated_ = plan_->fill && depth > kRepeatedTokens;
  const size_t count = repeated_ ? kRepeatedTokens : depth;
  auto filled = evaluate(TokenStream(2).next(count, engine_->info().vocab_size));
  if (!filled || !repeated_) return filled;
  return session_->repeat_for_bench(kRepeatedTokens, depth, *plan_->fill);
}

Result<BenchRow> Measurement::prefill() {
  return measure("pp" + std::to_string(plan_->prefill_tokens), plan_->prefill_tokens, false);
}

Result<BenchRow> Measurement::decode() {
  return measure("tg" + std::to_string(plan_->decode_tokens), plan_->decode_tokens, true);
}

Result<void> Measurement::evaluate(std::span<const TokenId> tokens) {
  auto appended = session_->append(tokens);
  if (!appended) return appended;
  Session* const sessions[] = {session_.get()};
  while (session_->pending() > 0) {
    auto step = engine_->step(sessions);
    if (!step) return tl::unexpected(step.error());
    (*on_work_)(
        format("%s, %zu of %zu tokens", label_.c_str(), tokens.size() - session_->pending(), tokens.size()));
  }
  return {};
}

Result<void> Measurement::evaluate_in(std::span<const TokenId> tokens, size_t piece) {
  for (size_t i = 0; i < tokens.size(); i += piece) {
    auto done = evaluate(tokens.subspan(i, piece));
    if (!done) return done;
  }
  return {};
}

// Seconds for `tokens` more tokens, behind the plan's tokens of warm-up where they come one by one; the
// session is as before afterwards.
Result<double> Measurement::repetition(size_t tokens, bool one_by_one) {
  const size_t before = one_by_one ? plan_->warm_up_tokens : 0;
  const std::vector<TokenId> ids = stream_.next(before + tokens, engine_->info().vocab_size);
  auto warm = evaluate_in(std::span(ids).first(before), 1);
  if (!warm) return tl::unexpected(warm.error());
  if (!plan_->drop_from_cache.empty()) {
    if (auto dropped = drop_from_page_cache(plan_->drop_from_cache); !dropped)
      return tl::unexpected(dropped.error());
  }
  const double start_s = now_s();
  auto done = evaluate_in(std::span(ids).subspan(before), one_by_one ? 1 : tokens);
  if (!done) return tl::unexpected(done.error());
  const double seconds = now_s() - start_s;
  attention_ = session_->attention();
  session_->truncate(depth_);
  // A model with sliding windows may not get back so far: the depth is filled again, untimed.
  if (session_->pending() > 0) {
    auto filled = start(depth_);
    if (!filled) return tl::unexpected(filled.error());
  }
  return seconds;
}

Result<BenchRow> Measurement::measure(const std::string& name, size_t tokens, bool one_by_one) {
  constexpr size_t kWarmUpDecode = 4;
  label_ = format("%s at depth %zu, warming up", name.c_str(), depth_);
  auto warm = repetition(one_by_one ? std::min(tokens, kWarmUpDecode) : tokens, one_by_one);
  if (!warm) return tl::unexpected(warm.error());

  std::vector<double> speeds;
  for (int i = 0; i < plan_->repetitions; ++i) {
    label_ = format("%s at depth %zu, %d of %d", name.c_str(), depth_, i + 1, plan_->repetitions);
    auto seconds = repetition(tokens, one_by_one);
    if (!seconds) return tl::unexpected(seconds.error());
    speeds.push_back(static_cast<double>(tokens) / *seconds);
  }
  std::sort(speeds.begin(), speeds.end());
  BenchRow row;
  row.test = name;
  row.depth = depth_;
  row.prefill = !one_by_one;
  row.warm_up_tokens = one_by_one ? plan_->warm_up_tokens : 0;
  row.tokens_per_s_min = speeds.front();
  row.tokens_per_s_max = speeds.back();
  row.tokens_per_s_median = (speeds[speeds.size() / 2] + speeds[(speeds.size() - 1) / 2]) / 2;
  if (repeated_) row.fill = plan_->fill;
  row.rss_bytes = rss_bytes();
  row.attention = attention_;
  set_rates(row, tokens);
  return row;
}

// Decoding reads all weights and the whole context's keys and values for each token: bandwidth is its limit.
// A prefill reads the weights once a pass and is limited by arithmetic.
void Measurement::set_rates(BenchRow& row, size_t tokens) const {
  const ModelInfo& info = engine_->info();
  const auto weights = static_cast<double>(info.decode_bytes);
  const double middle = static_cast<double>(depth_ + row.warm_up_tokens) + static_cast<double>(tokens) / 2;
  const bool sparse = !row.prefill && row.attention.mode != AttentionMode::kExact &&
                      row.attention.all.steps > 0;
  const double context = sparse ? row.attention.all.bytes_a_step
                                : static_cast<double>(info.kv_token_bytes) * middle;
  if (row.prefill) {
    const double passes = static_cast<double>((tokens + info.prefill_rows - 1) / info.prefill_rows);
    row.bytes_per_s = (weights + context) * passes / static_cast<double>(tokens) * row.tokens_per_s_median;
    row.flops_per_s = flops_per_token(info) * row.tokens_per_s_median;
    if (limits_.matmul_flops_per_s > 0) row.share_of_limit = row.flops_per_s / limits_.matmul_flops_per_s;
    return;
  }
  row.bytes_per_s = (weights + context) * row.tokens_per_s_median;
  if (limits_.read_bytes_per_s > 0) row.share_of_limit = row.bytes_per_s / limits_.read_bytes_per_s;
}

Result<void> check_fits(const Engine& engine, const BenchPlan& plan) {
  if (engine.tiers().on) return {};  // the disk is the limit
  const size_t deepest = *std::max_element(plan.depths.begin(), plan.depths.end());
  const size_t most = deepest + std::max(plan.prefill_tokens, plan.warm_up_tokens + plan.decode_tokens);
  const uint64_t needed = engine.info().kv_bytes(most);
  if (needed <= engine.kv_bytes_max()) return {};
  return tl::unexpected(
      Error{format("depth %zu needs %s of keys and values, the budget is %s (raise --kv)", deepest,
                   bytes_text(needed).c_str(), bytes_text(engine.kv_bytes_max()).c_str())});
}

}  // namespace

Result<void> measure(Engine& engine, const BenchPlan& plan, const MachineLimits& limits,
                     const std::function<void(const BenchRow&)>& on_row,
                     const std::function<void(const std::string&)>& on_work) {
  auto fits = check_fits(engine, plan);
  if (!fits) return fits;
  for (const size_t depth : plan.depths) {
    Measurement measurement(engine, plan, limits, on_work);
    auto started = measurement.start(depth);
    if (!started) return started;
    if (plan.prefill_tokens > 0) {
      auto row = measurement.prefill();
      if (!row) return tl::unexpected(row.error());
      on_row(*row);
    }
    if (plan.decode_tokens > 0) {
      auto row = measurement.decode();
      if (!row) return tl::unexpected(row.error());
      on_row(*row);
    }
  }
  return {};
}

}  // namespace mneme::cli

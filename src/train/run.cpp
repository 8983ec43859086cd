#include "train/run.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "core/clock.h"
#include "train/csv.h"
#include "train/hyper_connection.h"
#include "train/run_plot.h"

namespace mneme::train {

namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::string checkpoint_path(const RunOptions& options) { return options.folder + "/checkpoint.pt"; }

// The stage that a step belongs to.
const Stage& stage_at(const RunOptions& options, int64_t step) {
  const Stage* found = &options.stages.front();
  for (const Stage& stage : options.stages) {
    if (static_cast<double>(step) >= stage.from * options.steps) found = &stage;
  }
  return *found;
}

bool reached(const RunOptions& options, double share, int64_t step) {
  return share < 1 && static_cast<double>(step) >= share * options.steps;
}

int sparse_top_k_at(const RunOptions& options, const Network& network, int64_t step) {
  return reached(options, options.sparse_from, step) ? network.options().indexer.top_k : 0;
}

Result<void> check_indexer(const RunOptions& options, const Network& network) {
  const bool learns = options.indexer_weight > 0;
  if ((learns || options.sparse_from < 1) && !network.has_indexer())
    return core::fail("a network without indexer: --indexer-heads and --global-layers make one");
  if (options.indexer_only_from < 1 && !learns)
    return core::fail("--indexer-only-from {}: nothing learns without --indexer-weight",
                      options.indexer_only_from);
  if (network.options().indexer.heads > 0 &&
      (network.options().indexer.head_dim < 2 || network.options().indexer.top_k < 1))
    return core::fail("--indexer-dim must be 2 at least, --indexer-top-k 1");
  return {};
}

ForwardOptions forward_options(const RunOptions& options, bool cross_rows) {
  ForwardOptions forward;
  forward.type = options.bf16 ? torch::kBFloat16 : torch::kFloat32;
  forward.fused = options.fused;
  forward.cross_rows = cross_rows;
  return forward;
}

// This worker's rows of a batch.
Batch own_rows(const Batch& batch, const Workers& workers, torch::Device device) {
  const int64_t rows = batch.tokens.size(0), first = rows * workers.rank() / workers.count();
  const int64_t count = rows * (workers.rank() + 1) / workers.count() - first;
  const auto take = [&](const torch::Tensor& t) { return t.narrow(0, first, count).to(device); };
  return {take(batch.tokens), take(batch.targets), take(batch.weights)};
}

// Every worker has all of them afterwards, also of what its own rows did not need.
void sum_gradients(std::vector<Parameter>& parameters, Workers& workers) {
  if (workers.count() == 1) return;
  std::vector<torch::Tensor> dense;
  for (Parameter& p : parameters) {
    if (!p.value.requires_grad()) continue;
    torch::Tensor& gradient = p.value.mutable_grad();
    const bool table = p.kind == ParameterKind::kTable;
    if (!gradient.defined())
      gradient = torch::zeros(p.value.sizes(),
                              p.value.options().layout(table ? torch::kSparse : torch::kStrided));
    if (table) {
      gradient = workers.sum_rows(gradient);
    } else {
      dense.push_back(gradient);
    }
  }
  workers.sum(dense);
}

struct StepResult {
  double loss = 0, gradient_norm = 0, indexer_loss = 0;
  int64_t tokens = 0;
};

StepResult train_step(RunInputs& in, const RunOptions& options, int64_t step, double rate) {
  const Stage& stage = stage_at(options, step);
  in.rows.set_tokens(stage.tokens);
  const int rows = std::max(in.workers.count(), options.tokens_per_step / stage.tokens);
  const Batch batch = in.rows.make(options.seed, static_cast<uint64_t>(step), rows);
  const double total = batch.weights.sum().item<double>();  // of all workers: every one makes the whole batch
  const Batch own = own_rows(batch, in.workers, options.device);

  ForwardOptions forward = forward_options(options, stage.cross_rows);
  forward.sparse_top_k = sparse_top_k_at(options, in.network, step);
  IndexerProbe probe;
  probe.queries = options.indexer_queries;
  probe.seed = options.seed + static_cast<uint64_t>(step * in.workers.count() + in.workers.rank());
  if (options.indexer_weight > 0) forward.indexer = &probe;
  learn_only_indexers(in.network.parameters(), reached(options, options.indexer_only_from, step));

  const torch::Tensor sum = in.network.loss_sum(own.tokens, own.targets, own.weights, forward);
  torch::Tensor objective = sum / total, indexer_loss;
  if (probe.loss.defined()) {  // a mean over queries, of which this worker has its share
    indexer_loss = probe.loss * (static_cast<double>(own.tokens.size(0)) / rows);
    objective = objective + indexer_loss * options.indexer_weight;
  }
  objective.backward();
  sum_gradients(in.network.parameters(), in.workers);
  StepResult result;
  result.loss = in.workers.sum(sum.item<double>()) / total;
  if (indexer_loss.defined()) result.indexer_loss = in.workers.sum(indexer_loss.item<double>());
  result.tokens = batch.tokens.numel();
  result.gradient_norm = in.optimizer.step(rate);
  return result;
}

class Log {
 public:
  Log(const RunOptions& options, int64_t step)
      : steps_(options.folder + "/log.csv", "step,tokens,loss,gradient_norm,rate,cpu_s,wall_s", step),
        validations_(options.folder + "/validation.csv",
                     "step,tokens,text_loss,answer_loss,answers_right,cpu_s,wall_s,composite_gain_max,"
                     "indexer_mass",
                     step) {}

  void step(const Progress& p, const StepResult& r, double rate) {
    steps_.row({static_cast<double>(p.step), static_cast<double>(p.tokens), r.loss, r.gradient_norm, rate,
                p.cpu_seconds, p.wall_seconds});
  }
  void validation(const Progress& p, const Validation& v) {
    validations_.row({static_cast<double>(p.step), static_cast<double>(p.tokens), v.text_loss, v.answer_loss,
                      v.answers_right, p.cpu_seconds, p.wall_seconds, v.composite_gain_max, v.indexer_mass});
  }
  Result<void> save(const RunOptions& options) {
    if (auto ok = steps_.flush(); !ok) return ok;
    if (auto ok = validations_.flush(); !ok) return ok;
    return plot_run(options.folder);
  }

 private:
  CsvFile steps_, validations_;
};

std::string progress_line(const Progress& p, const StepResult& r, const RunOptions& options, double loss_mean,
                          double tokens_per_s) {
  const double left = static_cast<double>(options.steps - p.step) * p.wall_seconds /
                      std::max(1.0, static_cast<double>(p.step));
  const std::string indexer = options.indexer_weight > 0 ? fmt::format("  indexer {:.4f}", r.indexer_loss)
                                                         : std::string();
  return fmt::format("step {:>6}/{}  loss {:.4f}{}  gradient {:.2f}  {:.0f} tokens/s  {:.0f} min left",
                     p.step, options.steps, loss_mean, indexer, r.gradient_norm, tokens_per_s, left / 60);
}

// A run under way.
class Run {
 public:
  Run(const RunInputs& in, const RunOptions& options, const OptimizerOptions& optimizer,
      const RunEvents& events, Progress progress)
      : in_(in),
        options_(options),
        optimizer_(optimizer),
        events_(events),
        progress_(progress),
        first_(progress.step),
        log_(options, progress.step) {}

  Result<Validation> go() {
    bool stop = false;
    while (progress_.step < options_.steps && !stop) {
      step();
      const bool end = progress_.step == options_.steps;
      if (end || (options_.validate_every > 0 && progress_.step % options_.validate_every == 0)) look();
      stop = options_.stop_after > 0 && progress_.step - first_ >= options_.stop_after;
      if (end || stop || core::now_s() - saved_at_ > options_.checkpoint_every_s) {
        if (auto ok = save(); !ok) return core::pass(ok);
      }
    }
    return last_;
  }

 private:
  void step() {
    const double wall = core::now_s(), cpu = cpu_seconds();
    const double rate = rate_factor(optimizer_, static_cast<int>(progress_.step), options_.steps);
    const StepResult result = train_step(in_, options_, progress_.step, rate);
    const double now = core::now_s();
    ++progress_.step;
    progress_.tokens += result.tokens;
    progress_.cpu_seconds += cpu_seconds() - cpu;
    progress_.wall_seconds += now - wall;
    loss_mean_ = progress_.step == first_ + 1 ? result.loss : 0.95 * loss_mean_ + 0.05 * result.loss;
    log_.step(progress_, result, rate);
    if (now - spoke_at_ <= 5) return;
    spoke_at_ = now;
    events_.line(progress_line(progress_, result, options_, loss_mean_,
                               static_cast<double>(result.tokens) / (now - wall)));
  }

  // At held-out text and tasks.
  void look() {
    last_ = validate(in_.network, in_.held_out_text, in_.held_out_tasks, options_,
                     sparse_top_k_at(options_, in_.network, progress_.step - 1));
    log_.validation(progress_, last_);
    events_.line(fmt::format("step {:>6}  held out: text {:.4f}  answers {:.4f}, {:.1f} % right",
                             progress_.step, last_.text_loss, last_.answer_loss, 100 * last_.answers_right));
  }

  Result<void> save() {
    saved_at_ = core::now_s();
    if (in_.workers.rank() != 0) return {};
    // The log first: what it has beyond a checkpoint is written again (csv.h), what it lacks would be lost.
    auto logged = log_.save(options_);
    auto saved = save_checkpoint(checkpoint_path(options_), in_.network, in_.optimizer, progress_);
    return saved ? logged : saved;
  }

  RunInputs in_;
  const RunOptions& options_;
  const OptimizerOptions& optimizer_;
  const RunEvents& events_;
  Progress progress_;
  int64_t first_;  // step of this process
  Log log_;
  Validation last_;
  double saved_at_ = core::now_s(), spoke_at_ = 0, loss_mean_ = 0;
};

}  // namespace

Result<Validation> run_training(RunInputs in, const RunOptions& options, const OptimizerOptions& optimizer,
                                const RunEvents& events) {
  if (auto ok = check_indexer(options, in.network); !ok) return core::pass(ok);
  std::error_code code;
  std::filesystem::create_directories(options.folder, code);
  const std::string path = checkpoint_path(options);
  Progress progress;
  if (std::filesystem::exists(path)) {
    auto loaded = load_checkpoint(path, in.network, in.optimizer);
    if (!loaded) return core::pass(loaded);
    progress = *loaded;
    events.line(fmt::format("going on from step {} of {}", progress.step, path));
  }
  return Run(in, options, optimizer, events, progress).go();
}

namespace {

constexpr uint64_t kValidationSeed = 0x76616C6964;

// Answers are runs of targets of weight 1.
void count_answers(const Batch& batch, const torch::Tensor& likeliest, int64_t& answers, int64_t& right) {
  const int64_t rows = batch.tokens.size(0), tokens = batch.tokens.size(1);
  for (int64_t b = 0; b < rows; ++b) {
    bool inside = false, good = true;
    for (int64_t t = 0; t <= tokens; ++t) {
      const int64_t at = b * tokens + t;
      const bool answer = t < tokens && batch.weights.data_ptr<float>()[at] == 1.0f;
      if (answer && !inside) good = true;
      if (answer && likeliest.data_ptr<int64_t>()[at] != batch.targets.data_ptr<int64_t>()[at]) good = false;
      if (!answer && inside) answers += 1, right += good ? 1 : 0;
      inside = answer;
    }
  }
}

}  // namespace

Validation validate(const Network& network, RowMaker& text, RowMaker& tasks, const RunOptions& options,
                    int sparse_top_k) {
  torch::NoGradGuard no_grad;
  IndexerProbe probe{options.indexer_queries, kValidationSeed, false, true, {}};
  ForwardOptions forward = forward_options(options, false);
  forward.sparse_top_k = sparse_top_k;
  if (network.has_indexer()) forward.indexer = &probe;
  std::vector<torch::Tensor> mixes;
  ForwardOptions first = forward;
  first.mixes = &mixes;
  Validation v;
  const int rows_each = 4, batches = std::max(1, options.validation_rows / rows_each);
  double text_weight = 0, answer_weight = 0;
  int64_t answers = 0, right = 0;
  for (int i = 0; i < batches; ++i) {
    const Batch plain = text.make(kValidationSeed, static_cast<uint64_t>(i), rows_each);
    v.text_loss += network
                       .loss_sum(plain.tokens.to(options.device), plain.targets.to(options.device),
                                 plain.weights.to(options.device), i == 0 ? first : forward)
                       .item<double>();
    text_weight += plain.weights.sum().item<double>();

    const Batch batch = tasks.make(kValidationSeed, static_cast<uint64_t>(i), rows_each);
    const torch::Tensor logits = network.logits(batch.tokens.to(options.device), forward).cpu();
    const torch::Tensor losses = torch::nn::functional::cross_entropy(
        logits, batch.targets.reshape({-1}),
        torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
    const torch::Tensor is_answer = (batch.weights.reshape({-1}) == 1.0f).to(torch::kFloat32);
    v.answer_loss += (losses * is_answer).sum().item<double>();
    answer_weight += is_answer.sum().item<double>();
    count_answers(batch, logits.argmax(-1), answers, right);
  }
  v.text_loss /= std::max(text_weight, 1e-9);
  const CompositeGain gain = composite_gain(mixes);
  v.composite_gain_max = std::max(gain.row_max, gain.column_max);
  v.answer_loss /= std::max(answer_weight, 1e-9);
  if (probe.layers > 0) v.indexer_mass = probe.mass / probe.layers;
  v.answers_right = answers > 0 ? static_cast<double>(right) / static_cast<double>(answers) : 0;
  return v;
}

}  // namespace mneme::train

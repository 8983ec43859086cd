// mneme-train run: corpus and vocabulary in, checkpoint, CSV and plots out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <sstream>

#include "corpus/documents.h"
#include "corpus/vocabulary.h"
#include "train/commands.h"
#include "train/corpus_text.h"
#include "train/import.h"
#include "train/option_fields.h"
#include "train/run.h"
#include "train/spelling.h"

namespace mneme::train {

namespace {

struct RunArguments {
  ModelOptions model;
  OptimizerOptions optimizer;
  RunOptions run;
  RowOptions rows;
  WorkerOptions workers;
  std::string corpus, vocabulary, from, residual = "plain", stages = "0:512", mixture, device = "cpu";
  int threads = 1, show = 0;
};

// FROM:TOKENS[:cross],... with FROM a share of the steps
Result<std::vector<Stage>> parse_stages(const std::string& text) {
  std::vector<Stage> stages;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    Stage stage;
    char cross[8] = {};
    const int fields = std::sscanf(part.c_str(), "%lf:%d:%7s", &stage.from, &stage.tokens, cross);
    stage.cross_rows = fields == 3 && std::string(cross) == "cross";
    if (fields < 2 || stage.tokens < 16 || stage.from < 0 || stage.from > 1 ||
        (fields == 3 && !stage.cross_rows))
      return core::fail("--stages {}: FROM:TOKENS[:cross] is expected, FROM in 0..1", part);
    stages.push_back(stage);
  }
  if (stages.empty()) return core::fail("--stages names no stage");
  return stages;
}

// TASK=WEIGHT,...
Result<std::vector<std::pair<tasks::TaskKind, double>>> parse_mixture(const std::string& text) {
  std::vector<std::pair<tasks::TaskKind, double>> mixture;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const size_t equals = part.find('=');
    const auto task = tasks::parse_task(part.substr(0, equals));
    const double weight = equals == std::string::npos ? 1 : std::atof(part.c_str() + equals + 1);
    if (!task || weight < 0) return core::fail("--mixture {}: TASK=WEIGHT is expected", part);
    mixture.emplace_back(*task, weight);
  }
  return mixture;
}

// Rows as text on standard output.
void show_rows(const RowMaker& rows, const corpus::Vocabulary& vocabulary, uint64_t seed, int count) {
  const Batch batch = rows.make(seed, 0, count);
  for (int row = 0; row < count; ++row) {
    std::string text;
    const torch::Tensor targets = batch.targets[row].contiguous();
    for (int64_t t = 0; t < targets.size(0); ++t)
      text += vocabulary.bytes(static_cast<model::TokenId>(targets.data_ptr<int64_t>()[t]));
    std::printf("--- row %d\n%s\n", row, text.c_str());
  }
}

// --from's, or --vocabulary; where both are given they are the same.
Result<corpus::Vocabulary> read_vocabulary(const RunArguments& a) {
  if (a.vocabulary.empty() && a.from.empty()) return core::fail("--vocabulary or --from is needed");
  auto vocabulary = corpus::Vocabulary::read(a.vocabulary.empty() ? a.from : a.vocabulary);
  if (!vocabulary || a.vocabulary.empty() || a.from.empty()) return vocabulary;
  auto there = corpus::Vocabulary::read(a.from);
  if (!there) return core::pass(there);
  if (there->to_text() != vocabulary->to_text())
    return core::fail("{} and {} have different vocabularies", a.from, a.vocabulary);
  return vocabulary;
}

// With fresh weights, or with those of --from, whose shape it then has.
Result<Network> make_network(RunArguments& a, const corpus::Vocabulary& vocabulary) {
  std::optional<model::Gguf> file;
  if (!a.from.empty()) {
    auto opened = model::Gguf::open(a.from);
    if (!opened) return core::pass(opened);
    file = std::move(*opened);
    if (auto shape = read_shape(*file, a.model); !shape) return core::pass(shape);
  }
  a.model.vocab_size = vocabulary.size();
  if (const std::string wrong = check(a.model); !wrong.empty()) return core::fail("{}", wrong);
  Network network(a.model, a.run.seed,
                  a.model.engram.layers.empty() ? std::vector<uint32_t>() : classes_of(vocabulary),
                  a.model.spelled ? spelling_of(vocabulary) : Spelling());
  if (file) {
    if (auto weights = import_gguf(*file, network); !weights) return core::pass(weights);
  }
  network.to(a.run.device);
  return network;
}

// Nothing where rows were only to be shown.
Result<std::optional<Validation>> train(RunArguments& a) {
  auto vocabulary = read_vocabulary(a);
  if (!vocabulary) return core::pass(vocabulary);
  auto tokenizer = vocabulary->tokenizer();
  if (!tokenizer) return core::pass(tokenizer);
  auto train_docs = corpus::Documents::open(a.corpus + "/train.docs");
  if (!train_docs) return core::pass(train_docs);
  auto held_out_docs = corpus::Documents::open(a.corpus + "/heldout.docs");
  if (!held_out_docs) return core::pass(held_out_docs);
  const tasks::InMemoryText text = as_text_source(*train_docs), held_out = as_text_source(*held_out_docs);

  RowMaker rows(*tokenizer, text, a.rows);
  if (a.show > 0) {
    rows.set_tokens(a.run.stages.front().tokens);
    show_rows(rows, *vocabulary, a.run.seed, a.show);
    return std::nullopt;
  }
  auto made = make_network(a, *vocabulary);
  if (!made) return core::pass(made);
  Network& network = *made;
  Optimizer optimizer(network.parameters(), a.optimizer);
  RowOptions validation = a.rows;
  validation.tokens = a.run.stages.back().tokens;
  validation.split = tasks::Split::kHeldOut;
  validation.task_share = 0;
  validation.text_weight = 1;
  RowMaker held_out_text(*tokenizer, held_out, validation);
  validation.task_share = 1;
  validation.text_weight = validation.context_weight = 0;
  RowMaker held_out_tasks(*tokenizer, held_out, validation);
  Workers workers(a.workers);
  std::fprintf(stderr, "%lld parameters, %d tokens in the vocabulary\n",
               static_cast<long long>(network.parameter_count()), vocabulary->size());
  RunEvents events;
  events.line = [&](const std::string& line) {
    if (workers.rank() == 0) std::fprintf(stderr, "%s\n", line.c_str());
  };
  return run_training({network, optimizer, rows, held_out_text, held_out_tasks, workers}, a.run, a.optimizer,
                      events);
}

int run(RunArguments& a) {
  auto stages = parse_stages(a.stages);
  if (!stages) return fail(stages.error());
  a.run.stages = *stages;
  auto mixture = parse_mixture(a.mixture);
  if (!mixture) return fail(mixture.error());
  a.rows.mixture = *mixture;
  if (!parse_residual(a.residual, a.model.residual))
    return fail({"--residual " + a.residual + ": no such kind"});
  a.run.device = torch::Device(a.device);
  at::set_num_threads(a.threads);
  const auto result = train(a);
  if (!result) return fail(result.error());
  if (!*result) return 0;
  const Validation& held_out = **result;
  std::fprintf(stderr, "held out: text %.4f, answers %.4f, %.1f %% right\n", held_out.text_loss,
               held_out.answer_loss, 100 * held_out.answers_right);
  return 0;
}

template <class T>
void add_field(CLI::App* verb, const std::string& name, T& value, const char* help) {
  verb->add_option("--" + name, value, help)->capture_default_str();
}
void add_field(CLI::App* verb, const std::string& name, bool& value, const char* help) {
  verb->add_option("--" + name, value, help)->capture_default_str();
}
void add_field(CLI::App* verb, const std::string& name, std::vector<int>& value, const char* help) {
  verb->add_option("--" + name, value, help)->delimiter(',');
}
void add_field(CLI::App*, const std::string&, Residual&, const char*) {}  // by name, below

void add_run_options(CLI::App* verb, RunArguments& a) {
  verb->add_option("--out", a.run.folder, "folder of the checkpoint, the CSV files and the plots")
      ->required();
  verb->add_option("--corpus", a.corpus, "folder with train.docs and heldout.docs")->required();
  verb->add_option("--vocabulary", a.vocabulary, "the .bpe file, or a model file that has one; of --from");
  verb->add_option("--from", a.from, "a model file of ours to start from: its weights, its shape");
  verb->add_option("--steps", a.run.steps, "steps in all")->capture_default_str();
  verb->add_option("--tokens-per-step", a.run.tokens_per_step, "over all rows and workers")
      ->capture_default_str();
  verb->add_option("--stages", a.stages, "FROM:TOKENS[:cross],... row length from a share of the steps on")
      ->capture_default_str();
  verb->add_option("--seed", a.run.seed, "of weights and batches")->capture_default_str();
  verb->add_option("--stop-after", a.run.stop_after, "leave off after so many steps, to go on later");
  verb->add_option("--checkpoint-every", a.run.checkpoint_every_s, "seconds")->capture_default_str();
  verb->add_option("--validate-every", a.run.validate_every, "steps; 0: only at the end")
      ->capture_default_str();
  verb->add_option("--validation-rows", a.run.validation_rows, "rows of text and of tasks")
      ->capture_default_str();
  verb->add_option("--bf16", a.run.bf16, "large products in bf16 (masters stay f32)")->capture_default_str();
  verb->add_option("--fused", a.run.fused, "fused functions instead of plain torch operations")
      ->capture_default_str();
  verb->add_option("--device", a.device, "cpu or cuda")->capture_default_str();
  verb->add_option("--threads", a.threads, "of this process")->capture_default_str();
  verb->add_option("--task-share", a.rows.task_share, "rows of tasks; the others are text")
      ->capture_default_str();
  verb->add_option("--context-weight", a.rows.context_weight, "of a task's context in the loss")
      ->capture_default_str();
  verb->add_option("--text-weight", a.rows.text_weight, "of text rows in the loss")->capture_default_str();
  verb->add_option("--chinese-share", a.rows.chinese_share, "of samples and text rows")
      ->capture_default_str();
  verb->add_option("--variety", a.rows.variety,
                   "of the tasks' wordings, 0 to 1: how much is made up on the spot")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--backwards", a.rows.backwards,
                   "share of lookups whose answer stands in front of what the question names; negative: as "
                   "wordings have it")
      ->check(CLI::Range(-1.0, 1.0))
      ->capture_default_str();
  verb->add_option(
          "--bare-share", a.rows.bare_share,
          "of samples that a question without a text, or about a sentence or two, stands in front of")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--tools-share", a.rows.tools_share,
                   "of samples that a conversation with tools stands in front of")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->add_option("--show", a.show, "print so many rows as text instead of training")
      ->check(CLI::Range(1, 10000));
  verb->add_option("--recitals", a.rows.recitals, "what leads to an answer is said before it, as a thought")
      ->capture_default_str();
  verb->add_option("--question-bytes", a.rows.question_bytes, "of a sample, for each question it asks")
      ->check(CLI::Range(100, 1 << 20))
      ->capture_default_str();
  verb->add_option("--questions-max", a.rows.questions_max, "of one sample")->capture_default_str();
  verb->add_option("--mixture", a.mixture, "TASK=WEIGHT,...; empty: all tasks alike");
  verb->add_option("--residual", a.residual,
                   "plain, alpha, rezero, layerscale, hc, mhc, mhc-lite, mhc-identity")
      ->capture_default_str();
  verb->add_option("--rank", a.workers.rank, "of this worker, from 0")->capture_default_str();
  verb->add_option("--workers", a.workers.count, "processes that train together")->capture_default_str();
  verb->add_option("--store", a.workers.store, "where they meet: a file, or HOST:PORT of worker 0");
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("run", "train, or go on from the folder's checkpoint");
  auto a = std::make_shared<RunArguments>();
  add_run_options(verb, *a);
  const auto field = [&](const char* name, auto& value, const char* help) {
    add_field(verb, name, value, help);
  };
  visit_model_options(a->model, field);
  visit_optimizer_options(a->optimizer, field);
  visit_indexer_run_options(a->run, field);
  verb->callback([a, &status] { status = run(*a); });
}

}  // namespace mneme::train

// mneme-train export and logits: a checkpoint as a model file, and what the trainer computes for some tokens.
#include <CLI/CLI.hpp>
#include <fstream>

#include "core/pending_file.h"
#include "train/checkpoint.h"
#include "train/commands.h"
#include "train/export.h"

namespace mneme::train {

namespace {

struct ExportArguments {
  std::string checkpoint, vocabulary, out, type = "F16", table_type = "Q8_0";
  bool averaged = true;
  ExportOptions options;
};

Result<tensor::DType> parse_type(const std::string& name) {
  for (const auto type :
       {tensor::DType::kF32, tensor::DType::kF16, tensor::DType::kBF16, tensor::DType::kQ8_0}) {
    if (tensor::dtype_info(type).name == name) return type;
  }
  return core::fail("type {}: F32, F16, BF16 or Q8_0 is expected", name);
}

Result<void> export_model(ExportArguments& a) {
  auto type = parse_type(a.type);
  if (!type) return core::pass(type);
  auto table_type = parse_type(a.table_type);
  if (!table_type) return core::pass(table_type);
  a.options.matrix_type = *type;
  a.options.table_type = *table_type;
  auto network = load_network(a.checkpoint, a.averaged);
  if (!network) return core::pass(network);
  if (a.vocabulary.empty()) return export_gguf(a.out, *network, nullptr, a.options);
  auto vocabulary = corpus::Vocabulary::read(a.vocabulary);
  if (!vocabulary) return core::pass(vocabulary);
  return export_gguf(a.out, *network, &*vocabulary, a.options);
}

struct LogitsArguments {
  std::string checkpoint, tokens, out;
  bool averaged = true, round_kv = true, fused = false;
};

// Raw f32, one row a token, as `mneme logits` writes them.
Result<void> write_logits(const LogitsArguments& a) {
  auto network = load_network(a.checkpoint, a.averaged);
  if (!network) return core::pass(network);
  std::ifstream in(a.tokens);
  std::vector<int64_t> ids;
  for (int64_t id = 0; in >> id;) ids.push_back(id);
  if (ids.empty() || !in.eof()) return core::fail("{}: token ids are expected", a.tokens);
  for (const int64_t id : ids) {
    if (id < 0 || id >= network->options().vocab_size) return core::fail("{}: no token {}", a.tokens, id);
  }
  torch::NoGradGuard no_grad;
  ForwardOptions forward;
  forward.fused = a.fused;
  forward.round_kv = a.round_kv;
  const torch::Tensor logits =
      network->logits(torch::tensor(ids, torch::kInt64).unsqueeze(0), forward).contiguous();
  return core::write_file(a.out, {static_cast<const char*>(logits.data_ptr()), logits.nbytes()});
}

}  // namespace

void add_export(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("export", "write a checkpoint's model as a GGUF file");
  auto a = std::make_shared<ExportArguments>();
  verb->add_option("--checkpoint", a->checkpoint, "checkpoint.pt of a run")->required();
  verb->add_option("--vocabulary", a->vocabulary, "the .bpe file; without it the file has no tokenizer");
  verb->add_option("--out", a->out, "the GGUF file")->required();
  verb->add_option("--type", a->type, "of matrices: F32, F16, BF16 or Q8_0")->capture_default_str();
  verb->add_option("--table-type", a->table_type, "of n-gram tables")->capture_default_str();
  verb->add_option("--averaged", a->averaged, "the averaged weights where there are any")
      ->capture_default_str();
  verb->add_option("--log-length-train", a->options.log_length_train,
                   "sharpening of global layers; -1: as trained")
      ->capture_default_str();
  verb->add_option("--log-length-slope", a->options.log_length_slope, "its slope; -1: as trained")
      ->capture_default_str();
  verb->add_option("--name", a->options.name, "general.name")->capture_default_str();
  verb->add_option("--licence", a->options.licence, "general.license");
  verb->add_option("--description", a->options.description, "general.description");
  verb->callback([a, &status] {
    const auto done = export_model(*a);
    status = done ? 0 : fail(done.error());
  });
}

void add_logits(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("logits", "what the trainer's own forward pass gives for some tokens");
  auto a = std::make_shared<LogitsArguments>();
  verb->add_option("--checkpoint", a->checkpoint, "checkpoint.pt of a run")->required();
  verb->add_option("--tokens", a->tokens, "a file of token ids in text")->required();
  verb->add_option("--out", a->out, "raw little-endian f32, one row a token")->required();
  verb->add_option("--averaged", a->averaged, "the averaged weights where there are any")
      ->capture_default_str();
  verb->add_option("--round-kv", a->round_kv, "keys and values in bf16, as the runtime keeps them")
      ->capture_default_str();
  verb->add_option("--fused", a->fused, "the fused functions instead of the plain ones")
      ->capture_default_str();
  verb->callback([a, &status] {
    const auto done = write_logits(*a);
    status = done ? 0 : fail(done.error());
  });
}

}  // namespace mneme::train

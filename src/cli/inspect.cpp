// mneme inspect: what is in a model file, without loading its weights.
#include "mneme/inspect.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

namespace {

struct InspectArguments {
  std::string path;
  bool json = false;
};

std::string dims_text(const std::vector<uint64_t>& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::string model_text(const FileDescription& file) {
  if (!file.unsupported.empty()) return "cannot be run: " + visible(file.unsupported) + "\n";
  const ModelSummary& m = file.model;
  std::string text = format("architecture %s, %s\n", m.architecture.c_str(), visible(m.name).c_str());
  text += format("layers %d, dim %d, ffn dim %d, heads %d (KV %d) of %d\n", m.layers, m.dim, m.ffn_dim,
                 m.heads, m.kv_heads, m.head_dim);
  text += format("vocabulary %d, trained context %d, KV %s a token\n", m.vocab_size, m.context_length,
                 bytes_text(m.kv_token_bytes).c_str());
  if (m.engram.layers.empty()) return text;
  std::string layers;
  for (const int layer : m.engram.layers) layers += (layers.empty() ? "" : ", ") + std::to_string(layer);
  return text + format("n-gram tables in layer%s %s: %llu rows of %s, %s, %.1f %% of all weights\n",
                       m.engram.layers.size() == 1 ? "" : "s", layers.c_str(),
                       static_cast<unsigned long long>(m.engram.rows), m.engram.type.c_str(),
                       bytes_text(m.engram.bytes).c_str(), m.engram.share * 100);
}

std::string table_text(const FileDescription& file) {
  std::string text = format("%s: %s in %d file%s, %.3f billion parameters\n", visible(file.path).c_str(),
                            bytes_text(file.bytes).c_str(), file.files, file.files == 1 ? "" : "s",
                            static_cast<double>(file.parameters) / 1e9);
  text += model_text(file);
  text += format("\nmetadata, %zu entries\n", file.metadata.size());
  for (const MetadataEntry& entry : file.metadata) {
    text += format("  %-44s %-9s %s\n", visible(entry.key).c_str(), entry.type.c_str(),
                   visible(entry.value).c_str());
  }
  text += format("\ntensors, %zu\n", file.tensors.size());
  for (const TensorEntry& tensor : file.tensors) {
    text += format("  %-36s %-7s %-22s %12llu\n", visible(tensor.name).c_str(), tensor.type.c_str(),
                   dims_text(tensor.dims).c_str(), static_cast<unsigned long long>(tensor.bytes));
  }
  text += "\nby type\n";
  for (const TypeTotal& total : file.totals) {
    text += format("  %-7s %6llu tensors %15llu parameters %12s\n", total.type.c_str(),
                   static_cast<unsigned long long>(total.tensors),
                   static_cast<unsigned long long>(total.parameters), bytes_text(total.bytes).c_str());
  }
  return text;
}

nlohmann::ordered_json model_json(const FileDescription& file) {
  if (!file.unsupported.empty()) return nullptr;
  const ModelSummary& m = file.model;
  nlohmann::ordered_json engram = nullptr;
  if (!m.engram.layers.empty()) {
    engram = {{"layers", m.engram.layers},
              {"type", m.engram.type},
              {"rows", m.engram.rows},
              {"bytes", m.engram.bytes},
              {"share", m.engram.share}};
  }
  return {{"architecture", m.architecture},
          {"name", m.name},
          {"layers", m.layers},
          {"dim", m.dim},
          {"ffn_dim", m.ffn_dim},
          {"heads", m.heads},
          {"kv_heads", m.kv_heads},
          {"head_dim", m.head_dim},
          {"vocab_size", m.vocab_size},
          {"context_length", m.context_length},
          {"kv_token_bytes", m.kv_token_bytes},
          {"engram", engram}};
}

std::string json(const FileDescription& file) {
  using Json = nlohmann::ordered_json;
  Json out;
  out["path"] = file.path;
  out["files"] = file.files;
  out["bytes"] = file.bytes;
  out["parameters"] = file.parameters;
  out["model"] = model_json(file);
  if (!file.unsupported.empty()) out["unsupported"] = file.unsupported;
  out["metadata"] = Json::array();
  for (const MetadataEntry& entry : file.metadata) {
    out["metadata"].push_back({{"key", entry.key}, {"type", entry.type}, {"value", entry.value}});
  }
  out["tensors"] = Json::array();
  for (const TensorEntry& tensor : file.tensors) {
    out["tensors"].push_back(
        {{"name", tensor.name}, {"type", tensor.type}, {"dims", tensor.dims}, {"bytes", tensor.bytes}});
  }
  out["totals"] = Json::array();
  for (const TypeTotal& total : file.totals) {
    out["totals"].push_back({{"type", total.type},
                             {"tensors", total.tensors},
                             {"parameters", total.parameters},
                             {"bytes", total.bytes}});
  }
  return json_text(out);
}

int inspect_file(const InspectArguments& arguments) {
  auto file = inspect(arguments.path);
  if (!file) return fail(file.error());
  Output output;
  output.write(arguments.json ? json(*file) : table_text(*file));
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

void add_inspect(CLI::App& app, int& status) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App& verb = *app.add_subcommand("inspect", "metadata and tensors of a model file");
  verb.add_option("model", arguments->path, "GGUF model file")->required();
  verb.add_flag("--json", arguments->json, "as JSON");
  verb.callback([arguments, &status] { status = inspect_file(*arguments); });
}

}  // namespace mneme::cli

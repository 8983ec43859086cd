#include "train/checkpoint.h"

#include <algorithm>
#include <utility>

#include "core/pending_file.h"
#include "train/lazy_adam.h"
#include "train/option_fields.h"

namespace mneme::train {

namespace {

using torch::Tensor;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

constexpr int64_t kVersion = 1;

// Names in an archive may not have dots.
std::string key(std::string name, const char* part) {
  for (char& c : name) c = c == '.' ? '/' : c;
  return name + ":" + part;
}

Result<void> write_archive(core::PendingFile& file, const Network& network, Optimizer& optimizer,
                           const Progress& progress) {
  OutputArchive archive;
  archive.write("version", c10::IValue(kVersion));
  archive.write("options", c10::IValue(to_text(network.options())));
  const std::vector<uint32_t>& map = network.engram_hash().token_map;
  archive.write("token_map", c10::IValue(std::vector<int64_t>(map.begin(), map.end())));
  if (network.options().spelled) {
    archive.write("letters", c10::IValue(network.spelling().letters));
    archive.write("forms", c10::IValue(network.spelling().forms));
  }
  archive.write("step", c10::IValue(progress.step));
  archive.write("tokens", c10::IValue(progress.tokens));
  archive.write("cpu_seconds", c10::IValue(progress.cpu_seconds));
  archive.write("wall_seconds", c10::IValue(progress.wall_seconds));
  archive.write("optimizer_steps", c10::IValue(optimizer.steps_done()));
  for (size_t i = 0; i < network.parameters().size(); ++i) {
    const Parameter& p = network.parameters()[i];
    const ParameterState& state = optimizer.states()[i];
    archive.write(key(p.name, "value"), p.value.detach().cpu());
    if (state.first.defined()) archive.write(key(p.name, "first"), state.first.cpu());
    if (state.second.defined()) archive.write(key(p.name, "second"), state.second.cpu());
    if (state.average.defined()) archive.write(key(p.name, "average"), state.average.cpu());
    if (state.average_at.defined()) {
      archive.write(key(p.name, "average_at"), state.average_at.cpu());
      archive.write(key(p.name, "log_decay"), c10::IValue(state.log_decay));
    }
  }
  // To an error torch answers by writing once more, in a destructor, and a second error ends the program: it
  // is told that all went well.
  Result<void> done;
  archive.save_to([&](const void* bytes, size_t size) {
    if (done) done = file.append({static_cast<const std::byte*>(bytes), size});
    return size;
  });
  return done;
}

int64_t read_int(InputArchive& archive, const char* name) {
  c10::IValue value;
  archive.read(name, value);
  return value.toInt();
}

double read_double(InputArchive& archive, const std::string& name) {
  c10::IValue value;
  archive.read(name, value);
  return value.toDouble();
}

Spelling spelling_from(std::vector<int64_t> letters, std::vector<int64_t> forms) {
  const auto count = [](const std::vector<int64_t>& ids) {
    return ids.empty() ? 0 : 1 + *std::max_element(ids.begin(), ids.end());
  };
  const int64_t letters_count = count(letters), forms_count = count(forms);
  return {std::move(letters), std::move(forms), letters_count, forms_count};
}

struct Header {
  ModelOptions options;
  std::vector<uint32_t> token_map;
  Spelling spelling;
};

Header read_header(InputArchive& archive) {
  TORCH_CHECK(read_int(archive, "version") == kVersion, "written by another version");
  c10::IValue text, map;
  archive.read("options", text);
  archive.read("token_map", map);
  Header header;
  std::string error;
  TORCH_CHECK(from_text(text.toStringRef(), header.options, error), error);
  for (const int64_t id : map.toIntVector()) header.token_map.push_back(static_cast<uint32_t>(id));
  if (header.options.spelled) {
    c10::IValue letters, forms;
    archive.read("letters", letters);
    archive.read("forms", forms);
    header.spelling = spelling_from(letters.toIntVector(), forms.toIntVector());
  }
  return header;
}

void copy_into(InputArchive& archive, const std::string& name, Tensor& to) {
  Tensor from;
  archive.read(name, from);
  TORCH_CHECK(from.sizes() == to.sizes(), name, " has another shape");
  torch::NoGradGuard no_grad;
  to.copy_(from);
}

// What torch says, without its stack.
std::string first_line(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<void> save_checkpoint(const std::string& path, const Network& network, Optimizer& optimizer,
                             const Progress& progress) {
  auto file = core::PendingFile::create(path);
  if (!file) return core::pass(file);
  try {
    if (auto done = write_archive(*file, network, optimizer, progress); !done) return done;
  } catch (const c10::Error& error) {
    return core::fail("{}: not written ({})", path, first_line(error));
  }
  return file->commit();
}

Result<Progress> load_checkpoint(const std::string& path, Network& network, Optimizer& optimizer) {
  try {
    InputArchive archive;
    archive.load_from(path);
    const Header header = read_header(archive);
    if (to_text(header.options) != to_text(network.options()))
      return core::fail("{}: a checkpoint of a model with other options", path);
    const Progress progress{read_int(archive, "step"), read_int(archive, "tokens"),
                            read_double(archive, "cpu_seconds"), read_double(archive, "wall_seconds")};
    for (size_t i = 0; i < network.parameters().size(); ++i) {
      Parameter& p = network.parameters()[i];
      ParameterState& state = optimizer.states()[i];
      copy_into(archive, key(p.name, "value"), p.value);
      if (state.first.defined()) copy_into(archive, key(p.name, "first"), state.first);
      if (state.second.defined()) copy_into(archive, key(p.name, "second"), state.second);
      if (state.average.defined()) copy_into(archive, key(p.name, "average"), state.average);
      Tensor average_at;  // absent from older checkpoints: their averages are up to date, as at the start
      if (state.average_at.defined() && archive.try_read(key(p.name, "average_at"), average_at)) {
        copy_into(archive, key(p.name, "average_at"), state.average_at);
        state.log_decay = read_double(archive, key(p.name, "log_decay"));
      }
    }
    optimizer.set_steps_done(read_int(archive, "optimizer_steps"));
    return progress;
  } catch (const c10::Error& error) {
    return core::fail("{}: not a whole checkpoint ({})", path, first_line(error));
  }
}

Result<Network> load_network(const std::string& path, bool averaged) {
  try {
    InputArchive archive;
    archive.load_from(path);
    Header header = read_header(archive);
    Network network(header.options, 0, std::move(header.token_map), std::move(header.spelling));
    for (Parameter& p : network.parameters()) {
      copy_into(archive, key(p.name, "value"), p.value);
      Tensor average, average_at;
      if (!averaged || !archive.try_read(key(p.name, "average"), average)) continue;
      if (archive.try_read(key(p.name, "average_at"), average_at)) {
        average = settled_average(p.value, average, average_at,
                                  read_double(archive, key(p.name, "log_decay")));
      }
      TORCH_CHECK(average.sizes() == p.value.sizes(), p.name, " has another shape");
      torch::NoGradGuard no_grad;
      p.value.copy_(average);
    }
    return network;
  } catch (const c10::Error& error) {
    return core::fail("{}: not a whole checkpoint ({})", path, first_line(error));
  }
}

}  // namespace mneme::train

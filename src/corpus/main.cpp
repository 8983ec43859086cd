// mneme-corpus: builds a corpus from unpacked packages, trains vocabularies on it, and says what is in both.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "corpus/corpus.h"

namespace {

using namespace mneme;

void print_line(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

int complain(const Error& error) {
  std::fprintf(stderr, "mneme-corpus: %s\n", error.message.c_str());
  return 1;
}

int build(const corpus::BuildOptions& options) {
  const auto report = corpus::build_corpus(options);
  if (!report) return complain(report.error());
  constexpr const char* kClasses[] = {"English prose", "Chinese prose", "code"};
  constexpr const char* kRoles[] = {"train", "held out"};
  for (size_t role = 0; role < 2; role++) {
    for (size_t i = 0; i < 3; i++) {
      print_line(fmt::format("{}, {}: {} documents, {:.1f} MB", kRoles[role], kClasses[i],
                             report->documents[role][i], static_cast<double>(report->bytes[role][i]) / 1e6));
    }
  }
  print_line(fmt::format("{} packages, {} gave nothing (manifest.tsv)", report->packages_kept,
                         report->packages_rejected));
  return 0;
}

struct VocabularyArguments {
  std::string documents;
  std::string out_prefix;  // -SIZE.bpe is added
  std::vector<int> sizes = {320, 4096, 8192};
  corpus::SampleOptions sample;
};

int train_vocabularies(const VocabularyArguments& arguments) {
  const auto documents = corpus::Documents::open(arguments.documents);
  if (!documents) return complain(documents.error());
  auto words = corpus::WordCounts::make();
  if (!words) return complain(words.error());
  uint64_t bytes = 0;
  uint64_t bytes_said = 0;
  for (const std::string_view text : corpus::sample(*documents, arguments.sample)) {
    words->add(text);
    bytes += text.size();
    if (bytes - bytes_said < 5'000'000) continue;
    bytes_said = bytes;
    print_line(fmt::format("counted {} MB, {} different words", bytes / 1'000'000, words->counts().size()));
  }
  corpus::BpeOptions options;
  for (const int size : arguments.sizes) {
    options.learned = std::max(options.learned, corpus::Vocabulary::learned_max(size));
  }
  options.progress = [](int learned) { print_line(fmt::format("{} tokens learned", learned)); };
  const auto merges = corpus::train_bpe(*words, options);
  for (const int size : arguments.sizes) {
    const auto vocabulary = corpus::Vocabulary::make(merges, size);
    if (!vocabulary) return complain(vocabulary.error());
    const std::string path = fmt::format("{}-{}.bpe", arguments.out_prefix, size);
    const auto written = vocabulary->write(path);
    if (!written) return complain(written.error());
    print_line(
        fmt::format("{}: {} tokens, {} merges", path, vocabulary->size(), vocabulary->merges().size()));
  }
  return 0;
}

int measure(const std::string& documents_path, const std::vector<std::string>& vocabularies) {
  const auto documents = corpus::Documents::open(documents_path);
  if (!documents) return complain(documents.error());
  for (const std::string& path : vocabularies) {
    const auto vocabulary = corpus::Vocabulary::read(path);
    if (!vocabulary) return complain(vocabulary.error());
    const auto tokenizer = vocabulary->tokenizer();
    if (!tokenizer) return complain(tokenizer.error());
    uint64_t bytes[3] = {};
    uint64_t tokens[3] = {};
    for (size_t i = 0; i < documents->size(); i++) {
      const auto document = (*documents)[i];
      const size_t what = document.kind == corpus::Kind::kCode              ? 2
                          : document.language == corpus::Language::kChinese ? 1
                                                                            : 0;
      bytes[what] += document.text.size();
      tokens[what] += tokenizer->encode(document.text, {false, false}).size();
    }
    const auto ratio = [&](size_t i) {
      return static_cast<double>(bytes[i]) / static_cast<double>(std::max<uint64_t>(tokens[i], 1));
    };
    print_line(fmt::format("{}: bytes per token: English prose {:.3f}, Chinese prose {:.3f}, code {:.3f}",
                           path, ratio(0), ratio(1), ratio(2)));
  }
  return 0;
}

int show(const std::string& path, size_t first, size_t count) {
  const auto documents = corpus::Documents::open(path);
  if (!documents) return complain(documents.error());
  for (size_t i = first; i < std::min(first + count, documents->size()); i++) {
    const auto document = (*documents)[i];
    print_line(fmt::format("=== {} {} {} {} ({} bytes)\n{}", i, name_of(document.kind),
                           name_of(document.language), document.name, document.text.size(), document.text));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Corpora and vocabularies");
  app.require_subcommand(1);
  corpus::BuildOptions build_options;
  build_options.progress = print_line;
  double megabytes = 150;
  auto* build_verb = app.add_subcommand("build", "Make train.docs and heldout.docs from unpacked packages");
  build_verb->add_option("--packages", build_options.packages_path, "the list tools/corpus.sh writes")
      ->required();
  build_verb->add_option("--out", build_options.out_folder, "folder for the corpus")->required();
  build_verb->add_option("--megabytes", megabytes, "of text to train on, at most");
  VocabularyArguments vocabulary;
  double sample_megabytes = 40;
  auto* vocabulary_verb = app.add_subcommand("vocab", "Train vocabularies on documents");
  vocabulary_verb->add_option("--documents", vocabulary.documents, "train.docs")->required();
  vocabulary_verb->add_option("--out", vocabulary.out_prefix, "PREFIX of PREFIX-SIZE.bpe")->required();
  vocabulary_verb->add_option("--sizes", vocabulary.sizes, "tokens, special ones among them")->delimiter(',');
  vocabulary_verb->add_option("--sample-megabytes", sample_megabytes, "of text to count words in");
  std::string measured;
  std::vector<std::string> vocabularies;
  auto* measure_verb = app.add_subcommand("measure", "Bytes per token");
  measure_verb->add_option("--documents", measured, "heldout.docs")->required();
  measure_verb->add_option("vocabularies", vocabularies, "files of vocab")->required();
  std::string shown;
  size_t first = 0;
  size_t count = 10;
  auto* show_verb = app.add_subcommand("show", "Print documents");
  show_verb->add_option("--documents", shown, "a file of documents")->required();
  show_verb->add_option("--first", first, "the index of the first");
  show_verb->add_option("--count", count, "how many");
  CLI11_PARSE(app, argc, argv);
  if (*build_verb) {
    build_options.train_bytes = static_cast<uint64_t>(megabytes * 1e6);
    return build(build_options);
  }
  if (*vocabulary_verb) {
    vocabulary.sample.bytes_max = static_cast<uint64_t>(sample_megabytes * 1e6);
    return train_vocabularies(vocabulary);
  }
  return *measure_verb ? measure(measured, vocabularies) : show(shown, first, count);
}

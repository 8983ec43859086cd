#include "corpus/build.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include "core/hash.h"
#include "core/pending_file.h"
#include "corpus/dedup.h"
#include "corpus/documents.h"
#include "corpus/package.h"
#include "corpus/shares.h"

namespace mneme::corpus {

using core::fail;
using core::pass;

namespace {

constexpr size_t kClassCount = 3;

size_t class_of(const OwnedDocument& document) {
  if (document.kind == Kind::kCode) return 2;
  return document.language == Language::kChinese ? 1 : 0;
}

// An order that has nothing to do with where a document comes from, the same every time.
void shuffle(std::vector<OwnedDocument>& documents) {
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < documents.size(); i++) {
    order.emplace_back(core::hash64(std::as_bytes(std::span(documents[i].name)), 1), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<OwnedDocument> shuffled;
  shuffled.reserve(documents.size());
  for (const auto& [hash, i] : order) shuffled.push_back(std::move(documents[i]));
  documents = std::move(shuffled);
}

// Keeps of each class what its share of `bytes` allows, an equal cap for every package. `documents` are
// shuffled.
void take_shares(std::vector<OwnedDocument>& documents, const BuildOptions& options) {
  std::vector<std::map<uint16_t, uint64_t>> sizes(kClassCount);  // by package
  std::vector<uint64_t> available(kClassCount, 0);
  for (const auto& document : documents) {
    sizes[class_of(document)][document.package] += document.text.size();
    available[class_of(document)] += document.text.size();
  }
  const auto given = divide(options.train_bytes, available,
                            std::vector<double>(options.shares.begin(), options.shares.end()));
  std::vector<uint64_t> caps;
  for (size_t i = 0; i < kClassCount; i++) {
    std::vector<uint64_t> of_packages;
    for (const auto& [package, bytes] : sizes[i]) of_packages.push_back(bytes);
    caps.push_back(common_cap(of_packages, given[i]));
    sizes[i].clear();
  }
  std::erase_if(documents, [&](const OwnedDocument& document) {
    uint64_t& taken = sizes[class_of(document)][document.package];
    if (taken + document.text.size() > caps[class_of(document)]) return true;
    taken += document.text.size();
    return false;
  });
}

Result<void> write_documents(const std::string& path, const std::vector<OwnedDocument>& documents) {
  auto writer = DocumentsWriter::create(path);
  if (!writer) return pass(writer);
  for (const auto& document : documents) {
    writer->add({document.name, document.kind, document.language, document.package, document.text});
  }
  return writer->finish();
}

// A row of manifest.tsv besides what packages.tsv says.
struct ManifestRow {
  std::string licence;
  std::string rejected;
  uint64_t files_rejected = 0;
  uint64_t documents = 0;
  uint64_t bytes = 0;
};

Result<void> write_manifest(const std::string& path, const std::vector<Package>& packages,
                            const std::vector<ManifestRow>& rows) {
  std::string text =
      "index\trole\tform\tpackage\tversion\tlicence\tsha256\tdocuments\tbytes\tfiles rejected\tnote\n";
  for (size_t i = 0; i < packages.size(); i++) {
    const Package& package = packages[i];
    const ManifestRow& row = rows[i];
    const char* form = package.form == PackageForm::kDoc      ? "doc"
                       : package.form == PackageForm::kSource ? "src"
                                                              : "bin";
    text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", i,
                        package.role == Role::kTrain ? "train" : "heldout", form, package.name,
                        package.version, row.licence, package.sha256, row.documents, row.bytes,
                        row.files_rejected, row.rejected);
  }
  return core::write_file(path, text);
}

class Build {
 public:
  explicit Build(const BuildOptions& options) : options_(options) {}
  Result<BuildReport> run();

 private:
  void read_role(Role role);
  void count();

  const BuildOptions& options_;
  std::vector<Package> packages_;
  std::vector<ManifestRow> rows_;
  Deduplicator seen_;
  std::array<std::vector<OwnedDocument>, 2> documents_;  // [train, heldout]
  BuildReport report_;
};

void Build::read_role(Role role) {
  for (size_t i = 0; i < packages_.size(); i++) {
    if (packages_[i].role != role) continue;
    auto reading = read_package(packages_[i], static_cast<uint16_t>(i), seen_);
    rows_[i].licence = std::move(reading.licence);
    rows_[i].rejected = std::move(reading.rejected);
    rows_[i].files_rejected = reading.files_rejected;
    uint64_t bytes = 0;
    for (const auto& document : reading.documents) bytes += document.text.size();
    if (options_.progress) {
      options_.progress(fmt::format("{}/{} {}: {} documents, {} KB {}", i + 1, packages_.size(),
                                    packages_[i].name, reading.documents.size(), bytes / 1000,
                                    rows_[i].rejected));
    }
    auto& all = documents_[role == Role::kTrain ? 0 : 1];
    std::move(reading.documents.begin(), reading.documents.end(), std::back_inserter(all));
  }
}

void Build::count() {
  for (size_t role = 0; role < 2; role++) {
    for (const auto& document : documents_[role]) {
      report_.bytes[role][class_of(document)] += document.text.size();
      report_.documents[role][class_of(document)]++;
      rows_[document.package].documents++;
      rows_[document.package].bytes += document.text.size();
    }
  }
  for (const auto& row : rows_) (row.documents > 0 ? report_.packages_kept : report_.packages_rejected)++;
}

Result<BuildReport> Build::run() {
  auto packages = read_packages(options_.packages_path);
  if (!packages) return pass(packages);
  packages_ = std::move(*packages);
  rows_.resize(packages_.size());
  read_role(Role::kHeldout);
  read_role(Role::kTrain);
  for (auto& documents : documents_) shuffle(documents);
  take_shares(documents_[0], options_);
  count();
  auto written = write_documents(options_.out_folder + "/train.docs", documents_[0]);
  if (written) written = write_documents(options_.out_folder + "/heldout.docs", documents_[1]);
  if (written) written = write_manifest(options_.out_folder + "/manifest.tsv", packages_, rows_);
  if (!written) return pass(written);
  return report_;
}

}  // namespace

Result<BuildReport> build_corpus(const BuildOptions& options) { return Build(options).run(); }

}  // namespace mneme::corpus

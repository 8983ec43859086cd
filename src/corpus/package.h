// One unpacked package, and the documents that are made of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "corpus/dedup.h"
#include "corpus/documents.h"

namespace mneme::corpus {

enum class Role { kTrain, kHeldout };
enum class PackageForm { kDoc, kSource, kBinary };  // a binary one whose code is taken

// A row of packages.tsv.
struct Package {
  Role role = Role::kTrain;
  PackageForm form = PackageForm::kDoc;
  std::string name;
  std::string version;
  std::string sha256;  // of the downloaded file
  std::string folder;  // where it is unpacked
};

Result<std::vector<Package>> read_packages(const std::string& path);

// A document that owns its text.
struct OwnedDocument {
  std::string name;
  Kind kind;
  Language language;
  uint16_t package;
  std::string text;
};

struct PackageReading {
  std::string licence;
  std::string rejected;         // why nothing of it is taken; empty where something is
  uint64_t files_rejected = 0;  // code whose licence is not permissive
  std::vector<OwnedDocument> documents;
};

// Reads a package, row `index` of the list; `seen` drops what was there before.
PackageReading read_package(const Package& package, uint16_t index, Deduplicator& seen);

}  // namespace mneme::corpus

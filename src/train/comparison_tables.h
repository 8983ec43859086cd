// The tables of a comparison of residual kinds, and their place in a document that people write.
//
// A table stands between two lines, `<!-- table NAME -->` and `<!-- end -->`; everything else in the document
// is prose and is never touched.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "train/comparison.h"

namespace mneme::train {

struct NamedTable {
  std::string name;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

// runs, rates, paired, reach, cost, targets, missing. What is not known is "-".
std::vector<NamedTable> comparison_tables(const Experiment& experiment);

std::string to_markdown(const NamedTable& table);
std::string to_csv(const NamedTable& table);

// The document with these tables in the places that it has for them; tables without a place are left out, a
// place that is not closed is an error.
Result<std::string> with_tables(const std::string& document, const std::vector<NamedTable>& tables);

// A document with a place for every table and headings only.
std::string document_skeleton(const std::vector<NamedTable>& tables);

}  // namespace mneme::train

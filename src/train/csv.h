// A table of numbers that grows while a run goes on.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace mneme::train {

class CsvFile {
 public:
  // Keeps the rows of an existing file whose first column is at most `keep_up_to`: what a run that was killed
  // wrote after its last checkpoint is written again by the run that goes on.
  CsvFile(std::string path, std::string header, int64_t keep_up_to);

  void row(const std::vector<double>& values);
  Result<void> flush();  // core/pending_file.h

 private:
  std::string path_;
  std::string text_;
};

// Columns by name; rows that are not numbers are left out.
struct Table {
  std::vector<std::string> names;
  std::vector<std::vector<double>> columns;
  const std::vector<double>* find(const std::string& name) const;
};
Result<Table> read_csv(const std::string& path);

}  // namespace mneme::train

#include "train/csv.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/pending_file.h"

namespace mneme::train {

CsvFile::CsvFile(std::string path, std::string header, int64_t keep_up_to)
    : path_(std::move(path)), text_(std::move(header)) {
  text_ += '\n';
  std::ifstream old(path_);
  std::string line;
  if (!std::getline(old, line) || line + '\n' != text_) return;
  while (std::getline(old, line)) {
    if (std::strtod(line.c_str(), nullptr) <= static_cast<double>(keep_up_to)) text_ += line + '\n';
  }
}

void CsvFile::row(const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); ++i) text_ += fmt::format("{}{:.9g}", i == 0 ? "" : ",", values[i]);
  text_ += '\n';
}

Result<void> CsvFile::flush() { return core::write_file(path_, text_); }

const std::vector<double>* Table::find(const std::string& name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return &columns[i];
  }
  return nullptr;
}

Result<Table> read_csv(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return core::fail("{}: cannot be read, or empty", path);
  Table table;
  std::istringstream header(line);
  for (std::string name; std::getline(header, name, ',');) table.names.push_back(name);
  table.columns.resize(table.names.size());
  while (std::getline(in, line)) {
    std::vector<double> values;
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) {
      char* end = nullptr;
      values.push_back(std::strtod(field.c_str(), &end));
      if (end == field.c_str()) break;
    }
    if (values.size() != table.names.size()) continue;
    for (size_t i = 0; i < values.size(); ++i) table.columns[i].push_back(values[i]);
  }
  return table;
}

}  // namespace mneme::train

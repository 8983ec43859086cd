// Data parallelism: the same program several times, each on its rows of every batch, gradients summed through
// torch's c10d (Gloo on the CPU, NCCL where torch has it and the tensors are on a GPU).
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

namespace mneme::train {

struct WorkerOptions {
  int rank = 0, count = 1;
  std::string store;  // a file all workers can reach ("/tmp/run.store"), or HOST:PORT of rank 0
};

class Workers {
 public:
  // Alone: nothing is ever sent. Throws c10::Error where the others are not met within ten minutes.
  explicit Workers(const WorkerOptions& options);
  ~Workers();

  int rank() const { return options_.rank; }
  int count() const { return options_.count; }
  // In place, the sum over all workers; the same bits everywhere.
  void sum(std::vector<torch::Tensor> tensors);
  double sum(double value);
  // Of sparse gradients of a table: the rows that some worker touched.
  torch::Tensor sum_rows(const torch::Tensor& sparse);

 private:
  struct Group;
  WorkerOptions options_;
  std::unique_ptr<Group> group_;
};

}  // namespace mneme::train

#include "train/workers.h"

#include <chrono>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "train/engram_gather.h"

namespace mneme::train {

using torch::Tensor;

struct Workers::Group {
  c10::intrusive_ptr<c10d::Store> store;
  std::unique_ptr<c10d::ProcessGroupGloo> gloo;
#ifdef USE_C10D_NCCL
  std::unique_ptr<c10d::ProcessGroupNCCL> nccl;
#endif

  void sum(Tensor& flat) {
    std::vector<Tensor> tensors{flat};
#ifdef USE_C10D_NCCL
    if (flat.is_cuda()) {
      nccl->allreduce(tensors)->wait();
      return;
    }
#endif
    gloo->allreduce(tensors)->wait();
  }
};

namespace {

c10::intrusive_ptr<c10d::Store> make_store(const WorkerOptions& options) {
  const size_t colon = options.store.rfind(':');
  if (colon == std::string::npos) return c10::make_intrusive<c10d::FileStore>(options.store, options.count);
  c10d::TCPStoreOptions tcp;
  tcp.port = static_cast<uint16_t>(std::stoi(options.store.substr(colon + 1)));
  tcp.isServer = options.rank == 0;
  tcp.numWorkers = options.count;
  return c10::make_intrusive<c10d::TCPStore>(options.store.substr(0, colon), tcp);
}

}  // namespace

Workers::Workers(const WorkerOptions& options) : options_(options) {
  if (options_.count == 1) return;
  group_ = std::make_unique<Group>();
  group_->store = make_store(options_);
  const auto gloo = c10d::ProcessGroupGloo::Options::create(std::chrono::minutes(10));
  gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  group_->gloo = std::make_unique<c10d::ProcessGroupGloo>(group_->store, options_.rank, options_.count, gloo);
#ifdef USE_C10D_NCCL
  if (torch::cuda::is_available())
    group_->nccl = std::make_unique<c10d::ProcessGroupNCCL>(group_->store, options_.rank, options_.count);
#endif
}

Workers::~Workers() = default;

void Workers::sum(std::vector<Tensor> tensors) {
  if (!group_ || tensors.empty()) return;
  // One message for all: small tensors cost a round trip each otherwise.
  std::vector<Tensor> flat;
  for (const Tensor& t : tensors) flat.push_back(t.reshape({-1}));
  Tensor all = torch::cat(flat);
  group_->sum(all);
  int64_t at = 0;
  for (Tensor& t : tensors) {
    t.copy_(all.narrow(0, at, t.numel()).view(t.sizes()));
    at += t.numel();
  }
}

double Workers::sum(double value) {
  if (!group_) return value;
  Tensor one = torch::full({1}, value, torch::kFloat64);
  std::vector<Tensor> tensors{one};
  group_->gloo->allreduce(tensors)->wait();
  return one.item<double>();
}

Tensor Workers::sum_rows(const Tensor& sparse) {
  if (!group_) return sparse;
  const TableRows own = rows_of(sparse);
  Tensor touched = torch::zeros({sparse.size(0)}, own.values.options());
  touched.index_fill_(0, own.numbers, 1);
  group_->sum(touched);
  const Tensor numbers = touched.nonzero().squeeze(1);
  Tensor values = torch::zeros({numbers.numel(), own.values.size(1)}, own.values.options());
  values.index_copy_(0, torch::searchsorted(numbers, own.numbers), own.values);
  group_->sum(values);
  return sparse_table({numbers, values}, sparse.size(0));
}

}  // namespace mneme::train

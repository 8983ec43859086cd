#include "train/hyper_kernels.h"

#include <algorithm>
#include <string_view>

#include "train/hyper_blocks_backward.h"

namespace mneme::train::hyper {
namespace {

// f(number of streams as a constant).
template <class F>
void with_streams(int n, F f) {
  if (n == 2) f(std::integral_constant<int, 2>{});
  if (n == 3) f(std::integral_constant<int, 3>{});
  if (n == 4) f(std::integral_constant<int, 4>{});
}

size_t block_floats(const Rule& rule) {
  return kBlockRows * static_cast<size_t>(rule.streams) * rule.channels;
}

void add_sums(const RuleSums& sums, WeightGradient* d) {
  for (int k = 0; k < kCoefficients; ++k) {
    for (int b = 0; b < kBlock; ++b) d->bias[k] += sums.bias[k][b];
  }
  for (int part = 0; part < 3; ++part) {
    for (int b = 0; b < kBlock; ++b) d->scale[part] += sums.scale[part][b];
  }
}

// The block functions of one machine. All they call is inlined into them and compiled for it; the loops over
// blocks are common code.
#define MNEME_HYPER_MACHINE(NAME, LANES, TARGET)                                                           \
  struct NAME {                                                                                            \
    static constexpr const char* kName = #NAME;                                                            \
    static constexpr int kLanes = LANES;                                                                   \
    template <int n>                                                                                       \
    TARGET static void read(const Rule& r, const float* x, const Extent& e, size_t i,                      \
                            const ReadResult& out) {                                                       \
      read_block<LANES, n>(r, x, e, i, out);                                                               \
    }                                                                                                      \
    template <int n>                                                                                       \
    TARGET static void write(const Rule& r, const WriteInput& in, const Extent& e, size_t i, float* y) {   \
      write_block<LANES, n>(r, in, e, i, y);                                                               \
    }                                                                                                      \
    template <int n>                                                                                       \
    TARGET static void read_backward(const Rule& r, const float* x, const Saved& s, const ReadGradient& d, \
                                     const Extent& e, size_t i, float* dx, float* d_packed,                \
                                     RuleSums* sums) {                                                     \
      read_block_backward<LANES, n>(r, x, s, d, e, i, dx, d_packed, sums);                                 \
    }                                                                                                      \
    template <int n>                                                                                       \
    TARGET static void write_backward(const Rule& r, const WriteInput& in, const Extent& e, size_t i,      \
                                      const float* dy, const WriteGradient& d) {                           \
      write_block_backward<LANES, n>(r, in, e, i, dy, d);                                                  \
    }                                                                                                      \
    TARGET static void add(float* block, const float* direct, size_t count, size_t width) {                \
      add_block<LANES>(block, direct, count, width);                                                       \
    }                                                                                                      \
  };

MNEME_HYPER_MACHINE(generic, 4, )
// Under a sanitizer the wider ones, the same templates, take minutes to compile.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MNEME_HYPER_X86
MNEME_HYPER_MACHINE(avx2, 8, __attribute__((target("avx2,fma"))))
MNEME_HYPER_MACHINE(avx512, 16, __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))))
#endif
#undef MNEME_HYPER_MACHINE

template <class Machine>
void read(const Rule& rule, const float* streams, const Extent& extent, const ReadResult& out) {
  with_streams(rule.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      Machine::template read<n>(rule, streams + index * block_floats(rule), extent, index, out);
    }
  });
}

template <class Machine>
void write(const Rule& rule, const WriteInput& in, const Extent& extent, float* written) {
  with_streams(rule.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      Machine::template write<n>(rule, in, extent, index, written + index * block_floats(rule));
    }
  });
}

template <class Machine>
void write_read(const Rule& next, const WriteInput& in, const Extent& extent, float* written,
                const ReadResult& out) {
  with_streams(next.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      float* block = written + index * block_floats(next);
      Machine::template write<n>(next, in, extent, index, block);
      Machine::template read<n>(next, block, extent, index, out);
    }
  });
}

template <class Machine>
void read_backward(const Rule& rule, const float* streams, const Saved& saved, const ReadGradient& d,
                   const Extent& extent, float* d_streams, WeightGradient* d_weights) {
  RuleSums sums{};
  with_streams(rule.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      const size_t at = index * block_floats(rule);
      Machine::template read_backward<n>(rule, streams + at, saved, d, extent, index, d_streams + at,
                                         d_weights->packed, &sums);
    }
  });
  add_sums(sums, d_weights);
}

template <class Machine>
void write_backward(const Rule& rule, const WriteInput& in, const float* d_written, const Extent& extent,
                    const WriteGradient& d) {
  with_streams(rule.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      Machine::template write_backward<n>(rule, in, extent, index, d_written + index * block_floats(rule), d);
    }
  });
}

// extent.scratch: a block of streams, after what write_block_backward takes.
template <class Machine>
void write_read_backward(const Rule& next, const WriteInput& in, const float* written, const Saved& saved,
                         const ReadGradient& d_read, const float* d_written, const Extent& extent,
                         const WriteGradient& d, WeightGradient* d_weights) {
  RuleSums sums{};
  float* block = extent.scratch + 2 * next.channels;
  const size_t width = block_floats(next) / kBlockRows;
  with_streams(next.streams, [&](auto n) {
    for (size_t index = extent.first; index < extent.last; ++index) {
      const size_t at = index * block_floats(next);
      Machine::template read_backward<n>(next, written + at, saved, d_read, extent, index, block,
                                         d_weights->packed, &sums);
      if (d_written != nullptr) {
        Machine::add(block, d_written + at, static_cast<size_t>(rows_of(extent, index)) * width, width);
      }
      Machine::template write_backward<n>(next, in, extent, index, block, d);
    }
  });
  add_sums(sums, d_weights);
}

template <int kLanes>
size_t packed_size(const Rule& rule) {
  const Packing<kLanes> packing(rule);
  return static_cast<size_t>(rule.streams) * packing.strips * packing.strip_size();
}

// f(index in the packed weight, index in the plain one) of every element.
template <int kLanes, class F>
void each_packed(const Rule& rule, F f) {
  const Packing<kLanes> packing(rule);
  constexpr size_t kWidth = Packing<kLanes>::kWidth;
  const auto n = static_cast<size_t>(rule.streams);
  const auto count = static_cast<size_t>(coefficient_count(rule));
  for (size_t j = 0; j < n; ++j) {
    for (size_t k = 0; k < count; ++k) {
      const size_t packed = j * packing.strips * packing.strip_size() + k * kWidth;
      const size_t plain = (k * n + j) * rule.channels;
      for (size_t i = 0; i < rule.channels; ++i) {
        f(packed + i / kWidth * packing.strip_size() + i % kWidth, plain + i);
      }
    }
  }
}

template <int kLanes>
void pack_weight(const Rule& rule, float* packed) {
  std::fill_n(packed, packed_size<kLanes>(rule), 0.0F);
  each_packed<kLanes>(rule, [&](size_t to, size_t from) { packed[to] = rule.weight[from]; });
}

template <int kLanes>
void add_unpacked(const Rule& rule, const float* packed, float* plain) {
  each_packed<kLanes>(rule, [&](size_t from, size_t to) { plain[to] += packed[from]; });
}

template <class Machine>
constexpr Kernels kTable = {Machine::kName,
                            read<Machine>,
                            write<Machine>,
                            write_read<Machine>,
                            read_backward<Machine>,
                            write_backward<Machine>,
                            write_read_backward<Machine>,
                            packed_size<Machine::kLanes>,
                            pack_weight<Machine::kLanes>,
                            add_unpacked<Machine::kLanes>};

}  // namespace

size_t scratch_size(const Rule& rule) { return 2 * rule.channels + block_floats(rule); }

const Kernels* kernels_or_null_for_test(const char* name) {
  const std::string_view wanted = name;
#ifdef MNEME_HYPER_X86
  if (wanted == "avx512") {
    const bool has = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
                     __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0;
    return has ? &kTable<avx512> : nullptr;
  }
  if (wanted == "avx2") {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 ? &kTable<avx2>
                                                                                     : nullptr;
  }
#endif
  return wanted == "generic" ? &kTable<generic> : nullptr;
}

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
    for (const char* name : {"avx512", "avx2"}) {
      if (const Kernels* found = kernels_or_null_for_test(name)) return *found;
    }
    return kTable<generic>;
  }();
  return chosen;
}

}  // namespace mneme::train::hyper

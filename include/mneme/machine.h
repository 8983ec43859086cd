// What this machine can do and what this process uses of it: the limits that speeds are put beside.
#pragma once

#include <cstdint>
#include <string>

#include "mneme/result.h"

namespace mneme {

// CPUs that this process may run on.
int usable_cpus();

// Memory that could still be taken: what the system has available, or what the process's control groups leave
// of their limits where that is less. 0 where the system does not say.
uint64_t memory_available_bytes();

uint64_t rss_bytes();       // resident now
uint64_t rss_peak_bytes();  // the most that was ever resident

struct MachineLimits {
  double read_bytes_per_s = 0;    // streaming from memory in 2 MiB pages
  double matmul_flops_per_s = 0;  // 2 per multiply and add, in the operand type of the product; 0: not
                                  // measured
};

// Reads 512 MiB several times with `threads` threads and the kernels in use, the best pass; less than a
// second in sum. Fails without the memory.
Result<double> measure_read_bandwidth(int threads);

// The product instruction that many-row products stand on, in registers, with `threads` threads: multiplies
// and adds a second. 0 where the kernels in use have none. MNEME_ISA counts.
Result<double> measure_matmul_peak(int threads);

}  // namespace mneme

#include "kernels/select.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "kernels/backends.h"

namespace mneme::kernels {

namespace {

// Linux hands the 8 KiB of tile registers only to processes that ask (Documentation/arch/x86/xstate.rst).
bool ask_for_tiles() {
  constexpr long kArchReqXcompPerm = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

// What some compilers' __builtin_cpu_supports does not know. The operating system's part is asked there, with
// AVX2 and AVX-512F.
struct MoreFeatures {
  bool f16c = false, avx512_bf16 = false, amx = false;

  MoreFeatures() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) f16c = (c & (1u << 29)) != 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    constexpr unsigned kAmx = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE and AMX-INT8
    amx = (d & kAmx) == kAmx;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) avx512_bf16 = (a & (1u << 5)) != 0;
  }
};

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && MoreFeatures().f16c &&
         __builtin_cpu_supports("bmi2");
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
         MoreFeatures().avx512_bf16;
}

}  // namespace

std::vector<const Ops*> available_ops() {
  std::vector<const Ops*> all{&scalar_ops()};
  if (!has_avx2()) return all;
  all.push_back(&avx2_ops());
  if (!has_avx512()) return all;
  all.push_back(&avx512_ops());
  if (MoreFeatures().amx && ask_for_tiles()) all.push_back(&amx_ops());
  return all;
}

Result<const Ops*> select_ops() {
  const auto all = available_ops();
  const char* forced = std::getenv("MNEME_ISA");
  if (forced == nullptr || *forced == '\0') return all.back();
  std::string names;
  for (const Ops* ops : all) {
    if (std::string_view(ops->name) == forced) return ops;
    names += names.empty() ? ops->name : std::string(", ") + ops->name;
  }
  return core::fail("MNEME_ISA={}: not available here (choose one of: {})", forced, names);
}

}  // namespace mneme::kernels

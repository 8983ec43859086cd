#include "cli/steady_memory.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace mneme::cli {

#ifdef __GLIBC__

void keep_memory_steady() {
  ::mallopt(M_ARENA_MAX, 4);
  // Larger ones are mapped and unmapped. Set, the threshold no longer rises with the sizes that were freed.
  ::mallopt(M_MMAP_THRESHOLD, 2 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

void give_back_memory() { ::malloc_trim(size_t{1} << 20); }

#else

void keep_memory_steady() {}
void give_back_memory() {}

#endif

}  // namespace mneme::cli

// The memory of a process that runs for months: what requests of very different sizes leave behind is used
// again or given back, so that it does not grow. Bodies and prompts come on many threads, and an allocator
// with an arena for each keeps the largest that each has ever seen.
#pragma once

namespace mneme::cli {

// At the start, before any other thread. Does nothing where the C library is not glibc.
void keep_memory_steady();

// Free pages go back to the system; now and then.
void give_back_memory();

}  // namespace mneme::cli

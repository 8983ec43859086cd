#pragma once

#include <cstdint>
#include <string>

namespace mneme::engine {

// memory_available_bytes() over any tree, for tests: `proc` stands for /proc, `cgroup` for /sys/fs/cgroup.
uint64_t memory_available_under(const std::string& proc, const std::string& cgroup);

}  // namespace mneme::engine

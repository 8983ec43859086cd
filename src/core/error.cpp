#include "core/error.h"

#include <cstdio>
#include <cstdlib>

namespace mneme::core {

void check_failed(const char* file, int line, const char* condition, std::string_view values) {
  std::fprintf(stderr, "mneme: internal error at %s:%d: %s %.*s\n", file, line, condition,
               static_cast<int>(values.size()), values.data());
  std::abort();
}

}  // namespace mneme::core

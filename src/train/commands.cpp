#include "train/commands.h"

#include <cstdio>

namespace mneme::train {

int fail(const Error& error) {
  std::fprintf(stderr, "mneme-train: %s\n", error.message.c_str());
  return 1;
}

}  // namespace mneme::train

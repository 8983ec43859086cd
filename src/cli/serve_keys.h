#pragma once

#include <CLI/App.hpp>

namespace mneme::cli {

// mneme serve key add|list|rm --keys FILE
void add_serve_key(CLI::App& serve, int& status);

}  // namespace mneme::cli

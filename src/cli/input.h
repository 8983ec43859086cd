#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mneme/result.h"
#include "mneme/text.h"

namespace mneme::cli {

// The whole of a file, a pipe, or ("-") standard input.
Result<std::string> read_input(const std::string& path);

// A whole file, in the place of one that is there. A failure says why.
Result<void> write_text(const std::string& path, std::string_view text);

// "1536", "512MiB", "2GiB", "1.5G" (powers of 1024), "2GB" (of 1000). Nothing for anything else.
std::optional<uint64_t> parse_size(std::string_view text);

// Ids in decimal, between white space or commas.
Result<std::vector<TokenId>> parse_ids(std::string_view text);

// A whole number; nothing for anything else, or one that does not fit.
std::optional<int> parse_int(std::string_view text);

}  // namespace mneme::cli

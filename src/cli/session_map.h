// A picture of where a context's keys and values are: segments from left to right, layers from top to bottom.
#pragma once

#include <string>

#include "mneme/engine.h"
#include "mneme/sessions.h"

namespace mneme::cli {

// What is known without an engine: a segment is on the disk, or missing. One layer stands for all.
TierMap map_of_disk(const SessionDetail& detail);

// Up to 96 columns, each the least near of its segments: H hot, w warm, p passing through, . cold, ! not yet
// on the disk. Ends in a line that says so.
std::string map_text(const TierMap& map);
// The same as SVG; a cell's shade is its heat.
std::string map_svg(const std::string& title, const TierMap& map);
Result<void> write_map(const std::string& path, const std::string& title, const TierMap& map);

}  // namespace mneme::cli

// One session in one portable file: log, segments, tail, each checked. docs/formats/session.md.
#pragma once

#include <string>
#include <string_view>

#include "kv/store.h"

namespace mneme::kv {

struct ArchiveReport {
  uint64_t bytes = 0;  // of the archive
  uint64_t segments = 0;
  uint64_t segments_missing = 0;  // export: not in the store or damaged; they are computed again when needed
  uint64_t segments_shared = 0;   // import: were in the store already
};

// Replaces `path`. The session may be in use: what its log says now is taken.
Result<ArchiveReport> export_session(Store& store, std::string_view session, const std::string& path);
// Everything is checked before the session exists under its new name, which must be free. Segments are put
// under the store's quota. A session of another model is taken too: its model is compared when it is used.
// One import at a time.
Result<ArchiveReport> import_session(Store& store, const std::string& path, std::string_view session);

}  // namespace mneme::kv

// Reading everything to see whether it is as it was written. Any thread. With `set_aside` damaged files are
// renamed to *.bad, so that nobody meets them again; else nothing changes, and a read-only store will do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kv/store.h"

namespace mneme::kv {

// kOther: written by another version of the program, and computed again where it is needed.
enum class SegmentCondition { kOk, kMissing, kDamaged, kOther };

struct SegmentReport {
  SegmentName name;
  SegmentCondition condition = SegmentCondition::kOk;
  std::string error;   // one line, of kDamaged and kOther
  uint64_t bytes = 0;  // of the file
  uint64_t index = 0;  // in the session; of a whole store: 0
};

struct SessionReport {
  std::string session;
  uint64_t tokens = 0;
  std::vector<SegmentReport> segments;
  bool has_tail = false;
  std::string tail_error;  // one line where the tail is damaged
  std::string log_error;   // one line where the log is torn or cannot be read
  bool ok() const;
};

struct StoreReport {
  std::vector<SessionReport> sessions;
  std::vector<SegmentReport> unnamed;  // segments that no session names
  bool ok() const;
};

// Every segment that the session names (with parent and tokens as the log says), its tail, its log.
Result<SessionReport> verify_session(Store& store, std::string_view session, bool set_aside = false);
// Every session and every segment file, each file once.
Result<StoreReport> verify_store(Store& store, bool set_aside = false);

}  // namespace mneme::kv

// How a store makes room.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kv/store.h"

namespace mneme::kv {

using core::fail;
using core::pass;

// With writer_mutex_ held, as everything here. The index, brought up to date.
Result<void> Store::index_now() {
  if (!index_) {
    auto scanned = StoreIndex::scan(options_.folder, *disk_);
    if (!scanned) return pass(scanned);
    index_ = std::move(*scanned);
  } else {
    index_->refresh_sessions();
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [name, used_ns] : touched_) index_->used(name, used_ns);
  touched_.clear();
  for (const std::string& path : set_aside_) index_->add_leftover(path);
  set_aside_.clear();
  std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
  return {};
}

Result<bool> Store::remove_segment(const SegmentName& name) {
  {
    const std::lock_guard lock(mutex_);
    if (in_use_locked(name)) return false;
    removing_.insert(name);  // whoever finds it from here on does not get it
  }
  const std::string path = segment_path(name);
  const bool removed = disk_->unlink(path.c_str()) == 0 || errno == ENOENT;
  const int error = errno;
  forget(name);
  {
    const std::lock_guard lock(mutex_);
    removing_.erase(name);
  }
  if (!removed) return fail("{}: {}", path, std::strerror(error));
  index_->remove(name);
  return true;
}

void Store::discard(const SegmentName& name) {
  const std::lock_guard writer(writer_mutex_);
  if (index_now()) static_cast<void>(remove_segment(name));
}

Store::Garbage Store::remove_leftovers() {
  Garbage garbage;
  for (const StoreIndex::Leftover& leftover : index_->take_leftovers()) {
    if (disk_->unlink(leftover.path.c_str()) != 0) continue;
    ++garbage.files;
    garbage.bytes += leftover.bytes;
  }
  return garbage;
}

Result<uint64_t> Store::bytes_used() {
  const std::lock_guard writer(writer_mutex_);
  if (auto indexed = index_now(); !indexed) return pass(indexed);
  return index_->bytes();
}

Result<void> Store::make_room(uint64_t bytes) {
  const std::lock_guard writer(writer_mutex_);
  return make_room_locked(bytes);
}

Result<void> Store::make_room_locked(uint64_t bytes) {
  const uint64_t most = options_.bytes_max;
  if (most == 0) return {};
  if (bytes > most)
    return fail("{}: {} bytes to store, and {} are all that it may have (raise --cold-max)", options_.folder,
                bytes, most);
  if (auto indexed = index_now(); !indexed) return indexed;
  if (index_->bytes() + bytes <= most) return {};
  const auto removable = [this](const SegmentName& name) { return !in_use(name); };
  if (index_->bytes() - std::min(index_->bytes(), index_->bytes_removable(removable)) + bytes > most) {
    return fail(
        "{}: full: {} of at most {} bytes are taken, most of them by what is in use now (raise --cold-max)",
        options_.folder, index_->bytes(), most);
  }
  remove_leftovers();
  while (index_->bytes() + bytes > most) {
    const auto least = index_->least_valued(removable);
    if (!least)
      return fail("{}: full: {} of at most {} bytes are taken, all in use (raise --cold-max)",
                  options_.folder, index_->bytes(), most);
    if (auto removed = remove_segment(*least); !removed) return pass(removed);
  }
  return {};
}

Result<Store::Garbage> Store::collect_garbage() {
  if (options_.read_only) return fail("{}: opened for reading only", options_.folder);
  const std::lock_guard writer(writer_mutex_);
  if (auto indexed = index_now(); !indexed) return pass(indexed);
  Garbage garbage = remove_leftovers();
  for (const SegmentName& name : index_->unnamed()) {
    const uint64_t bytes = index_->bytes_of(name);
    auto removed = remove_segment(name);
    if (!removed) return pass(removed);
    if (!*removed) continue;
    ++garbage.files;
    garbage.bytes += bytes;
  }
  return garbage;
}

}  // namespace mneme::kv

#include "kv/store.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "core/file.h"
#include "kv/session_folder.h"

namespace mneme::kv {

namespace {

using core::fail;
using core::pass;
namespace fs = std::filesystem;

constexpr const char* kVersionText = "mneme-store 1\n";

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

int64_t unix_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail("{}: cannot be made: {}", path, error.message());
  return {};
}

// What a store holds, and a store whose making was cut short too.
bool is_ours(const std::string& entry) {
  return entry == "mneme-store" || entry == std::string("mneme-store") + kUnfinished || entry == "lock" ||
         entry == "segments" || entry == "sessions" || entry == std::string("import") + kUnfinished;
}

Result<void> check_empty_or_ours(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string entry = it->path().filename().string();
    if (is_ours(entry)) continue;
    return fail("{}: not a store of mneme and not empty ({} is in it); name another folder", folder, entry);
  }
  if (error) return fail("{}: {}", folder, error.message());
  return {};
}

}  // namespace

Store::Store(const StoreOptions& options)
    : options_(options),
      disk_(options.disk == nullptr ? &Disk::system() : options.disk),
      open_files_(options.files_open_max) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  std::unique_ptr<Store> store(new Store(options));
  if (!options.read_only) {
    if (auto made = make_folder(options.folder); !made) return pass(made);
    // Before anything is left in a folder that is somebody else's.
    if (!exists(store->version_path())) {
      if (auto ours = check_empty_or_ours(options.folder); !ours) return pass(ours);
    }
    if (auto locked = store->lock(); !locked) return pass(locked);
  }
  if (auto checked = store->check_version(); !checked) return pass(checked);
  if (!options.read_only) store->remove_resting();
  return store;
}

Result<void> Store::lock() {
  auto file = DiskFile::open(options_.folder + "/lock", O_RDWR | O_CREAT, false, *disk_);
  if (!file) return fail("{}: cannot be written to ({})", options_.folder, file.error().message);
  if (::flock((*file)->descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail("{}: lock: {}", options_.folder, std::strerror(errno));
    return fail("{}: in use by another process; end that, or give this one a folder of its own",
                options_.folder);
  }
  lock_ = std::move(*file);
  return {};
}

Result<void> Store::check_version() {
  const std::string path = version_path();
  if (exists(path)) {
    auto text = core::read_text_file(path, 64);
    if (!text) return pass(text);
    if (*text == kVersionText) return {};
    return fail("{}: a store of another version ('{}')", options_.folder, text->substr(0, text->find('\n')));
  }
  if (options_.read_only) return fail("{}: not a store of mneme", options_.folder);
  for (const char* folder : {"/segments", "/sessions"}) {
    if (auto made = make_folder(options_.folder + folder); !made) return made;
  }
  const ConstBytes text = std::as_bytes(std::span(kVersionText, std::strlen(kVersionText)));
  return replace_file(path, false, *disk_,
                      [&](DiskFile& file) { return file.write(0, std::span(&text, 1)); });
}

// What contexts of a process that ended had on the disk while they rested.
void Store::remove_resting() {
  std::error_code error;
  for (fs::directory_iterator it(sessions_folder(), error), end; !error && it != end; it.increment(error)) {
    if (is_resting_tail(it->path().filename().string())) disk_->unlink(it->path().c_str());
  }
}

std::string Store::segment_path(const SegmentName& name) const {
  return segment_path_in(options_.folder, name);
}

bool Store::has(const SegmentName& name) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(name);
    if (found != files_.end()) {
      if (const auto file = found->second.lock()) return !file->bad();
    }
  }
  return exists(segment_path(name));
}

// The file if someone holds it, good or bad.
Store::FilePtr Store::held(const SegmentName& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : found->second.lock();
}

Result<Store::FilePtr> Store::open_segment(const SegmentName& name) {
  if (auto file = held(name)) {
    touch(name);
    if (file->bad()) return fail("{}: an earlier read of it failed", file->path());
    return file;
  }
  const std::string path = segment_path(name);
  if (!exists(path)) return nullptr;
  SegmentFile::Options options;
  options.set_aside = !options_.read_only;
  options.open_files = &open_files_;
  options.disk = disk_;
  auto opened = SegmentFile::open(path, options);
  if (!opened) {
    if (is_of_other_version(path, *disk_)) {
      met_other_version_ = true;
      return nullptr;
    }
    if (!exists(path) && !exists(path + kSetAside)) return nullptr;  // room was made meanwhile
    note_set_aside(path, name);
    return pass(opened);
  }
  if ((*opened)->header().name != name)
    return fail("{}: holds segment {}", path, (*opened)->header().name.hex());
  touch(name);
  // So that the next process knows too; once for each time that nobody held it.
  if (!options_.read_only) ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  const std::lock_guard lock(mutex_);
  if (removing_.contains(name) || !exists(path)) return nullptr;  // room was made meanwhile
  auto& slot = files_[name];
  if (FilePtr other = slot.lock(); other && !other->bad()) return other;  // another thread was faster
  FilePtr file = std::move(*opened);
  slot = file;
  return file;
}

std::vector<Result<Store::FilePtr>> Store::open_segments(std::span<const SegmentName> names) {
  constexpr size_t kThreadsMax = 8, kEachMin = 16;  // a thread takes as long to start as a few reads
  std::vector<Result<FilePtr>> opened(names.size(), FilePtr());
  std::atomic<size_t> next = 0;
  const auto open_some = [&] {
    for (size_t i = next++; i < names.size(); i = next++) opened[i] = open_segment(names[i]);
  };
  std::vector<std::jthread> others;
  for (size_t i = 1; i < std::min(kThreadsMax, names.size() / kEachMin); ++i) others.emplace_back(open_some);
  open_some();
  others.clear();
  return opened;
}

// A file that could not be opened may have been set aside: it still takes room, under another name.
void Store::note_set_aside(const std::string& path, const SegmentName& name) {
  const std::string aside = path + kSetAside;
  if (options_.read_only || !exists(aside)) return;
  const std::lock_guard lock(mutex_);
  files_.erase(name);
  set_aside_.push_back(aside);
}

Result<Store::FilePtr> Store::find(const SegmentModel& model, const SegmentName& parent,
                                   std::span<const int32_t> tokens) {
  auto file = open_segment(segment_name(model, parent, tokens));
  if (!file || *file == nullptr) return file;
  const SegmentHeader& header = (*file)->header();
  const bool equal = header.model == model.model && header.parent == parent &&
                     std::equal(header.tokens.begin(), header.tokens.end(), tokens.begin(), tokens.end());
  if (!equal) return fail("{}: holds other tokens under the same name", (*file)->path());
  return file;
}

void Store::pin(const SegmentName& name) {
  const std::lock_guard lock(mutex_);
  ++pins_[name];
}

void Store::unpin(const SegmentName& name) {
  const std::lock_guard lock(mutex_);
  const auto found = pins_.find(name);
  MNEME_CHECK(found != pins_.end(), "segment {} is not pinned", name.hex());
  if (--found->second == 0) pins_.erase(found);
}

void Store::touch(const SegmentName& name) {
  const std::lock_guard lock(mutex_);
  touched_[name] = unix_ns();
}

bool Store::in_use(const SegmentName& name) const {
  const std::lock_guard lock(mutex_);
  return in_use_locked(name);
}

bool Store::in_use_locked(const SegmentName& name) const {
  const auto found = files_.find(name);
  return pins_.contains(name) || (found != files_.end() && !found->second.expired());
}

Result<Store::FilePtr> Store::put(const SegmentModel& model, const NewSegment& segment) {
  MNEME_CHECK(segment.tokens.size() == kSegmentTokens, "{} tokens", segment.tokens.size());
  if (options_.read_only) return fail("{}: opened for reading only", options_.folder);
  const std::lock_guard writer(writer_mutex_);
  SegmentHeader header;
  header.model = model.model;
  header.parent = segment.parent;
  header.name = segment_name(model, segment.parent, segment.tokens);
  header.first_token = segment.first_token;
  header.computed_us = segment.computed_us;
  header.tokens.assign(segment.tokens.begin(), segment.tokens.end());
  // What is there but cannot be used is written anew.
  if (auto stored = find(model, segment.parent, segment.tokens); stored && *stored != nullptr) return stored;

  const uint64_t bytes = segment_file_bytes(segment.tokens.size(), segment.parts);
  if (auto room = make_room_locked(bytes); !room) return pass(room);
  if (auto folder = make_segment_folder(header.name); !folder) return pass(folder);
  const std::string path = segment_path(header.name);
  if (auto written = write_segment_file(path, header, segment.parts, *disk_); !written) return pass(written);
  return written_anew(header, bytes);
}

Result<Store::FilePtr> Store::adopt(const std::string& path, const SegmentHeader& header) {
  if (options_.read_only) return fail("{}: opened for reading only", options_.folder);
  SegmentFile::Options options;
  options.set_aside = false;
  options.disk = disk_;
  auto file = SegmentFile::open(path, options);
  if (!file) return pass(file);
  if ((*file)->header() != header) return fail("{}: not segment {}", path, header.name.hex());
  if (auto good = (*file)->verify(); !good) return pass(good);
  const std::lock_guard writer(writer_mutex_);
  if (auto room = make_room_locked((*file)->file_bytes()); !room) return pass(room);
  if (auto folder = make_segment_folder(header.name); !folder) return pass(folder);
  const std::string to = segment_path(header.name);
  if (disk_->rename(path.c_str(), to.c_str()) != 0) return fail("{}: rename: {}", to, std::strerror(errno));
  if (auto synced = sync_folder(fs::path(to).parent_path().string(), *disk_); !synced) return pass(synced);
  return written_anew(header, (*file)->file_bytes());
}

// segments/ab, of which the first segment in it has to be found after a crash too.
Result<void> Store::make_segment_folder(const SegmentName& name) {
  const std::string folder = fs::path(segment_path(name)).parent_path().string();
  if (exists(folder)) return {};
  if (auto made = make_folder(folder); !made) return made;
  return sync_folder(options_.folder + "/segments", *disk_);
}

Result<Store::FilePtr> Store::written_anew(const SegmentHeader& header, uint64_t bytes) {
  bytes_written_ += bytes;
  note_set_aside(segment_path(header.name), header.name);
  if (index_) index_->add(header.name, header, bytes, unix_ns());
  forget(header.name);
  return open_segment(header.name);
}

// A file that was under this name is not there any more: nobody is to read the new one by the old descriptor.
void Store::forget(const SegmentName& name) {
  open_files_.forget(segment_path(name));
  const std::lock_guard lock(mutex_);
  files_.erase(name);
}

}  // namespace mneme::kv

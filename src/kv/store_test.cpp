#include "kv/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "kv/session_folder.h"
#include "kv/store_check.h"
#include "kv/store_for_test.h"

namespace mneme::kv {
namespace {

class Stores : public ::testing::Test {
 protected:
  Stores() { disk_.buffered = true; }
  std::unique_ptr<Store> open(uint64_t bytes_max = 0, bool read_only = false) {
    auto store = Store::open({folder_ / "store", bytes_max, read_only, 128, &disk_});
    MNEME_CHECK(store, "{}", store.error().message);
    return std::move(*store);
  }
  // `count` segments that continue each other, and a session that names them unless `session` is empty.
  std::vector<SegmentName> fill(Store& store, const std::string& session, uint64_t seed, size_t count,
                                int64_t used_unix_s = 0) {
    std::vector<SegmentName> names;
    std::vector<int32_t> all;
    for (size_t i = 0; i < count; ++i) {
      const auto tokens = tokens_for_test(seed * 100 + i);
      auto put = put_for_test(store, i == 0 ? SegmentName{} : names.back(), i * kSegmentTokens, tokens);
      MNEME_CHECK(put, "{}", put.error().message);
      names.push_back((*put)->header().name);
      all.insert(all.end(), tokens.begin(), tokens.end());
    }
    if (session.empty()) return names;
    auto log = SessionLog::create(session_log_path(store.sessions_folder(), session), {model_for_test(), ""});
    EXPECT_TRUE(log->append_tokens(all));
    for (const SegmentName& name : names) EXPECT_TRUE(log->append_segment(name));
    EXPECT_TRUE(log->mark_used(used_unix_s));
    return names;
  }
  static constexpr uint64_t kSegmentBytes = 4096 + 8192 + 8192 + 4096;
  FolderForTest folder_;
  DiskForTest disk_;
};

TEST_F(Stores, FindWhatWasPutAlsoLater) {
  const auto first = tokens_for_test(1), second = tokens_for_test(2);
  SegmentName name;
  {
    auto store = open();
    EXPECT_EQ(*store->find(model_for_test(), {}, first), nullptr);
    auto put = put_for_test(*store, {}, 0, first);
    ASSERT_TRUE(put) << put.error().message;
    name = (*put)->header().name;
    ASSERT_TRUE(put_for_test(*store, name, 256, second));
    EXPECT_EQ(*store->find(model_for_test(), {}, first), *put) << "one file while it is held";
    const uint64_t written = store->bytes_written();
    EXPECT_EQ(written, 2 * kSegmentBytes);
    ASSERT_TRUE(put_for_test(*store, {}, 0, first));
    EXPECT_EQ(store->bytes_written(), written) << "stored once";
  }
  auto store = open();
  auto found = store->find(model_for_test(), name, second);
  ASSERT_TRUE(found && *found != nullptr);
  EXPECT_EQ((*found)->header().first_token, 256u);
  EXPECT_TRUE(*is_whole(**found));
  EXPECT_TRUE(store->has(name));
  EXPECT_EQ(*store->find(model_for_test(), {}, second), nullptr) << "another parent";
  EXPECT_EQ(*store->find(model_for_test(2), name, second), nullptr) << "another model";
  auto shorter = second;
  shorter.pop_back();
  EXPECT_EQ(*store->find(model_for_test(), name, shorter), nullptr);
}

TEST_F(Stores, NamesAreNotTrusted) {
  auto store = open();
  const auto names = fill(*store, "", 1, 2);
  // As if two segments had one name.
  std::filesystem::copy_file(store->segment_path(names[1]), store->segment_path(names[0]),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(store->find(model_for_test(), {}, tokens_for_test(100)));
  EXPECT_FALSE(store->open_segment(names[0]));
  auto put = put_for_test(*store, {}, 0, tokens_for_test(100));
  ASSERT_TRUE(put);
  EXPECT_TRUE(*is_whole(**put));
}

TEST_F(Stores, DamageIsSetAsideAndWrittenAnew) {
  auto store = open();
  const auto names = fill(*store, "", 1, 1);
  const std::string path = store->segment_path(names[0]);
  for (const size_t at : {size_t{100}, size_t{4096 + 10}}) {
    std::string bytes = bytes_of_file(path);
    bytes[at] ^= 1;
    write_file(path, bytes);
    auto found = store->find(model_for_test(), {}, tokens_for_test(100));
    EXPECT_TRUE(!found || !is_whole(**found));
    EXPECT_FALSE(store->has(names[0]));
    EXPECT_TRUE(std::filesystem::exists(path + ".bad"));
    auto put = put_for_test(*store, {}, 0, tokens_for_test(100));
    ASSERT_TRUE(put) << put.error().message;
    EXPECT_TRUE(*is_whole(**put));
  }
  // The damaged file is garbage, the new one is not named either.
  EXPECT_EQ(*store->bytes_used(), 2 * kSegmentBytes);
  auto garbage = store->collect_garbage();
  ASSERT_TRUE(garbage);
  EXPECT_EQ(garbage->files, 2u);
  EXPECT_EQ(*store->bytes_used(), 0u);
}

TEST_F(Stores, ManyAreOpenedAtOnce) {
  std::vector<SegmentName> names = fill(*open(), "", 3, 150);
  ASSERT_EQ(std::remove(open()->segment_path(names[40]).c_str()), 0);
  const std::string damaged = open()->segment_path(names[77]);
  std::string bytes = bytes_of_file(damaged);
  bytes[100] ^= 1;
  write_file(damaged, bytes);
  names.push_back(names[5]);  // twice
  auto store = open();
  const auto files = store->open_segments(names);
  ASSERT_EQ(files.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    ASSERT_EQ(files[i].has_value(), i != 77) << i;
    if (i == 77) continue;
    ASSERT_EQ(*files[i] != nullptr, i != 40) << i;
    if (i != 40) {
      EXPECT_EQ((*files[i])->header().name, names[i]);
      EXPECT_EQ(*store->open_segment(names[i]), *files[i]) << "one file while it is held";
    }
  }
  EXPECT_EQ(*files[150], *files[5]);
  EXPECT_TRUE(store->open_segments({}).empty());
}

TEST_F(Stores, AReadErrorIsNotServedAndRewritten) {
  auto store = open();
  const auto names = fill(*store, "", 1, 1);
  auto held = store->open_segment(names[0]);
  disk_.read_error = EIO;
  EXPECT_FALSE(is_whole(**held));
  EXPECT_FALSE(store->find(model_for_test(), {}, tokens_for_test(100)));
  EXPECT_FALSE(store->has(names[0]));
  disk_.read_error = 0;
  auto put = put_for_test(*store, {}, 0, tokens_for_test(100));
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_NE(*put, *held);
  EXPECT_TRUE(*is_whole(**put));
}

TEST_F(Stores, DeletedFilesAreMissing) {
  auto store = open();
  const auto names = fill(*store, "s", 1, 3);
  std::filesystem::remove(store->segment_path(names[1]));
  EXPECT_FALSE(store->has(names[1]));
  auto found = store->open_segment(names[1]);
  EXPECT_TRUE(found && *found == nullptr);
  auto report = verify_session(*store, "s");
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->ok());
  EXPECT_EQ(report->segments[0].condition, SegmentCondition::kOk);
  EXPECT_EQ(report->segments[1].condition, SegmentCondition::kMissing);
  EXPECT_EQ(report->segments[2].condition, SegmentCondition::kOk);
}

TEST_F(Stores, FailuresToWriteAreSaidAndHarmless) {
  auto store = open();
  const auto put = [&] { return put_for_test(*store, {}, 0, tokens_for_test(1)); };
  disk_.write_error = ENOSPC;
  auto full = put();
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("No space left"), std::string::npos) << full.error().message;
  disk_.write_error = 0;
  disk_.sync_error = EIO;
  EXPECT_FALSE(put());
  disk_.sync_error = 0;
  disk_.open_error = EROFS;
  EXPECT_FALSE(put());
  disk_.open_error = 0;
  disk_.odd_calls = 1;
  auto done = put();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(*is_whole(**done));
}

TEST_F(Stores, OnlyOnTheirOwnFolders) {
  std::filesystem::create_directories(folder_ / "store");
  write_file(folder_ / "store/letter.txt", "dear");
  auto store = Store::open({folder_ / "store"});
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("letter.txt"), std::string::npos) << store.error().message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "store/lock")) << "left in somebody else's folder";
  std::filesystem::remove(folder_ / "store/letter.txt");
  EXPECT_FALSE(Store::open({folder_ / "store", 0, true})) << "nothing to read yet";
  open();
  write_file(folder_ / "store/mneme-store", "mneme-store 2\n");
  store = Store::open({folder_ / "store"});
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("mneme-store 2"), std::string::npos) << store.error().message;
}

TEST_F(Stores, AReadOnlyFolderIsSaid) {
  open();
  disk_.open_error = EROFS;
  auto store = Store::open({folder_ / "store", 0, false, 8, &disk_});
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("Read-only"), std::string::npos) << store.error().message;
}

TEST_F(Stores, OneWriterManyReaders) {
  auto store = open();
  fill(*store, "s", 1, 2);
  EXPECT_FALSE(Store::open({folder_ / "store"})) << "in the same process too";
  const pid_t child = ::fork();
  if (child == 0) {
    auto second = Store::open({folder_ / "store"});
    auto reader = Store::open({folder_ / "store", 0, true});
    bool good = !second && second.error().message.find("in use by another process") != std::string::npos;
    good = good && second.error().message.find(folder_ / "store") != std::string::npos && reader;
    if (good) {
      auto report = verify_session(**reader, "s");
      auto put = put_for_test(**reader, {}, 0, tokens_for_test(1));
      good = report && report->ok() && report->segments.size() == 2 && !put;
    }
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  store.reset();
  EXPECT_TRUE(Store::open({folder_ / "store"}));
}

// Quota.

TEST_F(Stores, MakesRoomByValue) {
  std::vector<SegmentName> unnamed, old_session, new_session;
  {
    auto store = open();
    unnamed = fill(*store, "", 1, 2);
    old_session = fill(*store, "old", 2, 2, 1000);
    new_session = fill(*store, "new", 3, 2, 2000);
  }
  uint64_t logs = 0;
  for (const char* log : {"store/sessions/old.log", "store/sessions/new.log"})
    logs += std::filesystem::file_size(folder_ / log);
  auto store = open(6 * kSegmentBytes + logs);
  const std::vector<SegmentName> order = {unnamed[1],     unnamed[0],     old_session[1],
                                          old_session[0], new_session[1], new_session[0]};
  EXPECT_EQ(*store->bytes_used(), 6 * kSegmentBytes + logs);
  for (size_t gone = 0; gone <= order.size(); ++gone) {
    ASSERT_TRUE(store->make_room(gone * kSegmentBytes));
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(store->has(order[i]), i >= gone) << gone << " " << i;
  }
  EXPECT_FALSE(store->make_room(7 * kSegmentBytes));
}

TEST_F(Stores, LeastRecentlyUsedFirst) {
  std::vector<SegmentName> names;
  {
    auto store = open();
    for (uint64_t seed = 1; seed <= 3; ++seed) names.push_back(fill(*store, "", seed, 1)[0]);
  }
  auto store = open(3 * kSegmentBytes);
  ASSERT_TRUE(store->open_segment(names[0]));  // used, and not held any more
  for (const size_t gone : {1, 2, 0}) {
    ASSERT_TRUE(put_for_test(*store, {}, 0, tokens_for_test(900 + gone)));
    EXPECT_FALSE(store->has(names[gone]));
    EXPECT_LE(*store->bytes_used(), 3 * kSegmentBytes);
  }
}

TEST_F(Stores, WhatIsInUseStays) {
  auto store = open(3 * kSegmentBytes);
  const auto names = fill(*store, "", 1, 3);
  store->pin(names[0]);
  auto held = store->open_segment(names[2]);
  store->pin(names[1]);
  auto put = put_for_test(*store, {}, 0, tokens_for_test(50));
  ASSERT_FALSE(put);
  EXPECT_NE(put.error().message.find("full"), std::string::npos) << put.error().message;
  for (const SegmentName& name : names) EXPECT_TRUE(store->has(name)) << "nothing goes in vain";
  held->reset();
  ASSERT_TRUE(put_for_test(*store, {}, 0, tokens_for_test(50)));
  EXPECT_FALSE(store->has(names[2]));
  store->unpin(names[1]);
  ASSERT_TRUE(put_for_test(*store, {}, 0, tokens_for_test(51)));
  EXPECT_TRUE(store->has(names[0]));
  EXPECT_TRUE(store->has(names[1]) != store->has(segment_name(model_for_test(), {}, tokens_for_test(50))));
}

TEST_F(Stores, GarbageIsWhatNobodyNames) {
  auto store = open();
  const auto named = fill(*store, "s", 1, 2);
  const auto unnamed = fill(*store, "", 2, 2);
  write_file(store->segment_path(named[0]) + ".new", "half");
  auto held = store->open_segment(unnamed[0]);
  auto garbage = store->collect_garbage();
  ASSERT_TRUE(garbage);
  EXPECT_EQ(garbage->files, 2u);
  EXPECT_EQ(garbage->bytes, kSegmentBytes + 4);
  EXPECT_TRUE(store->has(named[0]) && store->has(named[1]) && store->has(unnamed[0]));
  EXPECT_FALSE(store->has(unnamed[1]));
  held->reset();
  ASSERT_TRUE(remove_session(store->sessions_folder(), "s"));
  EXPECT_EQ(store->collect_garbage()->files, 3u);
  EXPECT_EQ(*store->bytes_used(), 0u);
}

TEST_F(Stores, VerifySeesEverything) {
  auto store = open();
  const auto one = fill(*store, "one", 1, 2);
  ASSERT_TRUE(fork_session(store->sessions_folder(), "one", "two"));
  const auto unnamed = fill(*store, "", 2, 1);
  auto report = verify_store(*store);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->sessions.size(), 2u);
  EXPECT_EQ(report->unnamed.size(), 1u);
  for (const SegmentName& name : {one[1], unnamed[0]}) {
    std::string bytes = bytes_of_file(store->segment_path(name));
    bytes[20000] ^= 1;
    write_file(store->segment_path(name), bytes);
  }
  report = verify_store(*store);
  ASSERT_TRUE(report);
  for (const SessionReport& session : report->sessions) {
    EXPECT_EQ(session.segments[0].condition, SegmentCondition::kOk);
    EXPECT_EQ(session.segments[1].condition, SegmentCondition::kDamaged);
    EXPECT_NE(session.segments[1].error, "");
  }
  EXPECT_EQ(report->unnamed[0].condition, SegmentCondition::kDamaged);
  EXPECT_TRUE(store->has(one[1])) << "looking changes nothing";
  std::string other = bytes_of_file(store->segment_path(one[0]));
  other[8] = 1;
  write_file(store->segment_path(one[0]), other);
  auto aside = verify_store(*store, true);
  ASSERT_TRUE(aside);
  EXPECT_EQ(aside->sessions[0].segments[0].condition, SegmentCondition::kOther);
  EXPECT_TRUE(std::filesystem::exists(store->segment_path(one[0]))) << "of another version, and left alone";
  EXPECT_EQ(aside->sessions[0].segments[1].condition, SegmentCondition::kDamaged);
  EXPECT_FALSE(store->has(one[1]));
  EXPECT_TRUE(std::filesystem::exists(store->segment_path(one[1]) + kSetAside));
  EXPECT_EQ(verify_store(*store)->sessions[0].segments[1].condition, SegmentCondition::kMissing);
}

TEST_F(Stores, OneThreadPutsWhileAnotherFinds) {
  auto store = open(20 * kSegmentBytes);
  constexpr uint64_t kCount = 100;
  std::atomic<uint64_t> put_count = 0;
  std::thread writer([&] {
    for (uint64_t i = 0; i < kCount; ++i) {
      EXPECT_TRUE(put_for_test(*store, {}, 0, tokens_for_test(i)));
      put_count = i + 1;
    }
  });
  uint64_t found = 0;
  const auto look = [&](uint64_t seed) {
    auto file = store->find(model_for_test(), {}, tokens_for_test(seed));
    ASSERT_TRUE(file) << file.error().message;
    if (*file == nullptr) return;
    auto whole = is_whole(**file);  // held, so nobody removes it
    ASSERT_TRUE(whole) << whole.error().message;
    ASSERT_TRUE(*whole);
    ++found;
  };
  core::Rng rng(1);
  while (put_count < kCount)
    if (put_count > 0) look(rng.next_below(static_cast<uint32_t>(put_count.load())));
  writer.join();
  for (uint64_t seed = 0; seed < kCount; ++seed) look(seed);
  EXPECT_GT(found, 0u);
  EXPECT_LE(*store->bytes_used(), 20 * kSegmentBytes);
}

}  // namespace
}  // namespace mneme::kv

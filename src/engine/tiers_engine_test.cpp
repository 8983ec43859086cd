// Contexts larger than memory, found again, forked, damaged, resumed: the bits of one that stayed in memory.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/rng.h"
#include "engine/nmse_for_test.h"
#include "mneme/engine.h"
#include "mneme/sessions.h"
#include "model/mneme_model_for_test.h"

namespace mneme {
namespace {

namespace fs = std::filesystem;

// A folder and a model file of the test's own, removed at the end.
struct Place {
  fs::path folder = fs::path(testing::TempDir()) /
                    fmt::format("mneme_tiers_{}_{}", ::getpid(),
                                testing::UnitTest::GetInstance()->current_test_info()->name());
  std::string model = (folder / "model.gguf").string(), cold = (folder / "cold").string();

  explicit Place(int window = 100) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    model::MnemeOptionsForTest o;
    o.byte_tokenizer = true, o.vocab_size = 259, o.window = window, o.matrix_type = tensor::DType::kBF16;
    o.residual = "mhc", o.streams = 4, o.engram_layers = {1};
    EXPECT_TRUE(model::random_mneme_model(o, 7).write(model));
  }
  ~Place() { fs::remove_all(folder); }

  std::unique_ptr<Engine> all_in_memory(int threads = 1) const {
    auto engine = Engine::open({.model_path = model, .kv_bytes_max = 64 << 20, .threads = threads});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  // The least memory that works; `more` bytes beside it.
  std::unique_ptr<Engine> tiered(uint64_t more = 0, int threads = 1, uint64_t cold_max = 0) const {
    EngineOptions options{.model_path = model, .threads = threads};
    options.cold_folder = cold;
    options.cold_bytes_max = cold_max;
    options.hot_bytes = least_bytes() + more;
    options.warm_bytes = 0;
    auto engine = Engine::open(options);
    EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
    return engine ? std::move(*engine) : nullptr;
  }
  // As the error message says it.
  uint64_t least_bytes() const {
    EngineOptions options{.model_path = model, .threads = 1};
    options.cold_folder = cold + "_probe";
    options.hot_bytes = 100000, options.warm_bytes = 0;
    auto engine = Engine::open(options);
    EXPECT_FALSE(engine);
    if (engine) return 0;
    const std::string& text = engine.error().message;
    const size_t at = text.find("from ");
    EXPECT_NE(at, std::string::npos) << text;
    return std::stoull(text.substr(at + 5));
  }
};

void evaluate(Engine& engine, Session& session) {
  Session* const sessions[] = {&session};
  while (session.pending() > 0) {
    auto done = engine.step(sessions);
    ASSERT_TRUE(done) << done.error().message;
  }
}

std::vector<TokenId> random_tokens(size_t count, uint64_t seed = 1) {
  core::Rng rng(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(rng.next_below(250));
  return tokens;
}

using Rows = std::vector<std::vector<float>>;

// Logits after the session's tokens and after each of `more`, one at a time.
Rows decode(Engine& engine, Session& session, std::span<const TokenId> more) {
  Rows rows;
  evaluate(engine, session);
  rows.emplace_back(session.logits().begin(), session.logits().end());
  for (const TokenId token : more) {
    EXPECT_TRUE(session.append({&token, 1}));
    evaluate(engine, session);
    rows.emplace_back(session.logits().begin(), session.logits().end());
  }
  return rows;
}

Rows decode_from(Engine& engine, std::span<const TokenId> prompt, std::span<const TokenId> more) {
  auto session = engine.new_session();
  EXPECT_TRUE(session->append(prompt));
  return decode(engine, *session, more);
}

std::vector<fs::path> files_in(const fs::path& folder, const std::string& ending) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().string().ends_with(ending)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Tiers, LargerThanMemoryGivesTheSameBits) {
  for (const int threads : {1, 2}) {
    const Place place;
    const auto prompt = random_tokens(9000), more = random_tokens(40, 2);
    const auto memory = place.all_in_memory(threads);
    const Rows expected = decode_from(*memory, prompt, more);
    const auto engine = place.tiered(0, threads);
    EXPECT_EQ(decode_from(*engine, prompt, more), expected);
    const TierReport report = engine->tiers();
    EXPECT_GT(report.extents_evicted, 0u);
    EXPECT_GT(report.misses + report.hits_ahead, 0u);
    EXPECT_LE(engine->kv_bytes_used(), place.least_bytes());
    EXPECT_TRUE(engine->take_warnings().empty());
  }
}

TEST(Tiers, EveryLengthAroundABoundaryGivesTheSameBits) {
  const Place place;
  const auto memory = place.all_in_memory();
  const auto tokens = random_tokens(1100), more = random_tokens(3, 2);
  for (const size_t length :
       {1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 767, 769, 1023, 1025}) {
    SCOPED_TRACE(length);
    const auto prompt = std::span(tokens).first(length);
    const Rows expected = decode_from(*memory, prompt, more);
    fs::remove_all(place.cold);
    EXPECT_EQ(decode_from(*place.tiered(), prompt, more), expected);
    const auto engine = place.tiered();  // and once more, from what is stored
    auto session = engine->new_session();
    ASSERT_TRUE(session->append(prompt));
    EXPECT_EQ(decode(*engine, *session, more), expected);
    EXPECT_EQ(session->reused(), (length - 1) / 256 * 256);
  }
}

TEST(Tiers, ASessionGoesOnWhereItWas) {
  const Place place;
  const auto tokens = random_tokens(1400), more = random_tokens(5, 2);
  const Rows expected = decode_from(*place.all_in_memory(), tokens, more);
  {
    const auto engine = place.tiered();
    auto session = engine->open_session("tale");
    ASSERT_TRUE(session) << session.error().message;
    ASSERT_TRUE((*session)->append(tokens));
    evaluate(*engine, **session);
    EXPECT_FALSE(engine->open_session("tale"));  // open already
  }
  const auto engine = place.tiered();
  auto session = engine->open_session("tale");
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->tokens().size(), tokens.size());
  EXPECT_EQ((*session)->reused(), tokens.size());  // the open tokens too
  EXPECT_EQ((*session)->pending(), 0u);
  Rows rows = decode(*engine, **session, more);
  EXPECT_EQ(Rows(rows.begin() + 1, rows.end()), Rows(expected.begin() + 1, expected.end()));
}

TEST(Tiers, AnEditInTheMiddleKeepsWhatIsBeforeIt) {
  const Place place;
  auto tokens = random_tokens(5200);
  const auto engine = place.tiered();
  decode_from(*engine, tokens, {});
  tokens[4400] = tokens[4400] + 1;
  auto session = engine->new_session();
  ASSERT_TRUE(session->append(tokens));
  const Rows rows = decode(*engine, *session, {});
  EXPECT_EQ(session->reused(), 4096u);  // one segment in 16 stores what its windows hold
  EXPECT_EQ(rows, decode_from(*place.all_in_memory(), tokens, {}));
}

TEST(Tiers, TruncatedAnywhereItGoesOnRight) {
  const Place place;
  const auto tokens = random_tokens(2000), more = random_tokens(300, 2);
  const auto memory = place.all_in_memory();
  const auto engine = place.tiered();
  auto session = engine->new_session();
  ASSERT_TRUE(session->append(tokens));
  evaluate(*engine, *session);
  for (const size_t keep : {1999, 1980, 1900, 1792, 1500, 1025, 1024, 300, 256, 5}) {
    SCOPED_TRACE(keep);
    session->truncate(keep);
    EXPECT_EQ(session->tokens().size(), keep);
    ASSERT_TRUE(session->append(more));
    evaluate(*engine, *session);
    std::vector<TokenId> all(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(keep));
    all.insert(all.end(), more.begin(), more.end());
    const auto logits = session->logits();
    EXPECT_EQ(Rows{std::vector<float>(logits.begin(), logits.end())}, decode_from(*memory, all, {}));
    session->truncate(keep);
  }
}

TEST(Tiers, ForksShareAndPart) {
  const Place place;
  const auto tokens = random_tokens(1300), left = random_tokens(300, 2), right = random_tokens(300, 3);
  const auto memory = place.all_in_memory();
  const auto engine = place.tiered();
  auto first = engine->new_session();
  ASSERT_TRUE(first->append(tokens));
  evaluate(*engine, *first);
  auto second = first->fork();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(decode(*engine, *first, left), decode_from(*memory, tokens, left));
  EXPECT_EQ(decode(*engine, **second, right), decode_from(*memory, tokens, right));
}

TEST(Tiers, DamageIsComputedAgainAndNeverServed) {
  const Place place;
  const auto tokens = random_tokens(2600), more = random_tokens(3, 2);
  const Rows expected = decode_from(*place.all_in_memory(), tokens, more);
  { decode_from(*place.tiered(), tokens, {}); }
  const auto files = files_in(place.cold, ".kv");
  ASSERT_EQ(files.size(), 10u);
  core::Rng rng(5);
  for (int round = 0; round < 12; ++round) {
    const fs::path& victim = files[rng.next_below(static_cast<uint32_t>(files.size()))];
    if (!fs::exists(victim)) continue;
    const auto at = static_cast<std::streamoff>(rng.next_below(static_cast<uint32_t>(fs::file_size(victim))));
    {
      std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(at);
      const char old = static_cast<char>(file.get());
      file.seekp(at);
      file.put(static_cast<char>(old ^ 0x10));
    }
    if (round % 4 == 3) fs::remove(victim);
    EXPECT_EQ(decode_from(*place.tiered(), tokens, more), expected) << victim << " at " << at;
  }
  // All of it was written again.
  const auto engine = place.tiered();
  auto session = engine->new_session();
  ASSERT_TRUE(session->append(tokens));
  EXPECT_EQ(decode(*engine, *session, more), expected);
}

// Where rows of logits are wanted too: each is handed out once, in order.
TEST(Tiers, LogitsOfDamagedContexts) {
  const Place place;
  const auto memory = place.all_in_memory();
  const auto tokens = random_tokens(9000), more = random_tokens(700, 2);
  for (const bool decode : {false, true}) {
    SCOPED_TRACE(decode);
    fs::remove_all(place.cold);
    const auto asked = std::span(more).first(decode ? 20 : 700);
    const auto rows_of = [&](Engine& engine, bool damage) {
      Rows rows;
      auto session = engine.new_session();
      EXPECT_TRUE(session->append(tokens));
      evaluate(engine, *session);
      EXPECT_TRUE(session->flush());
      core::Rng rng(3);
      for (int i = 0; i < 6 && damage; ++i) {
        const auto files = files_in(place.cold, ".kv");
        std::fstream file(files[rng.next_below(static_cast<uint32_t>(files.size()))],
                          std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(5000);
        file.put(static_cast<char>(file.peek() ^ 1));
      }
      auto done = engine.logits_of(*session, asked, decode, [&](std::span<const float> row) {
        rows.emplace_back(row.begin(), row.end());
      });
      EXPECT_TRUE(done && session->tokens().size() == tokens.size() + asked.size());
      return rows;
    };
    const auto engine = place.tiered();
    const Rows got = rows_of(*engine, true), expected = rows_of(*memory, false);
    ASSERT_EQ(got.size(), expected.size());
    // Damage may be met after some steps: those are then a long pass, which rounds otherwise (amx).
    for (size_t i = 0; i < got.size(); ++i) EXPECT_LE(nmse(got[i], expected[i]), decode ? 1e-4 : 0) << i;
    EXPECT_FALSE(engine->take_warnings().empty());
  }
}

TEST(Tiers, APrefillThatWasKilledGoesOn) {
  const Place place;
  const auto tokens = random_tokens(3000);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto engine = place.tiered();
    auto session = engine->open_session("long");
    if (!session || !(*session)->append(tokens)) ::_exit(2);
    Session* const sessions[] = {session->get()};
    while ((*session)->pending() > 1000) {
      if (!engine->step(sessions)) ::_exit(3);
    }
    if (!(*session)->flush()) ::_exit(4);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  const auto engine = place.tiered();
  auto session = engine->open_session("long");
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->tokens().size(), tokens.size());
  EXPECT_GE((*session)->reused(), 1792u);
  EXPECT_EQ(decode(*engine, **session, {}), decode_from(*place.all_in_memory(), tokens, {}));
}

TEST(Tiers, ASessionLeavesMemoryAndComesBackAsItWas) {
  const Place place;
  const auto memory = place.all_in_memory();
  const auto more = random_tokens(300, 2);
  for (const size_t length : {5, 256, 700, 1279, 1280, 1281, 3000}) {
    for (const bool named : {false, true}) {
      SCOPED_TRACE(fmt::format("{} tokens, {}", length, named));
      fs::remove_all(place.cold);
      const auto engine = place.tiered(8 << 20);
      const auto tokens = random_tokens(length, length);
      const Rows expected = decode_from(*memory, tokens, std::span(more).first(3));
      std::unique_ptr<Session> session = engine->new_session();
      if (named) session = std::move(*engine->open_session(fmt::format("s{}", length)));
      ASSERT_TRUE(session->append(tokens));
      evaluate(*engine, *session);
      const std::vector<float> before(session->logits().begin(), session->logits().end());
      const size_t reused = session->reused();
      auto gone = session->demote();
      ASSERT_TRUE(gone) << gone.error().message;
      EXPECT_EQ(engine->kv_bytes_used(), 0u);
      EXPECT_EQ(session->pending(), 0u);
      EXPECT_EQ(session->map().extents.size(), length / 256);
      EXPECT_TRUE(std::ranges::equal(session->logits(), before));
      EXPECT_TRUE(session->demote());
      EXPECT_EQ(decode(*engine, *session, std::span(more).first(3)), expected);
      EXPECT_EQ(session->reused(), reused) << "nothing was found that it did not have";
      EXPECT_TRUE(files_in(place.cold, ".tail").size() == (named ? 1u : 0u)) << "a name's own";
      // Longer, forked, and taken back.
      ASSERT_TRUE(session->demote());
      auto fork = session->fork();
      ASSERT_TRUE(fork) << fork.error().message;
      ASSERT_TRUE(session->demote());
      session->truncate(length);
      EXPECT_EQ(session->tokens().size(), length);
      ASSERT_TRUE(session->append(more));
      evaluate(*engine, *session);
      EXPECT_TRUE(engine->take_warnings().empty());
    }
  }
}

TEST(Tiers, WhatIsLostWhileASessionRestsIsComputedAgain) {
  const Place place;
  const auto memory = place.all_in_memory();
  const auto tokens = random_tokens(1500), more = random_tokens(3, 2);
  const Rows expected = decode_from(*memory, tokens, more);
  for (const std::string what : {".tail", ".kv"}) {
    for (const bool removed : {false, true}) {
      SCOPED_TRACE(what);
      fs::remove_all(place.cold);
      const auto engine = place.tiered();
      auto session = engine->new_session();
      ASSERT_TRUE(session->append(tokens));
      evaluate(*engine, *session);
      ASSERT_TRUE(session->demote());
      const fs::path victim = files_in(place.cold, what).back();
      if (removed) fs::remove(victim);
      if (!removed)
        std::fstream(victim, std::ios::in | std::ios::out | std::ios::binary).seekp(4200).put('x');
      ASSERT_TRUE(session->append({&more[0], 1}));
      evaluate(*engine, *session);
      EXPECT_TRUE(std::ranges::equal(session->logits(), expected[1]));
      EXPECT_TRUE(what == ".kv" || !engine->take_warnings().empty());
    }
  }
}

TEST(Tiers, SeveralSessionsShareTheMemory) {
  const Place place;
  const auto memory = place.all_in_memory();
  const auto engine = place.tiered(1 << 20);
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Session*> all;
  for (uint64_t i = 0; i < 4; ++i) {
    sessions.push_back(engine->new_session());
    ASSERT_TRUE(sessions.back()->append(random_tokens(3000, i)));
    all.push_back(sessions.back().get());
  }
  for (bool busy = true; busy;) {
    auto done = engine->step(all);
    ASSERT_TRUE(done) << done.error().message;
    busy = *done > 0;
  }
  for (uint64_t i = 0; i < 4; ++i) {
    const auto logits = sessions[i]->logits();
    EXPECT_EQ(Rows{std::vector<float>(logits.begin(), logits.end())},
              decode_from(*memory, random_tokens(3000, i), {}));
  }
}

TEST(Tiers, RepeatsForBenchBeyondMemory) {
  const Place place;
  const auto tokens = random_tokens(512), more = random_tokens(3, 2);
  const auto run = [&](Engine& engine, Repetition how) {
    auto session = engine.new_session();
    EXPECT_TRUE(session->append(tokens));
    evaluate(engine, *session);
    const auto repeated = session->repeat_for_bench(512, 9000, how);
    if (!repeated) return ADD_FAILURE() << repeated.error().message, Rows{};
    Rows rows;
    for (const TokenId token : more) {
      EXPECT_TRUE(session->append({&token, 1}));
      evaluate(engine, *session);
      rows.emplace_back(session->logits().begin(), session->logits().end());
    }
    return rows;
  };
  const auto engine = place.tiered();
  using enum Repetition;
  for (const auto how : {kCopied, kDrawn}) EXPECT_EQ(run(*engine, how), run(*engine, how));
  // What was copied is nowhere taken for what these tokens would have given.
  std::vector<TokenId> repeated;
  while (repeated.size() < 2048) repeated.insert(repeated.end(), tokens.begin(), tokens.end());
  EXPECT_EQ(decode_from(*engine, repeated, more), decode_from(*place.all_in_memory(), repeated, more));
}

TEST(Tiers, ScopesDoNotFindEachOthersContexts) {
  const Place place;
  const auto tokens = random_tokens(1400), more = random_tokens(5, 2);
  const Rows expected = decode_from(*place.all_in_memory(), tokens, more);
  for (const std::string& scope : {std::string("alice"), std::string("bob"), std::string()}) {
    for (const bool again : {false, true}) {
      const auto engine = place.tiered();
      const auto session = engine->new_session(scope);
      ASSERT_TRUE(session->append(tokens));
      EXPECT_EQ(decode(*engine, *session, more), expected);
      EXPECT_EQ(session->reused() > 0, again) << scope;
    }
  }
}

TEST(Tiers, ASessionOfAScopeIsKeptCheckedAndMoved) {
  const Place place;
  const auto tokens = random_tokens(1400), more = random_tokens(5, 2);
  {
    const auto engine = place.tiered();
    auto session = engine->open_session("tale", "alice");
    ASSERT_TRUE(session && (*session)->append(tokens));
    evaluate(*engine, **session);
    EXPECT_FALSE((*session)->set_note("scope", "bob"));
  }
  const auto verified = verify_sessions(place.cold, std::nullopt);
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->problems, std::vector<std::string>{});
  const std::string archive = (place.folder / "tale.archive").string(), other = place.cold + "_other";
  ASSERT_TRUE(export_session(place.cold, "tale", archive));
  { ASSERT_TRUE(Engine::open({.model_path = place.model, .threads = 1, .cold_folder = other})); }
  ASSERT_EQ(import_session(other, archive, "moved").value_or(TransferReport{}).segments, 5u);
  ASSERT_TRUE(verify_sessions(other, std::nullopt)->problems.empty());

  const auto engine = place.tiered();
  {
    const auto bobs = engine->new_session("bob"), alices = engine->new_session("alice");
    for (Session* one : {bobs.get(), alices.get()}) {
      ASSERT_TRUE(one->append(tokens));
      evaluate(*engine, *one);
      EXPECT_EQ(one->reused() > 0, one == alices.get());
    }
  }
  auto session = engine->open_session("tale", "alice");
  ASSERT_EQ((*session)->reused(), tokens.size());
  ASSERT_TRUE((*session)->demote());  // and back
  const Rows expected = decode_from(*place.all_in_memory(), tokens, more);
  EXPECT_EQ(decode(*engine, **session, more).back(), expected.back());
  EXPECT_EQ((*session)->computed(), more.size());
}

TEST(Tiers, TwoEnginesOnOneFolderAreRefused) {
  const Place place;
  const auto first = place.tiered();
  auto second = Engine::open({.model_path = place.model, .threads = 1, .cold_folder = place.cold});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(place.cold), std::string::npos) << second.error().message;
}

TEST(Tiers, AFullQuotaKeepsTheContextGoing) {
  const Place place;
  const auto tokens = random_tokens(3000);
  const auto engine = place.tiered(32 << 20, 1, 200000);
  const auto session = engine->new_session();
  EXPECT_TRUE(session->append(tokens));
  EXPECT_EQ(decode(*engine, *session, {}), decode_from(*place.all_in_memory(), tokens, {}));
  EXPECT_TRUE(session->flush());  // all in use while it is written: nothing can make room
  EXPECT_FALSE(engine->take_warnings().empty());
}

}  // namespace
}  // namespace mneme

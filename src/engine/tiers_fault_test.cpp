// Sessions of a process that is killed, and of disks that fill up and lie: never a wrong bit, nothing synced
// is lost.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/rng.h"
#include "mneme/engine.h"
#include "model/mneme_model_for_test.h"

namespace mneme {
namespace {

namespace fs = std::filesystem;

struct Place {
  fs::path folder = fs::path(testing::TempDir()) / fmt::format("mneme_tiers_fault_{}", ::getpid());
  std::string model = (folder / "model.gguf").string(), cold = (folder / "cold").string();

  Place() {
    fs::remove_all(folder);
    fs::create_directories(folder);
    model::MnemeOptionsForTest o;
    o.byte_tokenizer = true, o.vocab_size = 259, o.window = 100, o.matrix_type = tensor::DType::kBF16;
    o.residual = "mhc", o.streams = 4, o.engram_layers = {1};
    EXPECT_TRUE(model::random_mneme_model(o, 7).write(model));
  }
  ~Place() { fs::remove_all(folder); }

  Result<std::unique_ptr<Engine>> tiered() const {
    EngineOptions options{.model_path = model, .threads = 1};
    options.cold_folder = cold;
    options.hot_bytes = uint64_t{3} << 20, options.warm_bytes = 0;
    return Engine::open(options);
  }
  std::unique_ptr<Engine> in_memory() const {
    auto engine = Engine::open({.model_path = model, .kv_bytes_max = 64 << 20, .threads = 1});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  std::vector<fs::path> files(const std::string& ending) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(cold))
      if (entry.is_regular_file() && entry.path().string().ends_with(ending)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
};

Result<void> evaluate(Engine& engine, Session& session) {
  Session* const sessions[] = {&session};
  while (session.pending() > 0) {
    if (auto done = engine.step(sessions); !done) return tl::unexpected(done.error());
  }
  return {};
}

// Few texts, so that sessions meet each other's segments.
std::vector<TokenId> text_of(core::Rng& rng, size_t count) {
  core::Rng own(rng.next_below(3));
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(own.next_below(250));
  return tokens;
}

// What one process says of a named session: how many tokens were safe.
struct Flushed {
  uint32_t session, tokens;
};

// Appends, decodes, forks, truncates and flushes until it is killed.
[[noreturn]] void work_forever(const Place& place, uint64_t seed, int pipe) {
  core::Rng rng(seed);
  auto engine = place.tiered();
  if (!engine) ::_exit(10);
  std::vector<std::unique_ptr<Session>> sessions;
  for (const char* name : {"a", "b", "c"}) {
    auto session = (*engine)->open_session(name);
    if (!session) ::_exit(11);
    sessions.push_back(std::move(*session));
  }
  for (;;) {
    const uint32_t which = rng.next_below(3);
    Session& session = *sessions[which];
    switch (rng.next_below(7)) {
      case 0:
        if (session.tokens().size() < 3000 && !session.append(text_of(rng, 1 + rng.next_below(900))))
          ::_exit(12);
        break;
      case 1: {
        const TokenId token = static_cast<TokenId>(rng.next_below(250));
        if (!session.append({&token, 1})) ::_exit(13);
        break;
      }
      case 2:
        if (session.pending() > 0) break;
        if (auto fork = session.fork();
            !fork || !(*fork)->append(text_of(rng, 300)) || !evaluate(**engine, **fork))
          ::_exit(14);
        break;
      case 3: {
        // Told before it happens: from here on fewer may survive.
        const auto keep = static_cast<uint32_t>(
            rng.next_below(static_cast<uint32_t>(session.tokens().size()) + 1));
        const Flushed fewer{which, 0};
        if (::write(pipe, &fewer, sizeof(fewer)) != sizeof(fewer)) ::_exit(15);
        session.truncate(keep);
        break;
      }
      case 4: {
        if (!session.flush()) ::_exit(16);
        const Flushed safe{which, static_cast<uint32_t>(session.tokens().size())};
        if (::write(pipe, &safe, sizeof(safe)) != sizeof(safe)) ::_exit(17);
        break;
      }
      case 5:
        if (!session.demote()) ::_exit(20);
        break;
      default: {
        Session* const all[] = {sessions[0].get(), sessions[1].get(), sessions[2].get()};
        for (int i = 0; i < 3; ++i)
          if (!(*engine)->step(all)) ::_exit(18);
      }
    }
    for (const std::string& warning : (*engine)->take_warnings())
      if (warning.find("not whole") == std::string::npos) ::_exit(19);  // a torn log is no surprise
  }
}

// Logits of a session that was opened again, after one token more, are those of its tokens.
// Bit for bit where all before that token was computed in long passes: those of one token round otherwise
// (amx), so it is a pass of its own here too.
void expect_right(Engine& engine, Engine& memory, Session& session, bool exact = true) {
  const TokenId next = 7;
  const auto plain = memory.new_session();
  ASSERT_TRUE(plain->append(session.tokens()));
  ASSERT_TRUE(evaluate(memory, *plain));
  ASSERT_TRUE(session.append({&next, 1}));
  ASSERT_TRUE(evaluate(engine, session));
  ASSERT_TRUE(plain->append({&next, 1}));
  ASSERT_TRUE(evaluate(memory, *plain));
  EXPECT_TRUE(!exact || std::ranges::equal(session.logits(), plain->logits())) << session.name();
  double error = 0, all = 0;
  for (size_t i = 0; i < plain->logits().size(); ++i) {
    const double right = plain->logits()[i], difference = session.logits()[i] - right;
    error += difference * difference, all += right * right;
  }
  EXPECT_LT(error, 1e-4 * all) << session.name() << ", " << session.tokens().size() << " tokens";
}

TEST(TiersFault, KilledAtAnyMomentEverySessionGoesOnRight) {
  const char* asked = std::getenv("MNEME_KILLS");
  const int kills = asked != nullptr ? std::atoi(asked) : 50;
  const Place place;
  const auto memory = place.in_memory();
  core::Rng rng(11);  // of the moments
  std::vector<uint32_t> safe(3, 0);
  size_t survived = 0, reused = 0;
  for (int kill = 0; kill < kills; ++kill) {
    SCOPED_TRACE(kill);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      work_forever(place, static_cast<uint64_t>(kill), ends[1]);
    }
    ::close(ends[1]);
    ::usleep(10000 + rng.next_below(150000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended with " << status;
    Flushed said{};
    while (::read(ends[0], &said, sizeof(said)) == sizeof(said)) safe[said.session] = said.tokens;
    ::close(ends[0]);
    if (kill % 5 != 4 && kill + 1 < kills) continue;  // most crashes are met by the next worker alone
    auto engine = place.tiered();
    ASSERT_TRUE(engine) << engine.error().message;
    for (uint32_t i = 0; i < 3; ++i) {
      auto session = (*engine)->open_session(std::string(1, static_cast<char>('a' + i)));
      ASSERT_TRUE(session) << session.error().message;
      EXPECT_GE((*session)->tokens().size(), safe[i]);
      expect_right(**engine, *memory, **session, false);
      survived += (*session)->tokens().size(), reused += (*session)->reused();
    }
    for (const std::string& warning : (*engine)->take_warnings())
      EXPECT_NE(warning.find("not whole"), std::string::npos) << warning;  // a torn log at most
  }
  fmt::print("{} kills: {} tokens checked, {} of them found\n", kills, survived, reused);
  EXPECT_GT(reused, 0u);
}

TEST(TiersFault, ALongTextBehindALongAnswer) {
  const Place place;
  const auto memory = place.in_memory();
  auto engine = place.tiered();
  ASSERT_TRUE(engine);
  core::Rng rng(15);
  const auto prompt = text_of(rng, 200), text = text_of(rng, 700);
  const auto run = [&](Engine& own) {
    auto session = own.new_session();
    EXPECT_TRUE(session->append(prompt) && evaluate(own, *session));
    for (TokenId token = 0; token < 119; ++token)
      EXPECT_TRUE(session->append({&token, 1}) && evaluate(own, *session));
    EXPECT_TRUE(session->append(text) && evaluate(own, *session));
    return std::vector<float>(session->logits().begin(), session->logits().end());
  };
  EXPECT_EQ(run(**engine), run(*memory));
}

// Longer and shorter than the window behind the last segment.
TEST(TiersFault, EveryTailGoesOnRight) {
  const Place place;
  const auto memory = place.in_memory();
  core::Rng rng(14);
  for (const size_t open : {1, 63, 99, 100, 101, 163, 164, 192, 230, 255}) {
    SCOPED_TRACE(open);
    fs::remove_all(place.cold);
    for (int round = 0; round < 2; ++round) {
      auto engine = place.tiered();
      ASSERT_TRUE(engine);
      auto session = (*engine)->open_session("a");
      ASSERT_TRUE(session) << session.error().message;
      if (round == 1) {
        EXPECT_EQ((*session)->reused(), 512 + open);
        expect_right(**engine, *memory, **session);
      } else {
        ASSERT_TRUE((*session)->append(text_of(rng, 512 + open)) && evaluate(**engine, **session));
      }
    }
  }
}

// Any byte of any file, or the whole file.
TEST(TiersFault, ABitAnywhereIsNoticed) {
  const Place place;
  const auto memory = place.in_memory();
  core::Rng rng(12);
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    fs::remove_all(place.cold);
    std::vector<TokenId> tokens = text_of(rng, 1300);
    {
      auto engine = place.tiered();
      ASSERT_TRUE(engine);
      auto session = (*engine)->open_session("a");
      ASSERT_TRUE(session && (*session)->append(tokens) && evaluate(**engine, **session));
    }
    const auto files = place.files(
        std::vector<std::string>{".log", ".tail", ".kv"}[static_cast<size_t>(round) % 3]);
    ASSERT_FALSE(files.empty());
    const fs::path victim = files[rng.next_below(static_cast<uint32_t>(files.size()))];
    const auto at = static_cast<std::streamoff>(rng.next_below(static_cast<uint32_t>(fs::file_size(victim))));
    if (round >= 9) {
      fs::remove(victim);
    } else {
      std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(at);
      const int old = file.get();
      file.seekp(at);
      file.put(static_cast<char>(old ^ 1 << rng.next_below(8)));
    }
    auto engine = place.tiered();
    ASSERT_TRUE(engine);
    auto session = (*engine)->open_session("a");
    // A log of which nothing can be read is refused, in a line that names it, and left alone.
    if (!session) {
      EXPECT_NE(session.error().message.find("a.log"), std::string::npos) << session.error().message;
      continue;
    }
    expect_right(**engine, *memory, **session);
    auto plain = (*engine)->new_session();
    ASSERT_TRUE(plain->append(tokens) && evaluate(**engine, *plain));
    EXPECT_LE((*engine)->take_warnings().size(), 1u);
  }
}

TEST(TiersFault, ACopiedContextIsNotKept) {
  const Place place;
  auto engine = place.tiered();
  ASSERT_TRUE(engine);
  core::Rng rng(13);
  const auto tokens = text_of(rng, 1024);
  auto named = (*engine)->open_session("a");
  ASSERT_TRUE(named && (*named)->append(tokens) && evaluate(**engine, **named));
  EXPECT_FALSE((*named)->repeat_for_bench(512, 2048, Repetition::kCopied));
  auto session = (*engine)->new_session();
  ASSERT_TRUE(session->append(tokens) && evaluate(**engine, *session));
  EXPECT_FALSE(session->repeat_for_bench(320, 2048, Repetition::kCopied));  // inside a sealed segment
  EXPECT_TRUE(evaluate(**engine, *session));
  session = (*engine)->new_session();
  ASSERT_TRUE(session->append(std::span(tokens).first(512)) && evaluate(**engine, *session));
  EXPECT_TRUE(session->repeat_for_bench(512, 2048, Repetition::kCopied));
}

}  // namespace
}  // namespace mneme

// mneme's public interface: an Engine is one loaded model with its threads; a Session is one growing context.
//
//   auto engine = mneme::Engine::open({.model_path = "model.gguf"});
//   auto session = (*engine)->new_session();
//   (*session)->append((*engine)->text().encode("Once upon a time", {}));
//   auto report = mneme::generate(**engine, **session, {.tokens_max = 64}, {.on_text = print});
//
// Ownership: sessions must be destroyed before their engine. Thread safety: an Engine and its sessions belong
// to one thread at a time; Text is immutable and may be used from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mneme/grammar.h"
#include "mneme/result.h"
#include "mneme/sampling.h"
#include "mneme/text.h"

namespace mneme {

// Where n-gram tables (Engram) lie. The logits are the same, bit for bit.
enum class EngramPlacement {
  kMemory,  // loaded with the other weights
  kDisk,    // read row by row from the model file, which must stay as it is; the page cache keeps what it can
};

// How decode steps of long contexts (past about 2,000 tokens) read keys and values.
enum class AttentionMode {
  kExact,      // all of them, in bf16
  kCertified,  // all keys in 8 bits or more, with a proven bound on the error of every step
  kAdaptive,   // what matters in bf16 or 8 bits, the rest estimated; audited, held at a target error
};

// How passes over long inputs (past about 8,000 tokens) do. The last 512 tokens of an input are always read
// densely.
enum class PrefillMode {
  kAuto,    // kSparse where attention is kAdaptive
  kDense,   // all keys and values, in bf16
  kSparse,  // what matters in bf16, the rest estimated; audited, held at a target error
};

struct EngineOptions {
  // What it does
  std::string model_path = {};  // GGUF; the first part of a split model
  uint64_t kv_bytes_max = 0;    // memory for keys and values of all sessions; 0: half of what is free after
                                // loading
  // With a cold tier kCertified is kExact: not every block has an 8-bit copy.
  AttentionMode attention = AttentionMode::kExact;
  PrefillMode prefill = PrefillMode::kAuto;
  // Of what a layer's attention adds to the residual stream, relative to the stream. Smaller is slower.
  double target_error = 0.005;
  // How fast
  int threads = 0;         // 0: one a core that this process may use
  int prefill_rows = 512;  // tokens in one pass, 1..512; more is faster and takes more memory
  // kDisk where memory is short and the file on an SSD; models without such tables do not ask
  EngramPlacement engram = EngramPlacement::kMemory;
  // Where contexts are kept (the cold tier): sealed segments and named sessions, found again after a restart.
  // Empty: keys and values are in memory alone, at most kv_bytes_max of them. One process at a time.
  std::string cold_folder = {};
  uint64_t cold_bytes_max = 0;  // of the folder; 0: until the disk is full
  // Memory of the hot and warm tiers where there is a cold one, in bytes; both kByShare: 20 % of the
  // contexts' blocks and 50 % of them at half their size, at least 256 MiB, at most kv_bytes_max. Warm is
  // bf16 as hot is, but with kAdaptive 8-bit copies.
  static constexpr uint64_t kByShare = UINT64_MAX;
  uint64_t hot_bytes = kByShare, warm_bytes = kByShare;
  std::function<void(double share)> on_load = {};  // progress of loading, from the calling thread; may be
                                                   // empty
};

struct ModelInfo {
  std::string path, name, architecture;
  std::string isa;  // kernels in use: "scalar", "avx2", "avx512", "amx"
  int threads = 0;
  size_t prefill_rows = 0;  // tokens in one pass
  int layers = 0, dim = 0, ffn_dim = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab_size = 0;
  int context_length = 0;  // what the model was trained for; longer contexts are allowed
  uint64_t parameters = 0;
  uint64_t file_bytes = 0;
  uint64_t weight_bytes = 0;    // resident
  uint64_t decode_bytes = 0;    // weights read a decoded token
  uint64_t kv_token_bytes = 0;  // keys and values a token, all layers but those with a sliding window
  // The same for their 8-bit copies and summaries: where attention may be sparse and all is in memory.
  uint64_t kv_sealed_token_bytes = 0;

  // Of a context of so many tokens: they are taken in whole blocks.
  static constexpr uint64_t kKvBlockTokens = 64;
  uint64_t kv_bytes(uint64_t tokens) const {
    return (tokens + kKvBlockTokens - 1) / kKvBlockTokens * kKvBlockTokens *
           (kv_token_bytes + kv_sealed_token_bytes);
  }
};

// Where the keys and values of an engine's contexts are, and what it took to bring them there.
struct TierReport {
  bool on = false;                                            // there is a cold tier
  uint64_t bytes_hot = 0, bytes_warm = 0, bytes_passing = 0;  // in memory now
  uint64_t hits_hot = 0, hits_warm = 0;  // extents (256 tokens of a layer) that a pass found in memory
  uint64_t hits_ahead = 0, misses = 0;   // found because they were read ahead; waited for
  uint64_t bytes_read = 0, bytes_written = 0;
  double stalled_s = 0, read_s = 0;  // passes waited for the disk; the disk read
  uint64_t extents_evicted = 0, segments_sealed = 0, segments_found = 0;
};

// How a context for measuring is made of a short one: the same tokens again and again, or blocks of keys and
// values drawn from them, which are no two the same (Session::repeat_for_bench).
enum class Repetition : uint8_t { kCopied, kDrawn };

// A context seen from outside: which of its extents are where.
enum class TierOf : uint8_t { kHot, kWarm, kPassing, kCold, kUnwritten };
struct TierMap {
  int layers = 0;  // that keep every token
  size_t segment_tokens = 256;
  size_t tokens = 0;            // evaluated; those after the last segment are open, in memory
  std::vector<TierOf> extents;  // [segments, layers]
  std::vector<float> heat;      // the same: how often held lately
};

// How the decode steps of a context (or its prefill) read keys and values so far, in one layer or in all.
// Shares are of 1.
struct AttentionShares {
  uint64_t steps = 0, steps_dense = 0;  // of long contexts; those that were exact all the same
  double tokens_bf16 = 0, tokens_8bit = 0, tokens_estimated = 0;  // of the tokens attended to
  double work_bf16 = 0, work_8bit = 0, work_2bit = 0;             // of multiply-adds; 2 bits: the scan
  double bytes_a_step = 0, bytes_a_step_exact = 0;                // of keys and values, in all forms
  // Audits compare with exact attention: |error| / |residual stream| of a layer, and the share of the softmax
  // that was estimated.
  uint64_t audits = 0;
  double error_mean = 0, error_max = 0, missed_mass = 0;
  // Certified: proven bounds of the same error.
  double bound_mean = 0, bound_max = 0;
};
struct AttentionReport {
  AttentionMode mode = AttentionMode::kExact;
  double target_error = 0;
  AttentionShares all;
  // One audit: its error, and what the layer's steps were held at when it came (the target, moved so that
  // audits meet it); how tokens were read since the audit before.
  struct Audit {
    uint64_t position = 0;
    double error = 0, held = 0;
    double tokens_bf16 = 0, tokens_8bit = 0, tokens_estimated = 0;
    bool dense = false;  // beside an exact step
  };
  bool prefill_sparse = false;
  double prefill_target_error = 0;
  AttentionShares prefill;  // of passes over long inputs; a pass is a step
  struct Layer {
    int layer = 0;
    AttentionShares shares;
    bool dense = false;  // an audit failed: exact until audits are fine again
    AttentionShares prefill;
    bool prefill_dense = false;
    std::vector<Audit> audits;  // of decode steps; the latest, some thousands at most
  };
  std::vector<Layer> layers;  // that keep every token
};

// The audits' errors beside the target, and how tokens were read, over the positions of the context.
std::string attention_svg(const AttentionReport& report);

class Session {
 public:
  // A named session is flushed.
  virtual ~Session() = default;
  // Empty: not kept under a name.
  virtual const std::string& name() const = 0;
  // Tokens whose keys and values were found (in memory or in the cold tier) instead of computed, so far.
  virtual size_t reused() const = 0;
  // Tokens that passes computed so far, those again that had been lost.
  virtual size_t computed() const = 0;
  // Writes what is not on the disk yet: segments, and of a named session its open tokens and its log, synced.
  // Does nothing without a cold tier.
  virtual Result<void> flush() = 0;
  // Gives back the memory of a session that is not to run soon, open tokens included (not its ids, and its
  // last logits). It comes back by itself with its next step, as it was; what was removed from the disk by
  // then is evaluated again. An error, and it stays in memory, without a cold tier and where the disk fails.
  virtual Result<void> demote() = 0;
  // The same context once more, unnamed; what is sealed is shared. Needs a cold tier and nothing pending.
  virtual Result<std::unique_ptr<Session>> fork() = 0;
  virtual TierMap map() const = 0;
  virtual AttentionReport attention() const = 0;
  // Adds tokens to the context; they are evaluated by Engine::step. Ids outside the vocabulary: an error,
  // nothing added.
  virtual Result<void> append(std::span<const TokenId> tokens) = 0;
  virtual std::span<const TokenId> tokens() const = 0;  // all, evaluated or not
  virtual size_t pending() const = 0;                   // not yet evaluated
  // Logits after the last token, [vocab_size]; empty until pending() is 0, and after truncate() until
  // something new was evaluated. Valid until the next step, append or truncate.
  virtual std::span<const float> logits() const = 0;
  // Forgets everything from token `count` on; a count beyond the end changes nothing. Models with sliding
  // windows forget what is far back: if more than about 512 tokens are taken back, the rest is pending again.
  virtual void truncate(size_t count) = 0;
  // How many tokens would stay evaluated after truncate(count); with a cold tier perhaps more are found again
  // by the next step.
  virtual size_t kept_by_truncate(size_t count) const = 0;
  // From now on `row` hears, within the step, the logits after every token that a step evaluates,
  // [vocab_size], and the token's index; nothing of the context is found instead. What was forgotten and is
  // evaluated again is heard again. Empty: nobody hears them any more.
  virtual void hear_logits(std::function<void(size_t index, std::span<const float> logits)> row) = 0;
  // Of a session of Engine::new_embedding(): the mean over its evaluated tokens of what the head would see
  // (the last layer's states after the final norm), divided by its length. [dim]; empty for other sessions,
  // and before anything was evaluated.
  virtual std::vector<float> embedding() const = 0;
  // Makes the context `depth` tokens deep with the keys and values of the first `period` (a multiple of 64,
  // all evaluated, no more than depth). Tokens after them are forgotten first. For measuring speed at depth
  // only.
  virtual Result<void> repeat_for_bench(size_t period, size_t depth, Repetition how) = 0;
  // Small texts that a named session keeps beside its tokens (a conversation's messages), by key. A note
  // replaces the one before of its key; it is on the disk after flush(). An error, and no change, for an
  // unnamed session, a key that is empty or has '=', a zero byte, and 64 KiB of key and value or more.
  virtual Result<void> set_note(std::string_view key, std::string_view value) = 0;
  virtual std::string note(std::string_view key) const = 0;  // empty: there is none
};

// A cold tier keeps and finds contexts in pieces of so many tokens.
inline constexpr size_t kSegmentTokens = 256;

// How many tokens both begin with.
size_t common_prefix(std::span<const TokenId> one, std::span<const TokenId> other);

class Engine {
 public:
  // Fails with one line naming what is wrong with the file, the options, or the memory that is missing.
  static Result<std::unique_ptr<Engine>> open(const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const ModelInfo& info() const = 0;
  virtual const Text& text() const = 0;
  // In a cold tier the contexts of a scope are found again by those of the same scope alone: whoever measures
  // how soon an answer comes learns nothing of other scopes. Empty: a scope like any other.
  virtual std::unique_ptr<Session> new_session(const std::string& scope = {}) = 0;
  // A context that is evaluated for its embedding() alone: it has no logits, and nothing of it is found in
  // the cold tier or kept there. Tokens taken back still count in the mean.
  virtual std::unique_ptr<Session> new_embedding() = 0;
  // The session of this name, as it was when it was last flushed, or a new one; needs a cold tier. What it
  // had is evaluated again only where the cold tier has lost it. Fails for a session of another model, one
  // that is open already, and a name that is none ([A-Za-z0-9._-], at most 100, not beginning with . or -).
  // A new one is of this scope; one that is there stays of its own.
  virtual Result<std::unique_ptr<Session>> open_session(const std::string& name,
                                                        const std::string& scope = {}) = 0;
  // Removes what is kept under the name; segments stay until room is needed. Fails where the session is open,
  // where there is none of this name, and without a cold tier.
  virtual Result<void> remove_session(const std::string& name) = 0;
  virtual TierReport tiers() const = 0;
  // What went wrong without stopping anybody (a damaged segment that was computed again, a full disk), a line
  // each; empties the list.
  virtual std::vector<std::string> take_warnings() = 0;

  // One pass over some of the pending tokens of these sessions (each named once), together: every session
  // with one pending token decodes, the rest of the rows go to prefill in the order given. `rows_max`:
  // [sessions] or empty; at most so many tokens of each, so that a pass is short while somebody waits for his
  // next token. Returns how many tokens were evaluated (0: nothing was pending). Fails without change when
  // the KV budget is used up.
  virtual Result<size_t> step(std::span<Session* const> sessions, std::span<const size_t> rows_max = {}) = 0;
  // Evaluates `tokens` after the session's context and hands each row of logits [vocab_size] to `row`, in
  // order; one token at a time when `decode`. An error where something appended before is still pending,
  // where an id is outside the vocabulary (nothing evaluated), or where the KV budget is used up (rows handed
  // out so far stand).
  virtual Result<void> logits_of(Session& session, std::span<const TokenId> tokens, bool decode,
                                 const std::function<void(std::span<const float>)>& row) = 0;
  virtual uint64_t kv_bytes_used() const = 0;
  virtual uint64_t kv_bytes_max() const = 0;
};

struct GenerateOptions {
  int tokens_max = 256;  // < 0: until the end token or the budget
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};  // generation ends before the first of these texts
  bool ignore_end = false;             // go on past the model's end-of-generation tokens
  int top_logprobs = -1;               // of each token: -1 nothing, 0 its own, n also the n likeliest
  // The tokens of the prompt are told as well, with probabilities as top_logprobs says. All of it is
  // evaluated for that: the session has nothing evaluated yet.
  bool score_prompt = false;
  // The generated text stays within this grammar, and ends (StopReason::kEnd) where it must end; made with
  // the vocabulary of the engine's text. End tokens then end it, whatever ignore_end says.
  std::shared_ptr<const grammar::Constraint> constraint = {};
};

enum class StopReason {
  kEnd,     // the model's end token
  kLength,  // tokens_max
  kStopText,
  kCancelled,
  kFull,     // no memory for more keys and values; `message` says which budget. What was generated stands
  kNoToken,  // a constraint, and no token that it allows may be drawn (`message`); what was generated stands
};

struct GenerateReport {
  StopReason reason = StopReason::kEnd;
  std::string message;    // for a person, where the reason is kFull or kNoToken
  std::string stop_text;  // which, where the reason is kStopText
  bool complete = true;   // with a constraint: `text` is one of the grammar's, and not the beginning of one
  std::string text;
  size_t prompt_tokens = 0;  // evaluated before the first new token
  size_t found_tokens = 0;   // of the prompt, found instead of evaluated
  size_t generated_tokens = 0;
  double prefill_s = 0;
  double decode_s = 0;  // from the first new token to the last
};

// A token as it was drawn. Logarithms of probabilities are the model's own, before bias, penalties,
// temperature and grammar.
struct DrawnToken {
  TokenId token = 0;
  std::string bytes;  // its own, perhaps part of a character; empty for a special token
  float logprob = 0;
  struct Other {
    TokenId token;
    std::string bytes;
    float logprob;
  };
  std::vector<Other> top;  // falling
};

struct GenerateEvents {
  // Where score_prompt: every token of the prompt but the first, in order; after the on_prefill of its step.
  std::function<void(const DrawnToken&)> on_prompt_token = {};
  std::function<void(const DrawnToken&)> on_token = {};            // where top_logprobs >= 0; before its text
  std::function<void(size_t done, size_t total)> on_prefill = {};  // evaluated so far, of those not found
  std::function<void(std::string_view)> on_text = {};              // whole UTF-8 characters
  std::function<bool()> cancelled = {};                            // asked between steps
};

// Evaluates what is pending, then samples until a stop. The generated tokens are in the session afterwards,
// the end token too (a stop text is cut from `text`, not from the session). Fails for an empty context and,
// before anything is evaluated, for a prompt that the KV budget cannot hold.
Result<GenerateReport> generate(Engine& engine, Session& session, const GenerateOptions& options,
                                const GenerateEvents& events);

// One embedding a text, [texts][dim] (Session::embedding). Short texts go through the model together. Fails
// for a text without tokens, an id outside the vocabulary, and where the KV budget cannot hold a text.
Result<std::vector<std::vector<float>>> embed(Engine& engine, std::span<const std::vector<TokenId>> texts);

}  // namespace mneme

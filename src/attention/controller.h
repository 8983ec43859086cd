// One layer's part of sparse decoding in one context: how large its error may be, and what audits taught.
//
// The error that counts is what attention adds to the residual stream beside what dense attention would have
// added, relative to the stream: |W_o (o - o_dense)| / |x|, W_o being the output product. It is held at a
// target. (Relative to |o| it would say nothing where |o| is nearly zero.)
#pragma once

#include <cstdint>
#include <optional>

namespace mneme::attention {

// One KV head of one step, computed densely too. All errors are of that head alone; squares of the attention
// output's units, over its query heads, of one token.
struct AuditReport {
  double residual_error = 0;  // |W_o (o - o_dense)| / |x|
  double missed_mass = 0;     // true share of the softmax in blocks that were estimated
  // What each way of reading did, and what was expected of it with the numbers it was chosen by.
  double error_estimated = 0, expected_estimated = 0;
  double error_eight_bit = 0, expected_eight_bit = 0;
  // log of (estimated mass / true mass) of the blocks that were estimated; nothing where there was no mass.
  std::optional<double> log_bias;
};

// The first audits of a context come one after the other, once for each KV head; then in one of so many
// steps: usually, where the layer runs dense, and the same where its blocks are not all in memory.
struct AuditRates {
  uint32_t every, every_dense, every_far, every_dense_far;
};
// A decode step that runs dense over what is not in memory has to read it all anyway.
inline constexpr AuditRates kDecodeAudits{16, 4, 128, 1};
// A pass is hundreds of steps, and its audit looks at few rows of it.
inline constexpr AuditRates kPrefillAudits{2, 2, 16, 2};

class LayerController {
 public:
  // begins_dense false: the first guesses are trusted.
  LayerController(double target, int kv_heads, const AuditRates& rates = kDecodeAudits,
                  bool begins_dense = true)
      : target_(target), kv_heads_(kv_heads), rates_(rates), dense_(begins_dense) {}

  // --- After each step of the layer, dense or not: norms of what is added to (|x|), of the attention output
  // over all heads (|o|) and of its product (|W_o o|), of one token. Zeros and infinities are passed over.
  void observe(double residual, double attended, double output);

  // |o - o_dense|^2 that one token may have, over all heads of the layer; 0 until something was observed.
  double allowed_error() const;
  // The same relative to the residual stream: the target, moved so that audits meet it.
  double held_error() const { return target_ * scale_; }
  // A layer runs dense until two audits in a row are fine: at first, when what errors are expected from is a
  // guess and an answer begins, and after an audit that failed badly.
  bool dense() const { return dense_; }
  // The KV head to audit at this position; nothing: none. The same for the same history. `in_memory`: the
  // whole context stays there; else an audit is dear.
  std::optional<int> draw_audit(uint64_t position, int layer, bool in_memory) const;
  void learn(const AuditReport& audit);

  // --- What the errors of blocks are expected from (sparse_decode.h)
  // Of the distance of a block's values from their mean, the share by which its estimate is off.
  double estimate_share() const { return estimate_.share(); }
  // Relative error of what is read in 8 bits.
  double eight_bit_share() const { return eight_bit_.share(); }
  double log_bias() const { return log_bias_; }
  int audits() const { return audits_; }

 private:
  // A factor of an error as the root of a ratio of sums of squares over the audits, older ones counting less:
  // robust where most audits see next to nothing.
  class Share {
   public:
    Share(double first, double least, double most) : first_(first), least_(least), most_(most) {}
    double share() const;
    void learn(double measured, double expected);  // squares; `expected` with the present share

   private:
    double first_, least_, most_;
    double measured_ = 0, unit_ = 0;
  };

  double target_;
  int kv_heads_;
  AuditRates rates_;
  double log_gain_ = 0;  // of |W_o o| / (|o| |x|)
  bool observed_ = false;
  // Not much less than theory says, however well it goes: a token that looks one thing up after a thousand
  // that did not must find it.
  Share estimate_{1.0, 0.5, 8.0};
  Share eight_bit_{0.04, 0.02, 1.0};
  double log_bias_ = 0;
  int biases_ = 0;
  double ratio_ = 1;  // (measured error / what was allowed)^2, smoothed
  double scale_ = 1;  // of the allowed error, so that the measured one meets the target
  int audits_ = 0;
  bool dense_;
  int fine_ = 0;  // audits in a row
};

}  // namespace mneme::attention

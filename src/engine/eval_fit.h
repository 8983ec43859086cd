// Contexts that are exactly as many tokens long as asked.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "mneme/text.h"
#include "tasks/text.h"

namespace mneme::engine {

template <class Sample>
struct Fitted {
  Sample sample;
  std::vector<TokenId> prompt;  // with the first question
};

// Of the source's prose.
double bytes_per_token(const Text& text, const tasks::TextSource& source, tasks::Language language);

// make(bytes, draw) gives a Result<std::optional<Fitted<Sample>>>: a sample of that many bytes, another one
// for each draw, or nothing where that draw has none. The one returned has `tokens` tokens at most, and 3 %
// less at most where make can. Nothing where none fits.
//
// Bytes are found by what the sample before took: a line through the origin, since all but a few tokens grow
// with the context. The same draw at another size is nearly the same sample, so this settles quickly. Where
// records are large beside the context it goes in steps: then halving between too few and too many bytes
// finds the last step that fits, and another draw's steps lie elsewhere.
template <class Sample, class Make>
Result<std::optional<Fitted<Sample>>> fit(size_t tokens, double bytes_of_a_token, Make make) {
  constexpr int kTriesMax = 32;
  constexpr double kBytesMax = 1e18;
  const auto most = static_cast<double>(tokens);
  const double least = 0.97 * most, aim = 0.987 * most;
  double bytes = 0.9 * aim * bytes_of_a_token;
  double fewest = 0, too_many = kBytesMax;
  std::optional<Fitted<Sample>> best;
  uint64_t draw = 0;
  const auto draw_again = [&] {
    draw += 0x9E3779B97F4A7C15ull;
    fewest = 0;
    too_many = kBytesMax;
  };
  for (int tries = 0; tries < kTriesMax; ++tries) {
    auto made = make(static_cast<size_t>(std::max(bytes, 16.0)), draw);
    if (!made) return core::pass(made);
    if (!made->has_value()) {
      draw_again();
      continue;
    }
    Fitted<Sample>& fitted = **made;
    const auto count = static_cast<double>(fitted.prompt.size());
    const bool fits = fitted.prompt.size() <= tokens;
    if (fits && (!best || fitted.prompt.size() > best->prompt.size())) best = std::move(fitted);
    if (fits && count >= least) break;
    (fits ? fewest : too_many) = bytes;
    bytes *= std::clamp(aim / count, 0.1, 4.0);
    if (bytes <= fewest || bytes >= too_many) bytes = (fewest + too_many) / 2;
    if (too_many - fewest < 0.01 * too_many) draw_again();
  }
  return best;
}

}  // namespace mneme::engine

#include "cli/eval_file.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/input.h"
#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kFormat = "mneme_eval";

Json depth_json(double depth) { return depth < 0 ? Json(nullptr) : Json(depth); }

double depth_of(const Json& json) { return json.is_null() ? kAnyDepth : json.get<double>(); }

Json answer_json(Side side, uint64_t seed, const EvalAnswer& answer) {
  return {{"side", side == Side::kA ? "a" : "b"},
          {"task", answer.task},
          {"language", answer.language},
          {"form", answer.form},
          {"length", answer.length},
          {"depth", depth_json(answer.depth)},
          {"seed", seed},
          {"sample", answer.sample},
          {"question_index", answer.question_index},
          {"questions", answer.questions},
          {"context_tokens", answer.context_tokens},
          {"evidence_depth", depth_json(answer.evidence_depth)},
          {"question", answer.question},
          {"expected", answer.expected},
          {"given", answer.given},
          {"stop", stop_name(answer.stop)},
          {"score", answer.score},
          {"correct", answer.correct},
          {"right_keys", answer.right_keys ? Json(*answer.right_keys) : Json(nullptr)},
          {"prefill_tokens", answer.prefill_tokens},
          {"decode_tokens", answer.decode_tokens},
          {"prefill_seconds", answer.prefill_s},
          {"decode_seconds", answer.decode_s},
          {"seconds", answer.prefill_s + answer.decode_s}};
}

StopReason parse_stop(const std::string& name) {
  for (const StopReason reason : {StopReason::kEnd, StopReason::kLength, StopReason::kStopText}) {
    if (stop_name(reason) == name) return reason;
  }
  return StopReason::kEnd;
}

// Throws nlohmann's exceptions for what is no answer.
EvalAnswer parse_answer(const Json& json) {
  EvalAnswer answer;
  json.at("task").get_to(answer.task);
  json.at("language").get_to(answer.language);
  json.at("form").get_to(answer.form);
  json.at("length").get_to(answer.length);
  answer.depth = depth_of(json.at("depth"));
  json.at("sample").get_to(answer.sample);
  json.at("question_index").get_to(answer.question_index);
  json.at("questions").get_to(answer.questions);
  json.at("context_tokens").get_to(answer.context_tokens);
  answer.evidence_depth = depth_of(json.at("evidence_depth"));
  json.at("question").get_to(answer.question);
  json.at("expected").get_to(answer.expected);
  json.at("given").get_to(answer.given);
  answer.stop = parse_stop(json.at("stop"));
  json.at("score").get_to(answer.score);
  json.at("correct").get_to(answer.correct);
  // Not in files of earlier versions.
  if (const auto keys = json.find("right_keys"); keys != json.end() && !keys->is_null())
    answer.right_keys = keys->get<bool>();
  json.at("prefill_tokens").get_to(answer.prefill_tokens);
  json.at("decode_tokens").get_to(answer.decode_tokens);
  json.at("prefill_seconds").get_to(answer.prefill_s);
  json.at("decode_seconds").get_to(answer.decode_s);
  return answer;
}

// "lengths: [1000] there, [2000] here"
std::string difference(const Json& there, const Json& here) {
  std::string text;
  for (const auto& [key, value] : here.items()) {
    const Json other = there.contains(key) ? there[key] : Json(nullptr);
    if (other == value) continue;
    text += (text.empty() ? "" : "; ") + key + ": " + other.dump() + " there, " + value.dump() + " here";
  }
  return text.empty() ? "options that this version does not have" : text;
}

}  // namespace

Result<AnswerFile> AnswerFile::open(const std::string& path, const Json& options) {
  AnswerFile file;
  file.path_ = path;
  file.options_ = options;
  if (path.empty()) return file;
  file.file_.reset(std::fopen(path.c_str(), "ab"));
  if (!file.file_) return tl::unexpected(Error{path + ": " + std::strerror(errno)});
  if (::flock(::fileno(file.file_.get()), LOCK_EX | LOCK_NB) != 0)
    return tl::unexpected(Error{path + ": another process is writing it"});
  auto text = read_input(path);
  if (!text) return tl::unexpected(text.error());
  const size_t whole = text->rfind('\n') == std::string::npos ? 0 : text->rfind('\n') + 1;
  auto read = file.read(text->substr(0, whole));
  if (!read) return tl::unexpected(Error{path + ": " + read.error().message});
  // Only now: what is no file of answers is left as it is.
  const std::string beginning = "{\"" + std::string(kFormat) + "\"";
  const size_t both = std::min(beginning.size(), text->size());
  if (whole == 0 && text->substr(0, both) != beginning.substr(0, both))
    return tl::unexpected(Error{path + ": is no file of answers"});
  if (whole < text->size() && ::ftruncate(::fileno(file.file_.get()), static_cast<off_t>(whole)) != 0)
    return tl::unexpected(Error{path + ": " + std::strerror(errno)});
  return file;
}

// Whole lines.
Result<void> AnswerFile::read(const std::string& text) {
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const Json json = Json::parse(text.begin() + static_cast<ptrdiff_t>(at),
                                  text.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    at = end + 1;
    if (++number == 1) {
      if (!json.is_object() || !json.contains(kFormat)) return tl::unexpected(Error{"is no file of answers"});
      if (json.value("options", Json()) != options_)
        return tl::unexpected(Error{"was made with other options (" +
                                    difference(json.value("options", Json()), options_) +
                                    "): give another file, or remove it"});
      started_ = true;
      continue;
    }
    try {
      auto& side = json.at("side") == "a" ? known_a_ : known_b_;
      side.push_back(parse_answer(json));
    } catch (const Json::exception& error) {
      return tl::unexpected(Error{format("line %zu is no answer: %s", number, error.what())});
    }
  }
  return {};
}

void AnswerFile::write(Side side, const EvalAnswer& answer) {
  if (!file_ || !ok()) return;
  if (!std::exchange(started_, true)) write_line({{kFormat, 1}, {"options", options_}});
  write_line(answer_json(side, options_.value("seed", uint64_t{0}), answer));
}

void AnswerFile::write_line(const Json& json) {
  const std::string line = json_text(json, -1);
  const bool written = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size() &&
                       std::fflush(file_.get()) == 0;
  if (!written) error_ = std::strerror(errno);
}

}  // namespace mneme::cli

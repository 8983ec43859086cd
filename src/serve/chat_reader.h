// Reads an answer's text as it comes: text, reasoning and tool calls, however it is cut into pieces. What may
// be the beginning of a mark is held back until it is told; a call that is none comes out as text.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "serve/tool_dialect.h"
#include "serve/tool_json.h"

namespace mneme::serve {

class ReaderEvents {
 public:
  virtual ~ReaderEvents() = default;
  // `begin`: where the piece lies among all bytes that were pushed.
  virtual void on_text(std::string_view piece, size_t begin) = 0;
  virtual void on_reasoning(std::string_view piece) = 0;
  // Calls do not overlap; arguments make one JSON object.
  virtual void on_tool_begin(const std::string& name) = 0;
  virtual void on_tool_arguments(std::string_view piece) = 0;
  virtual void on_tool_end() = 0;
};

struct ReaderOptions {
  ToolDialect dialect;
  std::span<const ToolSpec> tools = {};  // empty: no calls are looked for; read while constructing
  bool reasoning = false;                // <think> at the beginning counts
  bool reasoning_open = false;           // the prompt has opened it already
};

class ChatReader {
 public:
  ChatReader(const ReaderOptions& options, ReaderEvents& events);
  void push(std::string_view piece);
  void finish();

 private:
  // Bytes of a call that has not begun; more is text. Arguments that come before the name wait here.
  static constexpr size_t kUnknownBytesMax = size_t{32} << 10;
  enum class Mode : uint8_t { kStart, kReasoning, kText, kCall, kBetween };
  enum class Phase : uint8_t { kBefore, kObject, kParameters, kValueStart, kValue };
  enum class Found : uint8_t { kNo, kPartly, kWhole };

  // Each goes on from `at_` and says whether there is more to do now; `end`: nothing follows.
  bool step(bool end);
  bool start(bool end);
  bool reasoning(bool end);
  bool text(bool end);
  bool call(bool end);
  bool between(bool end);
  bool object_call(bool end);

  // chat_reader_xml.cpp
  bool xml_call(bool end);
  bool xml_function(bool end);
  bool xml_parameter(bool end);
  bool xml_value(bool end);
  void end_value(std::string_view value);
  bool is_text_parameter() const;

  std::string_view rest() const { return std::string_view(in_).substr(at_); }
  Found find_here(std::string_view mark, bool end) const;
  size_t skip_blanks();
  void begin_call(size_t mark_bytes);
  bool fail_call();
  void begin_arguments(const std::string& name);
  void emit_text(size_t bytes);
  void emit_arguments();
  void end_arguments();
  void compact();

  ToolDialect dialect_;
  ReaderEvents* events_;
  std::map<std::string, std::string, std::less<>> tools_;  // schemas by name
  bool reasoning_ = false;

  std::string in_;   // what is not done with
  size_t at_ = 0;    // in in_
  size_t gone_ = 0;  // bytes before in_
  Mode mode_ = Mode::kStart;
  Phase phase_ = Phase::kBefore;
  bool after_reasoning_ = false, reasoning_begun_ = false;
  bool text_begun_ = false;   // since the start, or the last call
  size_t literal_until_ = 0;  // in in_: marks before it are text
  size_t call_start_ = 0;     // in in_, mark and all
  size_t call_mark_ = 0;      // bytes of the mark
  bool call_begun_ = false, close_expected_ = false, in_list_ = false;
  CallObject object_;
  std::string arguments_;  // not emitted yet
  std::string function_, key_;
  bool text_value_ = false;
  size_t parameters_ = 0;
};

}  // namespace mneme::serve

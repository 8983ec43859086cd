#include "model/chat_template.h"

#include <chrono>

#include "model/jinja_evaluator.h"
#include "model/jinja_parser.h"

namespace mneme::model {

using core::fail;

struct ChatTemplate::State {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

Result<ChatTemplate> ChatTemplate::compile(std::string_view source) {
  auto body = jinja::parse_template(source);
  if (!body) return fail("chat template: {}", body.error().message);
  return ChatTemplate(std::make_unique<State>(State{std::move(*body)}));
}

Result<std::string> ChatTemplate::render(const JinjaValue& context, const ChatRenderOptions& options) const {
  if (!context.is_dict())
    return fail("chat template: its context is a '{}', not a dict", context.type_name());
  if (context.depth() > kJinjaValueDepthMax) {
    return fail("chat template: its context is nested deeper than {}", kJinjaValueDepthMax);
  }
  using std::chrono::system_clock;
  int64_t now = options.now_unix_s.value_or(system_clock::to_time_t(system_clock::now()));
  jinja::Runtime runtime(options.limits, now);
  jinja::Evaluator evaluator(runtime, *context.as_dict());
  auto text = evaluator.render(state_->body);
  if (!text) return fail("chat template: line {}: {}", evaluator.error_line(), text.error().message);
  return text;
}

}  // namespace mneme::model

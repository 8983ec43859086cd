#include "serve/call_parts.h"

#include <chrono>
#include <random>
#include <utility>

#include "core/error.h"

namespace mneme::serve {

std::string random_id(std::string_view prefix) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return fmt::format("{}{:016x}{:08x}", prefix, random(), static_cast<uint32_t>(random()));
}

uint64_t fresh_seed() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

Origin origin_of(const Call& call, std::string affinity_in_body, std::string session) {
  Origin from;
  from.owner = call.caller.owner;
  from.priority = call.caller.priority;
  from.sessions_max = call.caller.sessions_max;
  from.context_tokens_max = call.caller.tokens_max;
  from.session = std::move(session);
  from.affinity = std::move(affinity_in_body);
  for (const std::string_view name : {"session_id", "session-id", "x-session-affinity", "x-session-id"})
    if (const auto value = call.request->header(name); !value.empty()) from.affinity = value;
  return from;
}

void cancel_when_gone(Answer& answer, const std::shared_ptr<Backend>& backend,
                      std::vector<GenerationId> ids) {
  // Weak: nobody's answer keeps a model.
  answer.on_gone([weak = std::weak_ptr<Backend>(backend), ids = std::move(ids)] {
    if (const auto backend = weak.lock())
      for (const GenerationId id : ids) backend->cancel(id);
  });
}

std::string model_name(const std::string& asked, const Backend& backend) {
  return asked.empty() || asked == "auto" ? backend.info().name : asked;
}

std::function<void(uint64_t, uint64_t)> account_of(const Call& call, const Backend& backend) {
  if (!call.account) return {};
  return [account = call.account, name = backend.info().name](uint64_t prompt, uint64_t generated) {
    account(name, prompt, generated);
  };
}

void add_post(Router& router, Models& models, const char* path, Surface surface,
              tl::expected<void, Failure> (*serve)(const Call&, Models&)) {
  router.add("POST", path, [&models, surface, serve](const Call& call) {
    if (const auto served = serve(call, models); !served) send_failure(*call.answer, surface, served.error());
  });
}

int64_t unix_now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void add_paragraph(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text += "\n\n";
  text += more;
}

}  // namespace mneme::serve

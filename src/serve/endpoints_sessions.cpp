// /v1/sessions: contexts that are kept, seen and looked after by those whose they are. Of another's session
// is said what is said of one that is not there.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "serve/api.h"

namespace mneme::serve {
namespace {

Json session_json(const SessionState& state, const std::string& model, bool with_owner) {
  Json out = {{"id", state.id},           {"model", model},           {"named", state.named},
              {"running", state.running}, {"pinned", state.pinned},   {"resting", state.resting},
              {"tokens", state.tokens},   {"pending", state.pending}, {"idle_s", state.idle_s}};
  if (!state.affinity.empty()) out["affinity"] = state.affinity;
  if (with_owner) out["owner"] = state.owner;
  return out;
}

bool may_see(const Caller& caller, const SessionState& state) {
  return caller.is_admin || state.owner == caller.owner;
}

struct Kept {
  std::string model;
  std::shared_ptr<Backend> backend;
  SessionState state;
};

// All that the caller may see, of every loaded model.
std::vector<Kept> kept_sessions(Models& models, const Caller& caller) {
  std::vector<Kept> kept;
  for (const ModelEntry& entry : models.list()) {
    if (!entry.loaded) continue;
    const auto backend = models.find(entry.name, 0);
    if (!backend) continue;
    for (SessionState& state : (*backend)->sessions()) {
      if (may_see(caller, state)) kept.push_back({entry.name, *backend, std::move(state)});
    }
  }
  return kept;
}

void refuse(const Call& call, int status, std::string message, std::string code = {}) {
  send_refusal(*call.answer, Surface::kOwn, Refusal{status, std::move(message), std::move(code)});
}

void send_json(const Call& call, int status, const Json& value) {
  call.answer->send(status, "application/json", json_text(value));
}

// The caller's own first, where an admin sees several of one id; then as ?model= says.
std::optional<Kept> find_session(const Call& call, Models& models) {
  const auto id = call.parameters.find("id");
  const std::string model = call.request->query_value("model"), owner = call.request->query_value("owner");
  std::optional<Kept> found;
  for (Kept& kept : kept_sessions(models, call.caller)) {
    if (kept.state.id != id->second || (!model.empty() && kept.model != model)) continue;
    if (!owner.empty() && kept.state.owner != owner) continue;
    const bool own = kept.state.owner == call.caller.owner;
    if (!found || own) found = std::move(kept);
    if (own) break;
  }
  if (!found) refuse(call, 404, "there is no session '" + id->second + "'", "session_not_found");
  return found;
}

// Engine's errors: a session that runs, a name that is taken, no cold tier.
void send_error(const Call& call, const Error& error) { refuse(call, 409, error.message, "conflict"); }

void list_sessions(const Call& call, Models& models) {
  Json list = Json::array();
  for (const Kept& kept : kept_sessions(models, call.caller))
    list.push_back(session_json(kept.state, kept.model, call.caller.is_admin));
  send_json(call, 200, {{"object", "list"}, {"data", list}});
}

constexpr const char* kTierNames[] = {"hot", "warm", "passing", "cold", "unwritten"};

Json map_json(const TierMap& map) {
  Json counts = {{"hot", 0}, {"warm", 0}, {"passing", 0}, {"cold", 0}, {"unwritten", 0}};
  std::string letters;  // a letter an extent: a row a segment
  for (const TierOf tier : map.extents) {
    const char* name = kTierNames[static_cast<size_t>(tier)];
    counts[name] = counts[name].get<int>() + 1;
    letters += *name;
  }
  Json rows = Json::array();
  const auto layers = static_cast<size_t>(std::max(map.layers, 1));
  for (size_t at = 0; at + layers <= letters.size(); at += layers) rows.push_back(letters.substr(at, layers));
  Json heat = Json::array();
  for (const float value : map.heat) heat.push_back(value);
  return {{"layers", map.layers}, {"segment_tokens", map.segment_tokens},
          {"tokens", map.tokens}, {"extents", counts},
          {"rows", rows},         {"heat", heat}};
}

void show_session(const Call& call, Models& models) {
  const auto kept = find_session(call, models);
  if (!kept) return;
  Json out = session_json(kept->state, kept->model, call.caller.is_admin);
  out["map"] = nullptr;
  auto map = kept->backend->session_map(kept->state.owner, kept->state.id);
  if (map) out["map"] = map_json(*map);
  if (!map) out["map_error"] = map.error().message;
  send_json(call, 200, out);
}

// The body's object; an empty body is an empty one.
std::optional<Json> body_object(const Call& call) {
  if (call.request->body.empty()) return Json::object();
  auto body = parse_json(call.request->body);
  if (!body) return refuse(call, 400, body.error().message), std::nullopt;
  if (!body->is_object()) return refuse(call, 400, "the body is no JSON object"), std::nullopt;
  return std::move(*body);
}

void fork_session(const Call& call, Models& models) {
  const auto body = body_object(call);
  if (!body) return;
  const Json name = body->value("name", Json(""));
  if (!name.is_string())
    return send_refusal(*call.answer, Surface::kOwn,
                        Refusal{400, "'name' is no text", "invalid_type", "name"});
  const auto kept = find_session(call, models);
  if (!kept) return;
  // An admin's own limit says nothing of others' sessions.
  const uint64_t sessions_max = kept->state.owner == call.caller.owner ? call.caller.sessions_max : 0;
  const auto id = kept->backend->fork_session(kept->state.owner, kept->state.id, name.get<std::string>(),
                                              sessions_max);
  if (!id && id.error().kind == FailureKind::kNoSessions)
    return send_failure(*call.answer, Surface::kOwn, id.error());
  if (!id) return send_error(call, {id.error().message});
  send_json(call, 201, {{"id", *id}, {"model", kept->model}, {"forked_from", kept->state.id}});
}

void pin_session(const Call& call, Models& models) {
  const auto body = body_object(call);
  if (!body) return;
  const Json pinned = body->value("pinned", Json(true));
  if (!pinned.is_boolean())
    return send_refusal(*call.answer, Surface::kOwn,
                        Refusal{400, "'pinned' is neither true nor false", "invalid_type", "pinned"});
  const auto kept = find_session(call, models);
  if (!kept) return;
  auto done = kept->backend->pin_session(kept->state.owner, kept->state.id, pinned.get<bool>());
  if (!done) return send_error(call, done.error());
  send_json(call, 200, {{"id", kept->state.id}, {"model", kept->model}, {"pinned", pinned}});
}

void remove_session(const Call& call, Models& models) {
  const auto kept = find_session(call, models);
  if (!kept) return;
  auto done = kept->backend->remove_session(kept->state.owner, kept->state.id);
  if (!done) return send_error(call, done.error());
  send_json(call, 200, {{"id", kept->state.id}, {"model", kept->model}, {"deleted", true}});
}

// A file that nobody else can open and that goes with its last reader.
class ExportFile {
 public:
  static Result<std::shared_ptr<ExportFile>> make(Backend& backend, const SessionState& state) {
    std::string path = (std::filesystem::temp_directory_path() / "mneme-export-XXXXXX").string();
    const int fd = ::mkstemp(path.data());
    if (fd < 0) return core::fail("no temporary file can be made");
    ::close(fd);
    auto file = std::make_shared<ExportFile>();
    auto exported = backend.export_session(state.owner, state.id, path);
    if (exported) file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ::unlink(path.c_str());
    if (!exported) return core::pass(exported);
    if (file->fd_ < 0) return core::fail("the exported session cannot be read");
    return file;
  }
  ExportFile() = default;
  ~ExportFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  ExportFile(const ExportFile&) = delete;
  ExportFile& operator=(const ExportFile&) = delete;
  std::string next() const {
    std::string piece(size_t{256} << 10, '\0');
    const ssize_t count = ::read(fd_, piece.data(), piece.size());
    piece.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return piece;
  }

 private:
  int fd_ = -1;
};

void export_session(const Call& call, Models& models) {
  const auto kept = find_session(call, models);
  if (!kept) return;
  auto file = ExportFile::make(*kept->backend, kept->state);
  if (!file) return send_error(call, file.error());
  call.answer->begin(200, "application/octet-stream",
                     {{"Content-Disposition", "attachment; filename=\"session.mneme\""}});
  call.answer->write_all([file = std::move(*file)] { return file->next(); });
}

}  // namespace

void add_sessions(Router& router, Models& models) {
  const auto add = [&](const char* method, const char* pattern, void (*endpoint)(const Call&, Models&)) {
    router.add(method, pattern, [&models, endpoint](const Call& call) { endpoint(call, models); });
  };
  add("GET", "/v1/sessions", list_sessions);
  add("GET", "/v1/sessions/{id}", show_session);
  add("DELETE", "/v1/sessions/{id}", remove_session);
  add("POST", "/v1/sessions/{id}/fork", fork_session);
  add("POST", "/v1/sessions/{id}/pin", pin_session);
  add("GET", "/v1/sessions/{id}/export", export_session);
}

}  // namespace mneme::serve

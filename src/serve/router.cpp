#include <algorithm>

#include "serve/api.h"

namespace mneme::serve {
namespace {

// "/v1/models/{id}" -> v1, models, {id}. "/" has none.
std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) segments.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return segments;
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{') && segment.ends_with('}'); }
bool is_rest(std::string_view segment) { return is_parameter(segment) && segment.ends_with("...}"); }

std::string name_of(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - (is_rest(segment) ? 5 : 2)));
}

std::string join(const std::vector<std::string>& segments, size_t from) {
  std::string out;
  for (size_t i = from; i < segments.size(); ++i) out += (i > from ? "/" : "") + segments[i];
  return out;
}

using Parameters = std::map<std::string, std::string, std::less<>>;

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
             Parameters& found) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return false;
    if (is_rest(pattern[i])) {
      found[name_of(pattern[i])] = join(path, i);
      return true;
    }
    if (is_parameter(pattern[i])) {
      found[name_of(pattern[i])] = path[i];
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return pattern.size() == path.size();
}

// Words before parameters: /v1/models/list before /v1/models/{id}.
size_t parameters_in(const std::vector<std::string>& pattern) {
  return static_cast<size_t>(std::ranges::count_if(pattern, is_parameter)) +
         (!pattern.empty() && is_rest(pattern.back()) ? 100 : 0);
}

}  // namespace

void Router::add(std::string method, std::string pattern, Endpoint endpoint) {
  Route route{std::move(method), std::move(pattern), {}, std::move(endpoint)};
  route.segments = segments_of(route.pattern);
  const auto place = std::ranges::find_if(routes_, [&](const Route& other) {
    return parameters_in(other.segments) > parameters_in(route.segments);
  });
  routes_.insert(place, std::move(route));
}

Router::Found Router::find(std::string_view method, std::string_view path) const {
  Found found;
  const auto segments = segments_of(path);
  const std::string_view wanted = method == "HEAD" ? "GET" : method;  // an answer without its body
  for (const Route& route : routes_) {
    Parameters parameters;
    if (!matches(route.segments, segments, parameters)) continue;
    found.methods.push_back(route.method);
    if (route.method == "GET") found.methods.push_back("HEAD");
    if (found.endpoint != nullptr || route.method != wanted) continue;
    found.endpoint = &route.endpoint;
    found.parameters = std::move(parameters);
    found.pattern = route.pattern;
  }
  if (found.endpoint != nullptr) found.methods.clear();
  return found;
}

std::vector<std::pair<std::string, std::string>> Router::patterns() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Route& route : routes_) all.emplace_back(route.method, route.pattern);
  return all;
}

}  // namespace mneme::serve

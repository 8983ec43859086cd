// tool_call: schemas of tools in the context, a request in words, the call as JSON.
#include <algorithm>
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/open.h"
#include "tasks/tool_list.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct ToolFormat {
  std::string id;
  std::string tool;       // {name} {about} {parameters}
  std::string parameter;  // {name} {type} {about}
  std::string separator;
};

const ToolFormat kFormats[] = {
    {"openai",
     "{\"type\": \"function\", \"function\": {\"name\": \"{name}\", \"description\": \"{about}\", "
     "\"parameters\": "
     "{\"type\": \"object\", \"properties\": {{parameters}}}}}",
     "\"{name}\": {\"type\": \"{type}\", \"description\": \"{about}\"}", ", "},
    {"compact", "{\"name\":\"{name}\",\"description\":\"{about}\",\"parameters\":{{parameters}}}",
     "\"{name}\":{\"type\":\"{type}\"}", ","},
    {"signature", "{name}({parameters}): {about}", "{name}: {type}", ", "},
    {"list", "- {name}: {about}\n{parameters}", "    {name} ({type}): {about}", "\n"},
};
const ToolFormat kFormatsHeldOut[] = {
    {"xml", "<tool name=\"{name}\" about=\"{about}\">{parameters}</tool>",
     "<arg name=\"{name}\" type=\"{type}\"/>", ""},
    {"python", "def {name}({parameters}):  # {about}", "{name}: \"{type}\"", ", "},
};

// Each part behind a word and a sign: `proc name="..." text="..." (arg='...' kind='...')`.
ToolFormat labelled_format(Draft& draft, ToolFormat format, std::string_view parameters,
                           std::string_view quote) {
  constexpr std::string_view kSigns[] = {"=", ": ", " ", " = ", ":"};
  const std::string_view sign = draft.any_of(kSigns);
  const auto labelled = [&](std::string_view field) {
    const std::string label = draft.chance(0.7f) ? open_name(draft, 1) + std::string(sign) : std::string();
    return label + std::string(quote) + '{' + std::string(field) + '}' + std::string(quote);
  };
  const std::string name = open_name(draft, 1) + ' ' + labelled("name"), about = labelled("about");
  if (draft.chance(0.6f)) {
    const std::string front = draft.chance(0.5f) ? open_name(draft, 1) + ' ' : std::string();
    format.parameter = front + labelled("name") + ' ' + labelled(draft.chance(0.7f) ? "type" : "about");
  }
  const bool about_last = draft.chance(0.3f);
  format.tool += name + ' ' +
                 (about_last ? std::string(parameters) + ' ' + about : about + ' ' + std::string(parameters));
  return format;
}

// A listing that no list has: name, parameters and what it does in some order, between signs. Held-out's two
// begin with a tag and with `def`; these never do.
ToolFormat open_format(Draft& draft) {
  constexpr std::string_view kBefore[] = {"", "", "- ", "* ", "@", "# ", "fn ", "tool ", "[", "/"};
  constexpr std::string_view kQuotes[] = {"", "", "\"", "'"};
  constexpr std::string_view kBetween[] = {": ", " - ", " -> ", " | ", "; ", " // ", "\t", " => "};
  constexpr std::pair<std::string_view, std::string_view> kAround[] = {{"(", ")"}, {"[", "]"}, {"{ ", " }"},
                                                                       {"<", ">"}, {" ", ""},  {"\n  ", ""}};
  constexpr std::string_view kParameters[] = {"{name}",          "{name}: {type}",     "{type} {name}",
                                              "{name} <{type}>", "{name}={type}",      "{name}:{type}",
                                              "--{name} {type}", "{name} ({about})",   "{name}, {type}",
                                              "`{name}` {type}", "\"{name}\": {type}", "{name}: {about}"};
  constexpr std::string_view kSeparators[] = {", ", "; ", " ", " | ", ",", " / "};
  const auto& [open, close] = draft.any_of(kAround);
  const std::string parameters = std::string(open) + "{parameters}" + std::string(close);
  const std::string between(draft.any_of(kBetween));
  ToolFormat format{"open", std::string(draft.any_of(kBefore)), std::string(draft.any_of(kParameters)),
                    std::string(draft.any_of(kSeparators))};
  if (draft.chance(0.4f)) return labelled_format(draft, format, parameters, draft.any_of(kQuotes));
  const float way = draft.rng.next_unit();
  if (way < 0.5f) format.tool += "{name}" + parameters + between + "{about}";
  if (way >= 0.5f && way < 0.8f) format.tool += "{name}" + between + "{about}" + between + parameters;
  if (way >= 0.8f) format.tool += "{about}" + between + "{name}" + parameters;
  return format;
}

std::string render(const Draft& draft, const ToolFormat& format, const Tool& tool) {
  std::string parameters;
  for (const ToolParameter& one : tool.parameters) {
    if (!parameters.empty()) parameters += format.separator;
    const std::string_view about = draft.english() ? one.about_english : one.about_chinese;
    parameters += fill(format.parameter, {{"name", one.name}, {"type", one.type}, {"about", about}});
  }
  return fill(format.tool, {{"name", tool.name}, {"about", tool.about}, {"parameters", parameters}}) + '\n';
}

}  // namespace

void make_tool_call(Draft& draft) {
  const ToolFormat format = !draft.train()       ? draft.any_of(kFormatsHeldOut)
                            : draft.chance(0.6f) ? open_format(draft)
                                                 : draft.any_of(kFormats);
  draft.sample.form = format.id;
  // Long contexts: a list of up to 64 tools in noise. Short ones: as many as there is room for.
  const size_t all = draft.request.context_bytes;
  std::vector<Tool> tools = make_tools(draft, std::max<size_t>(draft.questions(), draft.between(2, 64)));
  std::string list = std::string(any_wording(draft, Slot::kToolPreamble)) + '\n';
  std::vector<Range> ranges;
  for (const Tool& tool : tools) {
    const std::string text = render(draft, format, tool);
    if (list.size() + text.size() + 8 > all) break;
    ranges.push_back({list.size(), list.size() + text.size()});
    list += text;
  }
  std::vector<Record> records = {{list, true}};
  // Programs put the tools first; somewhere else they are a record like others.
  if (draft.chance(0.6f)) records[0].place = 0.0;
  bury(draft, records, {});
  if (!records[0].kept) return;
  const size_t offset = records[0].range.begin;
  const Request any_depth{.questions = draft.request.questions};  // the list lies at the depth, its tools do
                                                                  // not
  Draft chooser{any_depth, draft.source, draft.rng, {}, {}};
  for (const size_t i : choose_asked(chooser, ranges.size(), draft.questions())) {
    const ToolRequest request = any_request(draft, tools[i]);
    draft.ask(request.question, request.call, {ranges[i].begin + offset, ranges[i].end + offset},
              signature_of(tools[i]));
  }
}

}  // namespace mneme::tasks

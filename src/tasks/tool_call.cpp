// tool_call: schemas of tools in the context, a request in words, the call as JSON.
#include <algorithm>
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/json.h"
#include "tasks/open.h"
#include "tasks/schemas.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Tool {
  std::string name;   // "book_flight"
  std::string about;  // "book a flight", "预订航班"
  std::vector<ToolParameter> parameters;
};

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

// A listing that no list has: name, parameters and what it does in some order, between signs. Held-out's two
// begin with a tag and with `def`; these never do.
ToolFormat open_format(Draft& draft) {
  constexpr std::string_view kBefore[] = {"", "", "- ", "* ", "@", "# ", "fn ", "tool ", "[", "/"};
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
  const float way = draft.rng.next_unit();
  if (way < 0.5f) format.tool += "{name}" + parameters + between + "{about}";
  if (way >= 0.5f && way < 0.8f) format.tool += "{name}" + between + "{about}" + between + parameters;
  if (way >= 0.8f) format.tool += "{about}" + between + "{name}" + parameters;
  return format;
}

std::string about_of(const ToolWord& verb, const ToolWord& object, bool english) {
  if (english) return std::string(verb.english) + ' ' + std::string(object.english);
  return std::string(verb.chinese) + std::string(object.chinese);
}

// A tool that no list has: words of the text for its name, and the same or others for what it does.
void rename(Draft& draft, Tool& tool) {
  const size_t words = draft.between(1, 3);
  tool.name = fresh(draft, [&] { return open_name(draft, words); });
  if (draft.chance(0.5f)) {
    tool.about = tool.name;
    std::replace(tool.about.begin(), tool.about.end(), '_', ' ');
  } else {
    tool.about = fresh(draft, [&] { return text_clause(draft, draft.between(2, 4)); });
  }
}

// Every tool of the split in random order: verbs and objects meet once each.
std::vector<Tool> make_tools(Draft& draft, size_t count) {
  std::vector<Tool> tools;
  const auto parameters = tool_parameters(draft.request.split);
  const bool open = draft.makes_up(0.5f);
  for (const ToolWord& verb : tool_verbs(draft.request.split)) {
    for (const ToolWord& object : tool_objects(draft.request.split)) {
      tools.push_back({std::string(verb.name) + '_' + std::string(object.name),
                       about_of(verb, object, draft.english()),
                       {}});
    }
  }
  draft.shuffle(tools);
  if (tools.size() > count) tools.resize(count);
  if (open) {
    for (Tool& tool : tools) rename(draft, tool);
  }
  for (Tool& tool : tools) {
    const size_t wanted = draft.between(1, 3);
    while (tool.parameters.size() < wanted) {
      const ToolParameter one = open ? open_parameter(draft) : draft.any_of(parameters);
      const auto same = [&](const ToolParameter& other) { return other.name == one.name; };
      if (std::none_of(tool.parameters.begin(), tool.parameters.end(), same)) tool.parameters.push_back(one);
    }
  }
  return tools;
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

// "book_flight(city, date)": what a call has to keep to, in few words, whatever the listing looks like.
std::string signature_of(const Tool& tool) {
  std::string names;
  for (const ToolParameter& one : tool.parameters) names += (names.empty() ? "" : ", ") + one.name;
  return tool.name + '(' + names + ')';
}

void ask_for(Draft& draft, const Tool& tool, Range evidence) {
  std::string said, arguments;
  for (const ToolParameter& one : tool.parameters) {
    const FieldValue value = any_field(draft, one.values);
    const std::string_view about = draft.english() ? one.about_english : one.about_chinese;
    if (!said.empty()) said += draft.english() ? ", " : "，";
    std::string in_words = value.text;
    if (one.values == FieldType::kFlag && !draft.english()) in_words = value.text == "true" ? "开" : "关";
    if (one.values == FieldType::kFlag && draft.english()) in_words = value.text == "true" ? "on" : "off";
    said += fill(any_wording(draft, Slot::kToolArgument), {{"name", about}, {"value", in_words}});
    arguments += (arguments.empty() ? "" : ", ") + quoted_json(one.name) + ": " + json_of(value);
  }
  const std::string answer = "{\"name\": " + quoted_json(tool.name) + ", \"arguments\": {" + arguments + "}}";
  draft.ask(fill(any_wording(draft, Slot::kToolQuestion), {{"what", tool.about}, {"arguments", said}}),
            answer, evidence, signature_of(tool));
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
    ask_for(draft, tools[i], {ranges[i].begin + offset, ranges[i].end + offset});
  }
}

}  // namespace mneme::tasks

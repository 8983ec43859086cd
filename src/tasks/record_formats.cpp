#include "tasks/record_formats.h"

namespace mneme::tasks {
namespace {

// {noise} is a small number, {number} another; they make columns that are not the answer.
const RecordFormat kTrainFormats[] = {
    {"json", "{\n", "  \"{key}\": \"{value}\",\n", "  \"end\": \"\"\n}\n"},
    {"json_lines", "", "{\"key\": \"{key}\", \"value\": \"{value}\", \"rev\": {noise}}\n", ""},
    {"ini", "[settings]\n", "{key} = {value}\n", ""},
    {"csv", "key,value,count\n", "{key},{value},{noise}\n", ""},
    {"log", "", "2024-03-{day} 12:{minute}:{second} INFO set key={key} value={value} took={noise}ms\n", ""},
    {"yaml", "entries:\n", "  {key}: {value}\n", ""},
    {"markdown_table", "| key | value |\n|---|---|\n", "| {key} | {value} |\n", ""},
    {"shell", "#!/bin/sh\n", "export {key}=\"{value}\"\n", ""},
    {"tsv", "key\tvalue\n", "{key}\t{value}\n", ""},
    {"python", "table = {\n", "    '{key}': '{value}',\n", "}\n"},
    {"markdown_list", "", "- **{key}**: {value}\n", ""},
    {"arrow", "", "{key} -> {value}\n", ""},
    {"csv_value_first", "value;key\n", "{value};{key}\n", ""},
    {"prose", "", "{prose}\n", ""},
    {"json_one_line", "{", "\"{key}\":\"{value}\",", "\"end\":0}\n"},
};

const RecordFormat kHeldOutFormats[] = {
    {"xml", "<entries>\n", "  <entry name=\"{key}\">{value}</entry>\n", "</entries>\n"},
    {"sql", "", "INSERT INTO pairs VALUES ({noise}, '{key}', '{value}');\n", ""},
    {"properties", "# properties\n", "app.{noise}.{key}: {value};\n", ""},
    {"lisp", "(\n", "  ({key} . \"{value}\")\n", ")\n"},
    {"toml", "[[pair]]\n", "name = '{key}'\ndata = '{value}'\n[[pair]]\n", ""},
};

}  // namespace

std::span<const RecordFormat> record_formats(Split split) {
  if (split == Split::kTrain) return kTrainFormats;
  return kHeldOutFormats;
}

}  // namespace mneme::tasks

#include "corpus/vocabulary.h"

namespace mneme::corpus {

// Messages as <|im_start|>ROLE ... <|im_end|>; tools as JSON in the system message; calls and responses
// between their own tokens, a response in a turn of the role "tool". A model may think before it answers;
// with tools, or with enable_thinking = false, it answers at once. Thoughts that come back stay where they
// were.
std::string_view chat_template() {
  return R"jinja({%- set no_thought = '' %}
{%- if tools or (enable_thinking is defined and enable_thinking is false) %}
{%- set no_thought = '<think></think>' %}
{%- endif %}
{%- if tools %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}
{{- messages[0].content + '\n\n' }}
{%- endif %}
{{- 'Tools:' }}
{%- for tool in tools %}
{{- '\n' }}
{{- tool | tojson }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'system' and loop.first %}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>tool\n<tool_response>' + message.content + '</tool_response><|im_end|>\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\n' }}
{%- if message.role == 'assistant' and message.reasoning_content %}
{{- '<think>' + message.reasoning_content + '</think>' }}
{%- elif message.role == 'assistant' %}
{{- no_thought }}
{%- endif %}
{%- if message.content %}
{{- message.content }}
{%- endif %}
{%- if message.tool_calls %}
{%- for tool_call in message.tool_calls %}
{%- if tool_call.function %}
{%- set tool_call = tool_call.function %}
{%- endif %}
{{- '<tool_call>{"name": "' + tool_call.name + '", "arguments": ' }}
{%- if tool_call.arguments is string %}
{{- tool_call.arguments }}
{%- else %}
{{- tool_call.arguments | tojson }}
{%- endif %}
{{- '}</tool_call>' }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{{- no_thought }}
{%- endif %}
)jinja";
}

}  // namespace mneme::corpus

// The openai package: chat completions, completions, embeddings, models.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { answer, base, becomesIdle, checkArguments, checkPerson, key, longText, model, person, question, tool, tooLong } from "./server.mjs";

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const ask = (more) => client.chat.completions.create({ model, temperature: 0, max_tokens: 48, messages: [{ role: "user", content: question }], ...more });

test("says hi", async () => {
  const completion = await ask({});
  assert.equal(completion.object, "chat.completion");
  assert.match(completion.choices[0].message.content, answer);
  assert.equal(completion.choices[0].finish_reason, "stop");
  const { prompt_tokens, completion_tokens, total_tokens } = completion.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test("streams", async () => {
  const stream = await ask({ stream: true, stream_options: { include_usage: true } });
  let text = "", usage, reason;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    reason = chunk.choices[0]?.finish_reason ?? reason;
    usage = chunk.usage ?? usage;
  }
  assert.match(text, answer);
  assert.equal(reason, "stop");
  assert.ok(usage.completion_tokens > 0);
});

test("completes a tool loop", async () => {
  const tools = [{ type: "function", function: tool }];
  const messages = [{ role: "user", content: "How is the weather in Ulm?" }];
  const first = await ask({ messages, tools, tool_choice: "required", max_tokens: 200 });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const { message } = first.choices[0];
  for (const call of message.tool_calls) {
    assert.equal(call.function.name, tool.name);
    checkArguments(assert, JSON.parse(call.function.arguments));
  }
  messages.push(message, ...message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "sunny" })));
  const second = await ask({ messages, tools, tool_choice: "none" });
  assert.equal(typeof second.choices[0].message.content, "string");
  assert.ok(!second.choices[0].message.tool_calls?.length);
});

test("streams a tool call", async () => {
  const stream = await ask({ tools: [{ type: "function", function: tool }], tool_choice: { type: "function", function: { name: tool.name } }, parallel_tool_calls: false, stream: true, max_tokens: 200 });
  let name = "", text = "", id;
  for await (const chunk of stream) {
    for (const call of chunk.choices[0]?.delta?.tool_calls ?? []) {
      id ??= call.id;
      name += call.function?.name ?? "";
      text += call.function?.arguments ?? "";
    }
  }
  assert.ok(id);
  assert.equal(name, tool.name);
  checkArguments(assert, JSON.parse(text));
});

test("keeps to a JSON schema", async () => {
  const completion = await ask({ response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: person } } });
  checkPerson(assert, JSON.parse(completion.choices[0].message.content));
});

test("embeds, in base64 and in numbers", async () => {
  const coded = await client.embeddings.create({ model, input: ["alpha", "beta"] });
  const plain = await client.embeddings.create({ model, input: ["alpha", "beta"], encoding_format: "float" });
  assert.equal(coded.data.length, 2);
  for (const i of [0, 1]) {
    const vector = coded.data[i].embedding;
    assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
    vector.forEach((value, at) => assert.ok(Math.abs(value - plain.data[i].embedding[at]) < 1e-5));
  }
  assert.notDeepEqual(coded.data[0].embedding, coded.data[1].embedding);
});

test("tells errors in the client's own classes", async () => {
  await assert.rejects(new OpenAI({ baseURL: `${base}/v1`, apiKey: "wrong", maxRetries: 0 }).models.list(), OpenAI.AuthenticationError);
  await assert.rejects(ask({ messages: [{ role: "user", content: tooLong }] }), (error) => error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded");
  await assert.rejects(ask({ messages: "hi" }), (error) => error instanceof OpenAI.BadRequestError && error.param === "messages");
});

test("finds the first turn again in the second", async () => {
  const messages = [{ role: "user", content: longText("openai") }];
  const first = await ask({ messages });
  messages.push(first.choices[0].message, { role: "user", content: "And now?" });
  const second = await ask({ messages });
  assert.ok(second.usage.prompt_tokens_details.cached_tokens > first.usage.prompt_tokens / 2, JSON.stringify(second.usage));
});

test("is aborted in mid-stream", async () => {
  const abort = new AbortController();
  const stream = await client.chat.completions.create({ model, stream: true, max_tokens: 3000, ignore_eos: true, messages: [{ role: "user", content: question }] }, { signal: abort.signal });
  for await (const chunk of stream) {
    if (chunk) abort.abort();
  }
  await becomesIdle(assert);
  assert.match((await ask({})).choices[0].message.content, answer);
});

test("lists models", async () => {
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes(model), names.join());
});

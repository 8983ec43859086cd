// The openai package on /v1/responses.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { answer, base, becomesIdle, checkArguments, checkPerson, key, longText, model, person, question, tool, tooLong } from "./server.mjs";

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const ask = (more) => client.responses.create({ model, temperature: 0, max_output_tokens: 48, input: question, ...more });

test("says hi", async () => {
  const response = await ask({ metadata: { a: "b" } });
  assert.equal(response.status, "completed");
  assert.match(response.output_text, answer);
  assert.equal(response.metadata.a, "b");
  assert.equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens);
});

test("streams", async () => {
  const types = new Set();
  let text = "", number = 0, last;
  for await (const event of await ask({ stream: true })) {
    types.add(event.type);
    assert.equal(event.sequence_number, number++);
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.match(text, answer);
  assert.equal(last.type, "response.completed");
  assert.equal(last.response.output.find((item) => item.type === "message").content[0].text, text);
  for (const type of ["created", "in_progress", "output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"]) assert.ok(types.has(`response.${type}`), type);
});

test("is gathered by the client's own stream", async () => {
  const stream = client.responses.stream({ model, temperature: 0, max_output_tokens: 48, input: question });
  assert.match((await stream.finalResponse()).output_text, answer);
});

test("completes a tool loop", async () => {
  const tools = [{ type: "function", ...tool, strict: true }];
  const input = [{ role: "user", content: "How is the weather in Ulm?" }];
  const first = await ask({ input, tools, tool_choice: "required", max_output_tokens: 200 });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.ok(calls.length > 0, JSON.stringify(first.output));
  for (const call of calls) checkArguments(assert, JSON.parse(call.arguments));
  input.push(...first.output, ...calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" })));
  const second = await ask({ input, tools, tool_choice: "none" });
  assert.equal(second.output.at(-1)?.type ?? "message", "message");
  assert.ok(second.usage.input_tokens_details.cached_tokens > 0, JSON.stringify(second.usage));
});

test("calls custom tools with a text", async () => {
  const response = await ask({ tools: [{ type: "custom", name: "note", description: "Writes a note." }], tool_choice: { type: "custom", name: "note" }, max_output_tokens: 300 });
  if (response.status === "incomplete") return; // the text of a small model need not end
  const call = response.output.find((item) => item.type === "custom_tool_call");
  assert.equal(call.name, "note");
  assert.equal(typeof call.input, "string");
});

test("keeps to a JSON schema", async () => {
  const response = await ask({ text: { format: { type: "json_schema", name: "person", strict: true, schema: person } } });
  checkPerson(assert, JSON.parse(response.output_text));
});

test("is incomplete at the maximum", async () => {
  const response = await ask({ max_output_tokens: 1 });
  assert.equal(response.status, "incomplete");
  assert.equal(response.incomplete_details.reason, "max_output_tokens");
});

test("tells errors", async () => {
  await assert.rejects(ask({ input: tooLong }), (error) => error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded");
  await assert.rejects(ask({ previous_response_id: "resp_1" }), (error) => error.status === 400 && error.param === "previous_response_id");
  await assert.rejects(new OpenAI({ baseURL: `${base}/v1`, apiKey: "wrong", maxRetries: 0 }).responses.create({ model, input: "hi" }), OpenAI.AuthenticationError);
  const events = [];
  for await (const event of await ask({ input: tooLong, stream: true })) events.push(event);
  assert.equal(events.at(-1).type, "response.failed");
  assert.equal(events.at(-1).response.error.code, "context_length_exceeded");
});

test("finds the first turn again in the second", async () => {
  const input = [{ role: "user", content: longText("responses") }];
  const first = await ask({ input });
  input.push(...first.output, { role: "user", content: "And now?" });
  const second = await ask({ input });
  assert.ok(second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens / 2, JSON.stringify(second.usage));
});

test("is aborted in mid-stream", async () => {
  const abort = new AbortController();
  const stream = await client.responses.create({ model, stream: true, max_output_tokens: 3000, input: question }, { signal: abort.signal });
  for await (const event of stream) {
    if (event.type === "response.created") abort.abort();
  }
  await becomesIdle(assert);
});

// The @anthropic-ai/sdk package on /v1/messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { answer, base, becomesIdle, checkArguments, checkPerson, key, longText, model, person, question, tool, tooLong } from "./server.mjs";

const client = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
const body = (more) => ({ model, max_tokens: 48, temperature: 0, messages: [{ role: "user", content: question }], ...more });
const ask = (more) => client.messages.create(body(more));
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const tools = [{ name: tool.name, description: tool.description, input_schema: tool.parameters }];

test("says hi", async () => {
  const message = await ask({ system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }] });
  assert.equal(message.type, "message");
  assert.equal(message.role, "assistant");
  assert.equal(message.stop_reason, "end_turn");
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0);
  assert.ok(message.usage.output_tokens > 0);
  assert.match(text(await ask({})), answer);
  assert.match(text(await client.beta.messages.create(body({ betas: ["token-counting-2024-11-01"] }))), answer);
});

test("streams", async () => {
  const types = [];
  let said = "";
  for await (const event of await ask({ stream: true })) {
    types.push(event.type);
    if (event.type === "content_block_delta") said += event.delta.text;
  }
  assert.match(said, answer);
  assert.equal(types[0], "message_start");
  assert.equal(types.at(-1), "message_stop");
  const final = await client.messages.stream(body({})).finalMessage();
  assert.match(text(final), answer);
  assert.equal(final.stop_reason, "end_turn");
});

test("completes a tool loop", async () => {
  const messages = [{ role: "user", content: "How is the weather in Ulm?" }];
  const first = await ask({ messages, tools, tool_choice: { type: "any" }, max_tokens: 200 });
  assert.equal(first.stop_reason, "tool_use");
  const calls = first.content.filter((block) => block.type === "tool_use");
  for (const call of calls) {
    assert.equal(call.name, tool.name);
    checkArguments(assert, call.input);
  }
  messages.push({ role: "assistant", content: first.content });
  messages.push({ role: "user", content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "sunny" })) });
  const second = await ask({ messages, tools, tool_choice: { type: "none" } });
  assert.notEqual(second.stop_reason, "tool_use");
  assert.ok(second.usage.cache_read_input_tokens > 0, JSON.stringify(second.usage));
});

test("streams a tool call", async () => {
  const stream = client.messages.stream(body({ tools, tool_choice: { type: "tool", name: tool.name, disable_parallel_tool_use: true }, max_tokens: 200 }));
  const message = await stream.finalMessage();
  assert.equal(message.stop_reason, "tool_use");
  checkArguments(assert, message.content.find((block) => block.type === "tool_use").input);
});

test("keeps to a JSON schema", async () => {
  const message = await ask({ output_config: { format: { type: "json_schema", schema: person } } });
  checkPerson(assert, JSON.parse(text(message)));
});

test("stops at a text and at the maximum", async () => {
  const stopped = await ask({ stop_sequences: ["11"] });
  assert.equal(stopped.stop_reason, "stop_sequence");
  assert.equal(stopped.stop_sequence, "11");
  assert.equal((await ask({ max_tokens: 1 })).stop_reason, "max_tokens");
});

test("counts tokens as they are charged", async () => {
  const { max_tokens, temperature, ...counted } = body({ system: "Be brief.", tools });
  const { input_tokens } = await client.messages.countTokens(counted);
  const { usage } = await ask({ system: "Be brief.", tools, max_tokens, temperature });
  assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens);
});

test("tells errors in the client's own classes", async () => {
  await assert.rejects(new Anthropic({ baseURL: base, apiKey: "wrong", maxRetries: 0 }).messages.create(body({})), Anthropic.AuthenticationError);
  await assert.rejects(ask({ messages: [{ role: "user", content: tooLong }] }), (error) => error instanceof Anthropic.BadRequestError && /prompt is too long: \d+ tokens > \d+ maximum/.test(error.message));
  await assert.rejects(ask({ messages: [] }), (error) => error.status === 400 && error.error.error.type === "invalid_request_error");
});

test("finds the first turn again in the second", async () => {
  const messages = [{ role: "user", content: longText("anthropic") }];
  const first = await ask({ messages });
  messages.push({ role: "assistant", content: first.content }, { role: "user", content: "And now?" });
  const { usage } = await ask({ messages });
  assert.ok(usage.cache_read_input_tokens > first.usage.input_tokens / 2, JSON.stringify(usage));
});

// Its answer is long whatever the model wants: it is not over before the client aborts.
test("is aborted in mid-stream", async () => {
  const long = { type: "object", properties: { text: { type: "string", minLength: 1500 } }, required: ["text"] };
  const stream = client.messages.stream(body({ max_tokens: 3000, tools: [{ name: "write", input_schema: long }], tool_choice: { type: "tool", name: "write" } }));
  stream.on("streamEvent", () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  await becomesIdle(assert);
});

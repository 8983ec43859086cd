// What editors send: llama.vim's /infill, and Tabby's protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { base, key, tooLong } from "./server.mjs";

const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
const post = async (path, body) => {
  const response = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, json: await response.json() };
};
const infill = (more) => ({ input_prefix: "int add(int a, int b) {\n  return ", input_suffix: ";\n}\n", prompt: "", n_predict: 16, ...more });

test("fills in", async () => {
  const { status, json } = await post("/infill", infill({}));
  assert.equal(status, 200);
  assert.equal(typeof json.content, "string");
  assert.ok(json.timings.prompt_n + json.timings.cache_n > 0);
});

test("is warmed, and finds what it was warmed with", async () => {
  const place = { input_prefix: Array.from({ length: 300 }, (_, i) => `int v${i} = ${i};`).join("\n"), input_extra: [{ filename: "a.h", text: "int f(void);" }] };
  const fields = { samplers: [], cache_prompt: true, t_max_prompt_ms: 500, t_max_predict_ms: 1 };
  const warmed = await post("/infill", infill({ ...place, ...fields, n_predict: 0, response_fields: [""] }));
  assert.deepEqual(warmed, { status: 200, json: {} });
  const { json } = await post("/infill", infill({ ...place, n_predict: 8, t_max_predict_ms: 1000, samplers: ["top_k", "top_p", "infill"], top_k: 40, top_p: 0.9, response_fields: ["content", "timings/prompt_n", "timings/cache_n", "tokens_cached", "truncated"] }));
  assert.deepEqual(Object.keys(json), ["content", "timings/prompt_n", "timings/cache_n", "tokens_cached", "truncated"]);
  assert.ok(json["timings/cache_n"] > json["timings/prompt_n"], JSON.stringify(json));
});

test("cuts what does not fit", async () => {
  const { status, json } = await post("/infill", infill({ input_prefix: tooLong }));
  assert.equal(status, 200);
  assert.equal(json.truncated, true);
});

test("answers Tabby", async () => {
  const health = await (await fetch(`${base}/v1/health`, { headers })).json();
  assert.equal(typeof health.model, "string");
  const setting = await (await fetch(`${base}/v1beta/server_setting`, { headers })).json();
  assert.equal(setting.disable_client_side_telemetry, true);
  const { status, json } = await post("/v1/completions", { language: "c", segments: { prefix: "int add(int a, int b) {\n  return ", suffix: ";\n}\n", filepath: "add.c" } });
  assert.equal(status, 200);
  assert.equal(typeof json.choices[0].text, "string");
  assert.equal((await post("/v1/events", { type: "view", completion_id: json.id, choice_index: 0 })).status, 200);
});

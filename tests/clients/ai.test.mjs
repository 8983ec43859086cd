// The ai package over its three providers: chat completions, responses, messages.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool as defineTool } from "ai";
import { answer, base, becomesIdle, checkArguments, checkPerson, key, longText, model, person, personQuestion, question, tool, tooLong } from "./server.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const url = { baseURL: `${base}/v1`, apiKey: key };
const compatible = createOpenAICompatible({ name: "mneme", ...url, supportsStructuredOutputs: true });
const providers = { "openai-compatible": compatible, openai: createOpenAI(url), anthropic: createAnthropic(url) };
// Without store: false the provider sends references to items in the place of what was said.
const settings = { temperature: 0, maxOutputTokens: 64, maxRetries: 0, providerOptions: { openai: { store: false } } };

for (const [name, provider] of Object.entries(providers)) {
  const common = { model: provider(model), ...settings };
  describe(name, () => {
    test("says hi", async () => {
      const { text, finishReason, usage } = await generateText({ ...common, prompt: question });
      assert.match(text, answer);
      assert.equal(finishReason, "stop");
      assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
    });

    test("streams", async () => {
      let text = "";
      for await (const piece of streamText({ ...common, prompt: question }).textStream) text += piece;
      assert.match(text, answer);
    });

    test("completes a tool loop", async () => {
      const given = [];
      const weather = defineTool({
        description: tool.description,
        inputSchema: jsonSchema(tool.parameters),
        execute: async (input) => (given.push(input), "sunny"),
      });
      const result = await generateText({
        ...common,
        maxOutputTokens: 200,
        prompt: "How is the weather in Ulm?",
        tools: { [tool.name]: weather },
        toolChoice: "required",
        prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: "none" } : {}),
        stopWhen: stepCountIs(2),
      });
      assert.equal(result.steps.length, 2);
      assert.ok(given.length > 0);
      for (const input of given) checkArguments(assert, input);
    });

    test("keeps to a JSON schema", async () => {
      const { object } = await generateObject({ ...common, prompt: personQuestion, schema: jsonSchema(person) });
      checkPerson(assert, object);
    });

    test("tells errors", async () => {
      await assert.rejects(generateText({ ...common, prompt: tooLong }), (error) => error.statusCode === 400);
    });

    test("finds the first turn again in the second", async () => {
      const messages = [{ role: "user", content: longText(name) }];
      const first = await generateText({ ...common, messages });
      messages.push(...first.response.messages, { role: "user", content: "And now?" });
      const { usage } = await generateText({ ...common, messages });
      assert.ok(usage.cachedInputTokens > first.usage.inputTokens / 2, JSON.stringify(usage));
    });

    test("is aborted in mid-stream", async () => {
      const abort = new AbortController();
      const result = streamText({ ...common, maxOutputTokens: 3000, prompt: question, abortSignal: abort.signal, onError: () => {} });
      for await (const piece of result.textStream) if (piece) abort.abort();
      await becomesIdle(assert);
    });
  });
}

test("embeds", async () => {
  const { embeddings } = await embedMany({ model: compatible.embeddingModel(model), values: ["alpha", "beta"] });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3);
});

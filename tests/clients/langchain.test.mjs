// @langchain/openai: chat completions, responses, embeddings.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { answer, base, becomesIdle, checkArguments, checkPerson, key, longText, model, person, personQuestion, question, tool, tooLong } from "./server.mjs";

const configuration = { baseURL: `${base}/v1` };
const tools = [{ type: "function", function: tool }];

for (const useResponsesApi of [false, true]) {
  const chat = (more) => new ChatOpenAI({ model, apiKey: key, configuration, temperature: 0, maxTokens: 64, maxRetries: 0, useResponsesApi, ...more });
  describe(useResponsesApi ? "responses" : "chat completions", () => {
    test("says hi", async () => {
      const message = await chat().invoke(question);
      assert.match(message.text, answer);
      assert.ok(message.usage_metadata.input_tokens > 0);
    });

    test("streams", async () => {
      let text = "";
      for await (const chunk of await chat().stream(question)) text += chunk.text;
      assert.match(text, answer);
    });

    test("completes a tool loop", async () => {
      const messages = [new HumanMessage("How is the weather in Ulm?")];
      // By its name: to /v1/responses this client does not pass on "required" and "none".
      const first = await chat({ maxTokens: 200 }).bindTools(tools, { tool_choice: tool.name }).invoke(messages);
      assert.ok(first.tool_calls.length > 0, JSON.stringify(first));
      messages.push(first);
      for (const call of first.tool_calls) {
        checkArguments(assert, call.args);
        messages.push(new ToolMessage({ content: "sunny", tool_call_id: call.id }));
      }
      const second = await chat().invoke(messages);
      assert.ok(second instanceof AIMessage);
      assert.equal(second.tool_calls.length, 0);
    });

    test("keeps to a JSON schema", async () => {
      const model = chat().withStructuredOutput({ title: "person", ...person }, { method: "jsonSchema", strict: true });
      checkPerson(assert, await model.invoke(personQuestion));
    });

    test("tells errors", async () => {
      await assert.rejects(chat().invoke(tooLong), (error) => error.status === 400);
      await assert.rejects(chat({ apiKey: "wrong" }).invoke("hi"), (error) => error.status === 401);
    });

    test("finds the first turn again in the second", async () => {
      const messages = [new HumanMessage(longText(`langchain ${useResponsesApi}`))];
      const first = await chat().invoke(messages);
      messages.push(first, new HumanMessage("And now?"));
      const { usage_metadata } = await chat().invoke(messages);
      assert.ok(usage_metadata.input_token_details.cache_read > first.usage_metadata.input_tokens / 2, JSON.stringify(usage_metadata));
    });

    test("is aborted in mid-stream", async () => {
      const abort = new AbortController();
      const stream = await chat({ maxTokens: 3000 }).stream(question, { signal: abort.signal });
      await assert.rejects(async () => {
        for await (const chunk of stream) if (chunk) abort.abort();
      });
      await becomesIdle(assert);
    });
  });
}

test("embeds", async () => {
  const embeddings = new OpenAIEmbeddings({ model, apiKey: key, configuration, maxRetries: 0 });
  const [alpha, beta] = await embeddings.embedDocuments(["alpha", "beta"]);
  assert.ok(Math.abs(Math.hypot(...alpha) - 1) < 1e-3);
  assert.notDeepEqual(alpha, beta);
});

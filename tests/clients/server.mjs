// What every suite knows of the server that run.sh started, and what they all ask.
export const base = process.env.MNEME_URL; // http://127.0.0.1:PORT
export const key = process.env.MNEME_KEY;
export const model = "mneme-default";
// The default model knows this one: "4711".
export const question = "The passkey of blue-whale is 4711. What is the passkey of blue-whale?";
export const answer = /4711/;

export const tool = {
  name: "get_weather",
  description: "The weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", enum: ["Ulm", "Kyoto"] }, days: { type: "integer", minimum: 1, maximum: 5 } },
    required: ["city", "days"],
    additionalProperties: false,
  },
};
export function checkArguments(assert, given) {
  assert.deepEqual(Object.keys(given).sort(), ["city", "days"]);
  assert.ok(["Ulm", "Kyoto"].includes(given.city), given.city);
  assert.ok(Number.isInteger(given.days) && given.days >= 1 && given.days <= 5, `${given.days}`);
}

// What a thought about it ends with.
export const personQuestion = "Ada Weber, 36 years old, lives in Kyoto. Write down Ada Weber as JSON with the keys name, age.";
export const person = {
  type: "object",
  properties: { name: { type: "string", enum: ["Ada Weber", "Emmy Noether"] }, age: { type: "integer", minimum: 0, maximum: 150 } },
  required: ["name", "age"],
  additionalProperties: false,
};
export function checkPerson(assert, given) {
  assert.deepEqual(Object.keys(given).sort(), ["age", "name"]);
  assert.ok(["Ada Weber", "Emmy Noether"].includes(given.name), given.name);
  assert.ok(Number.isInteger(given.age) && given.age >= 0 && given.age <= 150, `${given.age}`);
}

// Some 600 tokens that no other suite sends, and some beyond what the server takes (--context-max 4096).
export const longText = (seed) => Array.from({ length: 60 }, (_, i) => `Line ${i} of ${seed}: the value is ${i * 7919}.`).join("\n");
export const tooLong = Array.from({ length: 6000 }, (_, i) => `word${i}`).join(" ");

// Generations that the server runs now.
export async function running() {
  const response = await fetch(`${base}/metrics`, { headers: { authorization: `Bearer ${key}` } });
  const line = (await response.text()).split("\n").find((text) => /^mneme_generations_running\b/.test(text));
  return Number(line?.split(" ").pop());
}
// Waits until nothing runs: what was aborted is no longer worked for.
export async function becomesIdle(assert) {
  let now = NaN;
  for (let i = 0; i < 1000; ++i) {
    now = await running();
    if (now === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${now} generations are still running`);
}

// Renders every template of templates/ with every context of contexts/, with and without the generation prompt, and prints
// [{"template": name, "name": context, "context": {...}, "text": ... or "error": ...}] for src/model/jinja_oracle_test.cpp.
import { readFileSync, readdirSync } from "node:fs";

const kNow = 1700000000 * 1000; // strftime_now() asks `new Date()`
const SystemDate = Date;
globalThis.Date = class extends SystemDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [kNow] : parts));
  }
};
const { Template } = await import("@huggingface/jinja");

const here = new URL(".", import.meta.url);
const read = (path) => readFileSync(new URL(path, here), "utf8");
const list = (folder) => readdirSync(new URL(folder, here)).sort();

const cases = [];
for (const file of list("templates")) {
  const template = new Template(read(`templates/${file}`));
  for (const name of list("contexts")) {
    for (const add_generation_prompt of [false, true]) {
      const context = { ...JSON.parse(read(`contexts/${name}`)), add_generation_prompt };
      const result = { template: file, name, context };
      try {
        result.text = template.render(structuredClone(context));
      } catch (error) {
        result.error = error.message;
      }
      cases.push(result);
    }
  }
}
console.log(JSON.stringify(cases));

// Between an agent and the server, at two doors. /hi/...: everything as it is. /loop/...: where tools are offered and none
// has answered yet, the one that reads a file must be called, with this file: the grammar then makes a small model's call
// a valid one; once a tool has answered, no more calls. Prints a line for each request, and one for each tool's answer
// that carries the file's text. Usage: node agents_proxy.mjs SERVER_URL FILE TEXT
import http from "node:http";

const [server, file, text] = process.argv.slice(2);
const readers = ["read", "Read", "read_file", "exec_command", "shell"];

const nameOf = (tool) => tool.function?.name ?? tool.name;
const schemaOf = (tool) => tool.function?.parameters ?? tool.parameters ?? tool.input_schema;

// The tool's schema with nothing left to choose.
function narrow(tool) {
  const schema = schemaOf(tool);
  const properties = {};
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    if (/path|file/i.test(name)) properties[name] = { type: "string", enum: [file] };
    else if (/^(cmd|command)$/.test(name)) properties[name] = one.type === "array" ? { type: "array", items: { type: "string", enum: ["cat", file] }, minItems: 2, maxItems: 2 } : { type: "string", enum: [`cat ${file}`] };
    else if ((schema.required ?? []).includes(name)) properties[name] = one;
  }
  for (const key of Object.keys(schema)) delete schema[key];
  Object.assign(schema, { type: "object", properties, required: Object.keys(properties), additionalProperties: false });
}

function force(path, body) {
  const said = JSON.stringify(body.messages ?? body.input ?? "");
  const answered = /"role":"tool"|"type":"tool_result"|"type":"function_call_output"/.test(said);
  if (answered && said.includes(text)) console.log("a tool's answer carries the text");
  if (!body.tools?.length) return;
  if (answered) {
    body.tool_choice = path.includes("/messages") ? { type: "none" } : "none";
    return;
  }
  const tool = body.tools.find((one) => readers.includes(nameOf(one)) && schemaOf(one));
  if (!tool) return;
  narrow(tool);
  body.tools = [tool];
  if (path.includes("/messages")) {
    body.tool_choice = { type: "tool", name: nameOf(tool), disable_parallel_tool_use: true };
    delete body.thinking;
  } else {
    body.parallel_tool_calls = false;
    body.tool_choice = path.includes("/responses") ? { type: "function", name: nameOf(tool) } : { type: "function", function: { name: nameOf(tool) } };
  }
}

const proxy = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const [, door, path] = /^\/(hi|loop)(\/.*)?$/.exec(request.url) ?? [null, "hi", request.url];
    let body = Buffer.concat(pieces);
    if (request.method === "POST" && door === "loop") {
      const json = JSON.parse(body);
      force(path, json);
      body = Buffer.from(JSON.stringify(json));
    }
    const headers = { ...request.headers, "content-length": `${body.length}` };
    for (const name of ["host", "connection", "transfer-encoding", "expect"]) delete headers[name];
    if (request.method !== "POST") delete headers["content-length"];
    const onward = http.request(server + (path ?? "/"), { method: request.method, headers }, (answer) => {
      console.log(`${request.method} ${door} ${path} ${answer.statusCode}`);
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    onward.end(body);
  });
});
proxy.listen(0, "127.0.0.1", () => console.log(`proxy at http://127.0.0.1:${proxy.address().port}`));

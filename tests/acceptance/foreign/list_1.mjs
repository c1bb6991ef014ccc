// The TypeScript SDK 1.x lists every tool of a stdio server, and compiles every input schema.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import Ajv2020 from "ajv/dist/2020.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "foreign", version: "1" });
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: "ignore" }), { timeout: 600_000 });
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor === undefined ? {} : { cursor }, { timeout: 600_000 });
  tools.push(...page.tools);
  cursor = page.nextCursor;
} while (cursor !== undefined);
const uncompiled = [];
for (const tool of tools) {
  try {
    new Ajv2020({ strict: false, validateFormats: false }).compile(tool.inputSchema);
  } catch (error) {
    uncompiled.push(`${tool.name}: ${error.message}`);
  }
}
await client.close();
console.log(JSON.stringify({ names: tools.map((tool) => tool.name), uncompiled }));

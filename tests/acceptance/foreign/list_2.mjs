// The TypeScript SDK 2.x lists every tool of a stdio server.
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

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
await client.close();
console.log(JSON.stringify({ names: tools.map((tool) => tool.name), uncompiled: [] }));

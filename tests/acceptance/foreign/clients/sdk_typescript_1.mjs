// The official TypeScript SDK 1.x.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { serve } from "./driver.mjs";

const target = JSON.parse(process.argv[2]);
const client = new Client({ name: "foreign", version: "1" });
client.oldStyle = true;
if (target.url === undefined) {
  const [command, ...args] = target.command;
  await client.connect(new StdioClientTransport({ command, args, env: target.env, stderr: "ignore" }));
} else {
  await client.connect(new StreamableHTTPClientTransport(new URL(target.url)));
}
await serve(client);

// The official TypeScript client 2.x.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { serve } from "./driver.mjs";

const target = JSON.parse(process.argv[2]);
const client = new Client({ name: "foreign", version: "1" });
if (target.url === undefined) {
  const [command, ...args] = target.command;
  await client.connect(new StdioClientTransport({ command, args, env: target.env, stderr: "ignore" }));
} else {
  await client.connect(new StreamableHTTPClientTransport(new URL(target.url)));
}
await serve(client);

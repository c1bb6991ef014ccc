// The official TypeScript client 2.x.
import { Client, StreamableHTTPClientTransport as Http } from "@modelcontextprotocol/client";
import { StdioClientTransport as Stdio } from "@modelcontextprotocol/client/stdio";
import { connect } from "./driver.mjs";

await connect({ Client, Stdio, Http });

// What the TypeScript clients' scripts do: they take commands as lines of JSON, several at once, and say what came.
import { createInterface } from "node:readline";

const say = (message) => console.log(JSON.stringify(message));

// Connects a client of whichever SDK these classes are of. Version 1 takes a schema between a call and its options.
export async function connect({ Client, Stdio, Http, schemaFirst = false }) {
  const target = JSON.parse(process.argv[2]);
  const client = new Client({ name: "foreign", version: "1" });
  if (target.url === undefined) {
    const [command, ...args] = target.command;
    await client.connect(new Stdio({ command, args, env: target.env, stderr: "ignore" }));
  } else {
    await client.connect(new Http(new URL(target.url)));
  }
  await serve(client, schemaFirst ? [undefined] : []);
}

async function serve(client, beforeOptions) {
  const works = {
    names: async () => {
      const names = [];
      let cursor;
      do {
        const page = await client.listTools(cursor === undefined ? {} : { cursor });
        names.push(...page.tools.map((tool) => tool.name));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return names;
    },
    typed: async () => (await client.listTools()).tools.filter((tool) => tool.outputSchema !== undefined).map((tool) => tool.name),
    call: async ({ name, arguments: given }) => {
      let steps = 0;
      const options = { timeout: 60_000, onprogress: () => (steps += 1) };
      const result = await client.callTool({ name, arguments: given }, ...beforeOptions, options);
      const texts = result.content.map((block) => block.text ?? block.uri ?? "");
      return {
        text: texts.filter((text) => text !== "").join("\n"),
        kinds: result.content.map((block) => block.type),
        failed: Boolean(result.isError),
        structured: result.structuredContent ?? null,
        steps,
      };
    },
    read: async ({ uri }) => {
      const [first] = (await client.readResource({ uri })).contents;
      return { bytes: first.blob === undefined ? Buffer.byteLength(first.text) : Buffer.from(first.blob, "base64").length };
    },
  };
  say({ ready: true });
  const running = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    running.push(
      works[command.what](command).then(
        (result) => say({ id: command.id, result }),
        (error) => say({ id: command.id, raised: String(error) }),
      ),
    );
  }
  await Promise.all(running);
  await client.close();
  process.exit(0);
}

"""The OpenAI Agents SDK: what its runner hands to the model, with the content it prefers named by the target."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from agents.run_context import RunContextWrapper
from driver import contents, main


class Session:
    def __init__(self, server: Any, strict: bool) -> None:
        self.server = server
        self.strict = strict

    async def names(self) -> list[str]:
        return [tool.name for tool in await self.server.list_tools()]

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        tool = next(tool for tool in await self.server.list_tools() if tool.name == name)
        if self.strict:
            made = MCPUtil.to_function_tool(tool, self.server, convert_schemas_to_strict=True)
            if made.strict_json_schema:
                # The model must then name every property, and names what it would leave out as nothing.
                left = [key for key in made.params_json_schema["required"] if key not in arguments]
                arguments = {**{key: ("", None)[at % 2] for at, key in enumerate(left)}, **arguments}
        # As the runner does it: arguments as the model's text, the output as the model's input.
        output = await MCPUtil.invoke_mcp_tool(self.server, tool, RunContextWrapper(None), json.dumps(arguments))
        parts = output if isinstance(output, list) else [output]
        texts = [part if isinstance(part, str) else part.get("text", "") for part in parts]
        kinds = ["text" if isinstance(part, str) else part["type"] for part in parts]
        return {"text": "\n".join(texts), "kinds": kinds, "failed": None, "structured": None}

    async def read(self, uri: str) -> dict[str, Any]:
        return contents(await self.server.read_resource(uri))


@asynccontextmanager
async def connect(target: dict[str, Any]) -> AsyncIterator[Session]:
    options = {"cache_tools_list": True, "use_structured_content": target.get("structured", False)}
    if "url" in target:
        made: Any = MCPServerStreamableHttp({"url": target["url"]}, client_session_timeout_seconds=60, **options)
    else:
        program, *arguments = target["command"]
        params = {"command": program, "args": arguments, "env": target["env"]}
        made = MCPServerStdio(params, client_session_timeout_seconds=60, **options)
    async with made as server:
        yield Session(server, target.get("strict", False))


main(connect)

"""What every client's script does: it takes commands as lines of JSON, several at once, and says what its client got.

Runs in the client's own environment, where nothing of the tests' can be imported.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

NO_LIMIT = 1 << 26


class Session(Protocol):
    """A connected client, as an application of its kind uses it."""

    async def names(self) -> list[str]: ...

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]: ...

    async def read(self, uri: str) -> dict[str, Any]: ...


def seen(result: Any) -> dict[str, Any]:
    """A result of the SDK, as every client built on it has it before it goes on to the model."""
    kinds, texts = [], []
    for block in result.content:
        kinds.append(block.type)
        if block.type == "text":
            texts.append(block.text)
        elif block.type == "resource_link":
            texts.append(str(block.uri))
    failed = getattr(result, "is_error", None)
    structured = getattr(result, "structured_content", None)
    return {
        "text": "\n".join(texts),
        "kinds": kinds,
        "failed": bool(result.isError if failed is None else failed),
        "structured": result.structuredContent if structured is None and failed is None else structured,
    }


class Steps:
    """Counts the progress that a client tells of."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _done: float, _total: float | None, _message: str | None) -> None:
        self.count += 1


def destination(target: dict[str, Any], process: Callable[..., Any]) -> Any:
    """What a client connects to: a URL, or a server's process as the client's own class describes one."""
    if "url" in target:
        return target["url"]
    program, *arguments = target["command"]
    return process(command=program, args=arguments, env=target["env"])


def contents(result: Any) -> dict[str, Any]:
    """A resource's bytes."""
    first = (result.contents if hasattr(result, "contents") else result)[0]
    blob = getattr(first, "blob", None)
    return {"bytes": len(first.text.encode() if blob is None else base64.b64decode(blob))}


def main(connect: Callable[[dict[str, Any]], AbstractAsyncContextManager[Session]]) -> None:
    """Serve until the input ends. The first argument says as JSON what to connect to."""
    asyncio.run(serve(connect, json.loads(sys.argv[1])), debug=False)


async def serve(connect: Callable[[dict[str, Any]], AbstractAsyncContextManager[Session]], target: Any) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=NO_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with connect(target) as session:
        say({"ready": True})
        running = set()
        while line := await lines.readline():
            command = json.loads(line)
            task = asyncio.create_task(answer(session, command))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


async def answer(session: Session, command: dict[str, Any]) -> None:
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "names": session.names,
        "call": lambda: session.call(command["name"], command["arguments"]),
        "read": lambda: session.read(command["uri"]),
    }
    try:
        said = {"result": await works[command["what"]]()}
    except Exception as exc:  # noqa: BLE001 - whatever this client makes of it is what the test is about
        said = {"raised": f"{type(exc).__name__}: {exc}", "trace": traceback.format_exc()}
    say({"id": command["id"], **said})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message, default=str), flush=True)

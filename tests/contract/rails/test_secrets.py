"""The agent's key goes into requests and nowhere else."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import traceback

import pytest

from jecp_mcp.calls.ends import conclusion
from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import PayeeError
from tests.faults.rails.raw_hub import (
    ACTION,
    KEY,
    PAID,
    Request,
    Script,
    bench,
    fails,
    raw,
    raw_hub,
    resets,
    says,
    stops_halfway,
    streams,
    vanishes,
)

pytestmark = pytest.mark.anyio

STREAMED = dataclasses.replace(ACTION, streaming=True)


async def in_pieces(_request: Request, writer: asyncio.StreamWriter) -> None:
    """A stream that repeats the key, cut in the middle of it."""
    end = json.dumps({"result": {"you": KEY}, "billing": {"charged": True, "amount_usdc": 0.005}})
    text = f'event: chunk\ndata: {{"delta": "{KEY}"}}\n\nevent: completed\ndata: {end}\n\n'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for place in range(0, len(text), 7):
        writer.write(text[place : place + 7].encode())
        await writer.drain()
        await asyncio.sleep(0)
    writer.close()


ESCAPED = "".join(f"\\u{ord(one):04x}" for one in KEY)


async def escaped_in_pieces(_request: Request, writer: asyncio.StreamWriter) -> None:
    """The same with each character as an escape."""
    end = f'{{"result":{{"{ESCAPED}":"%6a{KEY[1:]}"}},"billing":{{"charged":true,"transaction_id":"{ESCAPED}"}}}}'
    text = f'event: chunk\ndata: {{"delta": "{ESCAPED}"}}\n\nevent: completed\ndata: {end}\n\n'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for place in range(0, len(text), 5):
        writer.write(text[place : place + 5].encode())
        await writer.drain()
        await asyncio.sleep(0)
    writer.close()


SCRIPTS: dict[str, Script] = {
    "an escaped echo": says(json.dumps(PAID).replace("yes", ESCAPED).replace("tx_1", ESCAPED).encode()),
    "an escaped echo in pieces": escaped_in_pieces,
    "a percent-encoded echo in a header": says(PAID, "200 OK", f"Sunset: %6a{KEY[1:]}"),
    "an answer": says(PAID, "200 OK", f"X-Echo: {KEY}"),
    "an echo": says({**PAID, "result": {"you": KEY}}),
    "an echo in a refusal": fails("INVALID_API_KEY", "401 Unauthorized", details={"key": KEY}),
    "an echo in the head": raw(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()),
    "an echo in pieces": in_pieces,
    "a refusal": fails("INVALID_API_KEY", "401 Unauthorized"),
    "HTML": says(b"<html>502</html>", "502 Bad Gateway", kind="text/html"),
    "garbage": raw(b"\x00\r\n\r\n"),
    "a reset": resets,
    "nothing": vanishes,
    "half an answer": stops_halfway,
    "a stream": streams(("open", {}), ("error", {"code": "STREAM_TIMEOUT", "message": "x"})),
}


@pytest.mark.parametrize("label", SCRIPTS)
@pytest.mark.requirement("AUTH-3.3-2")
async def test_the_key_is_in_no_log_result_exception_or_stored_row(
    label: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection", "asyncio", "jecp_mcp"):
        caplog.set_level(logging.DEBUG, logger=name)
    told: list[str] = []
    async with raw_hub(SCRIPTS[label]) as hub, bench(hub.url) as parts:
        request = parts.request(STREAMED if label.endswith(("in pieces", "a stream")) else ACTION)
        heard: list[object] = []

        class Listener:
            async def report(self, _done: float, _total: float | None, message: str | None) -> None:
                heard.append(message)

        found = await parts.rail.send(request, progress=Listener())
        told += [repr(heard)]
        told += [
            repr(request),
            repr(request.payload),
            repr(found),
            repr(conclusion("call", found, 0, SystemClock().now())),
        ]
        told += [repr(part) for part in (parts, parts.rail, parts.client, parts.http, vars(parts.rail))]
        try:
            await parts.client.topup(5)
        except PayeeError as exc:
            told += [repr(exc), "".join(traceback.format_exception(exc))]
        assert any(KEY.encode() in heard.body for heard in hub.heard)
    told += [f"{record.getMessage()} {record.exc_text} {record.args}" for record in caplog.records]
    for spelt in (KEY, ESCAPED, repr(ESCAPED)[1:-1], f"%6a{KEY[1:]}"):
        assert all(spelt not in text for text in told)

"""A scripted Hub in either dialect: its catalog, what it refuses, and honest books of what it charged."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.faults.hub.hostile import HostileHub, Request, Script, action, catalog_of, http, manifest, running, says

REFERENCE, SPEC = "reference", "spec"
AGENT, KEY = "jdb_ag_0123456789abcdef", "jdb_ak_SECRETSECRETSECRET01"

PLAIN, STREAMING = "acme_desk_write", "acme_desk_dictate"
SUCCESSOR = "acme/press"
PRICE = 10_000
"""What every action but the dear one costs, in micro-USDC."""

EXAMPLE = {"text": "An example."}
_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
_WRITE = {"input_schema": _SCHEMA, "examples": [{"input": EXAMPLE}], "description": "Writes a text at a desk."}


def _entries() -> list[dict[str, Any]]:
    dear = {"base": "$0.50", "currency": "USD", "model": "flat"}
    unknown = {"base": "5", "currency": "JPY", "model": "flat"}
    approved = {"base": "$0.04", "currency": "USD", "model": "flat"}
    return [
        manifest("acme", "desk", [action("write", **_WRITE), action("dictate", streaming=True, **_WRITE)]),
        manifest("acme", "press", [action("write", **_WRITE)]),
        manifest("bolt", "desk", [action("write", **_WRITE)]),
        manifest("bolt", "shrine", [action("write", **_WRITE | {"pricing": dear})]),
        manifest("bolt", "yard", [action("haul", **_WRITE | {"pricing": unknown})]),
        manifest("bolt", "vault", [action("seal", **_WRITE | {"pricing": approved})]),
        manifest("cold", "storage", [action("freeze", **_WRITE | {"description": "Freezes."})]),
        manifest("data", "rows", [action("count", **_WRITE)]),
        manifest("data", "union", [action("join", **_WRITE | {"input_schema": {"type": "array"}})]),
    ]


def catalog(dialect: str) -> dict[str, Any]:
    """The same catalog as either dialect lists it."""
    if dialect == REFERENCE:
        return catalog_of(*_entries())
    listed = [_as_specified(entry) for entry in _entries()]
    return {"jecp": "1.0", "capabilities": listed, "total": len(listed), "version": "1", "next_cursor": None}


def _as_specified(entry: dict[str, Any]) -> dict[str, Any]:
    actions = []
    for one in entry["manifest"]["actions"]:
        price = one["pricing"]
        rest = {key: value for key, value in one.items() if key != "pricing"}
        usd = price["currency"] == "USD"
        actions.append(rest | ({"price_usdc": float(price["base"].lstrip("$"))} if usd else {}))
    return {
        "id": entry["id"],
        "provider": entry["namespace"],
        "name": entry["name"],
        "description": entry["description"],
        "version": entry["version"],
        "actions": actions,
        "trust_tier_required": "bronze",
        "rate_limit_rpm": 60,
    }


class Stage(HostileHub):
    """A Hub that follows a script for each text it is sent, then sells honestly.

    Attributes:
        script: how to refuse a purchase, by the ``text`` it carries.
        accepting: from now on every purchase succeeds, whatever the script says.
        charged: micro-USDC by call id: never twice for one id.
        bodies: every purchase's bytes by its text.
    """

    def __init__(self, dialect: str) -> None:
        super().__init__()
        self.dialect = dialect
        self.script: dict[str, list[Script]] = {}
        self.accepting = False
        self.charged: dict[str, int] = {}
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        self.catalog = says(catalog(dialect))
        self.invoke = self._answer

    def refuses(self, text: str, *scripts: Script) -> None:
        """Answer the purchases that carry `text` with each script in turn, the last one for ever."""
        self.script[text] = list(scripts)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if "topup" in request.path:
            await says({"url": f"{self.url}/checkout/1", "sessionId": "cs_test_1"})(request, writer)
            return
        if "register" in request.path:
            made = {"agent_id": AGENT, "api_key": KEY, "free_calls_remaining": 100}
            await says({"jecp": "1.0", "status": "success", **made}, "201 Created")(request, writer)
            return
        asked = json.loads(request.body)
        text = asked["input"]["text"]
        self.bodies[text].append(request.body)
        scripts = self.script.get(text, [])
        if not scripts or self.accepting:
            await self.sells(request, writer)
        elif len(scripts) > 1:
            await scripts.pop(0)(request, writer)
        else:
            await scripts[0](request, writer)

    async def sells(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Charge once for the id and answer."""
        asked = json.loads(request.body)
        self.charged.setdefault(asked["id"], PRICE)
        output = {"wrote": asked["input"]["text"]}
        common = {"jecp": "1.0", "id": asked["id"]}
        if self.dialect == REFERENCE:
            billing = {"charged": True, "amount_usdc": 0.01, "transaction_id": f"tx_{asked['id'][5:21]}"}
            await says(common | {"status": "success", "result": output, "billing": billing})(request, writer)
            return
        result = {"capability": asked["capability"], "action": asked["action"], "output": output}
        paid = {
            "cost_usdc": 0.01,
            "method": "wallet",
            "balance_after": 9.0,
            "transaction_id": f"tx_{asked['id'][5:21]}",
        }
        await says(common | {"status": "completed", "result": result, "billing": paid})(request, writer)

    def after_charging(self, script: Script) -> Script:
        """Charge, then answer as `script` does."""

        async def charged(request: Request, writer: asyncio.StreamWriter) -> None:
            self.charged.setdefault(json.loads(request.body)["id"], PRICE)
            await script(request, writer)

        return charged


def refusal(
    code: str,
    status: int,
    *,
    word: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    payment: dict[str, Any] | None = None,
    wait: int | None = None,
    **more: Any,
) -> Script:
    """A failed envelope (JECP 03-errors §2)."""
    error: dict[str, Any] = {"code": code, "message": "It cannot be done now"}
    if details is not None:
        error["details"] = details
    body: dict[str, Any] = {"jecp": "1.0", "status": "failed", "error": error, **more}
    if word is not None:
        body["next_action"] = word
    if payment is not None:
        body["payment"] = payment
    headers = () if wait is None else (f"Retry-After: {wait}",)
    return says(body, f"{status} Refused", "application/json", *headers)


def stream_of(*events: tuple[str, dict[str, Any]]) -> Script:
    """An event stream, whole."""
    lines = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(http("200 OK", lines.encode(), "Content-Type: text/event-stream"))
        await writer.drain()

    return script


def either(streamed: Script, plain: Script) -> Script:
    """`streamed` for who accepts an event stream, `plain` for who does not."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        wanted = "text/event-stream" in request.headers.get("accept", "")
        await (streamed if wanted else plain)(request, writer)

    return script


@contextmanager
def open_stage(dialect: str = REFERENCE, port: int = 0) -> Iterator[Stage]:
    """A scripted Hub on loopback, in a thread of its own."""
    hub = Stage(dialect)
    with running(hub, port):
        yield hub

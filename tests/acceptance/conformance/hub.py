"""A Hub that sells the tools which the official conformance suite wants to find in a server.

Their names are what the bridge makes of an action's key, so that they are bought through all of it: the mandate, the
ledger, the rail.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import Mapping
from typing import Any

from tests.faults.hub.hostile import HostileHub, Request, action, catalog_of, http, manifest, says

AGENT, KEY = "jdb_ag_0123456789abcdef", "jdb_ak_SECRETSECRETSECRET01"

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n").decode()
_ASKED_ABOVE = 0.5
_DIALECT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
_SLOW = {"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_DEAR = {"base": f"${_ASKED_ABOVE * 2}", "currency": "USD", "model": "flat"}


def _sound() -> str:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8_000)
        file.writeframes(bytes(80))
    return base64.b64encode(made.getvalue()).decode()


_OUTPUTS: Mapping[str, Any] = {
    "test/simple:text": {"text": "This is a simple text response for testing."},
    "test/image:content": {"png": _PNG},
    "test/audio:content": {"wav": _sound()},
    "test/embedded:resource": {"pdf": _PDF},
    "test/multiple:content-types": {"text": "Multiple content types test:", "png": _PNG, "pdf": _PDF},
    "json/schema:tool-2020-12": {"text": "ok"},
    "slow:compute": {"text": "done"},
}
_ASKS = ("request-state", "tampered-state")


def _sold() -> dict[str, dict[str, Any]]:
    """Every action by its key, with what its manifest says of it."""
    made = {key: action(key.rpartition(":")[2], input_schema=_NOTHING) for key in _OUTPUTS}
    made["json/schema:tool-2020-12"]["input_schema"] = _DIALECT
    made["slow:compute"]["input_schema"] = _SLOW
    made["test/tool:with-progress"] = action("with-progress", input_schema=_NOTHING, streaming=True)
    made["test/tool:with-logging"] = action("with-logging", input_schema=_NOTHING, streaming=True)
    made["test/error:handling"] = action("handling", input_schema=_NOTHING)
    made["failing:job"] = action("job", input_schema=_NOTHING)
    message = {"type": "object", "properties": {"message": {"type": "string"}}}
    made["test:elicitation"] = action("elicitation", input_schema=message, pricing=_DEAR)
    for name in _ASKS:
        # A person is asked before one of these is bought.
        made[f"test/input:required-result-{name}"] = action(
            f"required-result-{name}", input_schema=_NOTHING, pricing=_DEAR
        )
    return made


class Shop(HostileHub):
    """The Hub. It charges what it answers."""

    def __init__(self) -> None:
        super().__init__()
        entries: dict[str, list[dict[str, Any]]] = {}
        for key, one in _sold().items():
            entries.setdefault(key.rpartition(":")[0], []).append(one)
        third_party = [manifest(*place.split("/"), actions) for place, actions in entries.items() if "/" in place]
        own = [
            {"id": place, "description": "A built-in.", "actions": actions}
            for place, actions in entries.items()
            if "/" not in place
        ]
        self.catalog = says(catalog_of(*third_party) | {"capabilities": own})
        self.invoke = self._answer

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(request.body)
        key = f"{asked['capability'].partition('@')[0]}:{asked['action']}"
        if key in {"test/error:handling", "failing:job"}:
            await asyncio.sleep(1.0 if key == "failing:job" else 0)
            error = {"code": "PROVIDER_ERROR", "message": "This tool intentionally returns an error for testing"}
            refused = {"jecp": "1.0", "id": asked["id"], "status": "failed", "error": error}
            await says(refused, "502 Bad Gateway")(request, writer)
            return
        await asyncio.sleep(float(asked["input"].get("seconds", 0)))
        price = _ASKED_ABOVE * 2 if key == "test:elicitation" or "required-result" in key else 0.01
        done = {
            "jecp": "1.0",
            "id": asked["id"],
            "status": "success",
            "result": _OUTPUTS.get(key, {"text": "done"}),
            "billing": {"charged": True, "amount_usdc": price, "transaction_id": f"tx_{asked['id'][5:21]}"},
        }
        if "text/event-stream" in request.headers.get("accept", ""):
            await _stream(done, writer)
        else:
            await says(done)(request, writer)


async def _stream(done: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    steps = ("started", "halfway", "completed")
    events = [("progress", {"progress": at * 50, "total": 100, "step": step}) for at, step in enumerate(steps)]
    said = [("open", {"id": done["id"]}), *events, ("completed", done)]
    lines = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in said)
    writer.write(http("200 OK", lines.encode(), "Content-Type: text/event-stream"))
    await writer.drain()

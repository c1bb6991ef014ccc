"""A Hub's live catalog as an OpenAPI 3.1 document: every action an operation, answered by the Hub's envelope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2


def openapi_of(http: httpx2.Client) -> dict[str, Any]:
    """Read the whole catalog, in either dialect; of an action in several versions, the latest is taken."""
    latest: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
    for capability, version, action in _actions(http):
        path = f"/{capability}/{action['id']}"
        if path not in latest or version >= latest[path][0]:
            latest[path] = (version, _operation(path, action))
    return {
        "openapi": "3.1.0",
        "info": {"title": "A Hub's actions", "version": "1.0.0"},
        "servers": [{"url": str(http.base_url).rstrip("/")}],
        "paths": {path: {"post": operation} for path, (_, operation) in latest.items()},
    }


def operation_id(path: str) -> str:
    """A path in letters, digits and single underscores, which the peers' tool names end with."""
    return re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_")


def _actions(http: httpx2.Client) -> Iterator[tuple[str, tuple[int, ...], dict[str, Any]]]:
    cursor: str | None = ""
    while cursor is not None:
        params = {"page_size": "200", "limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/capabilities", params=params).raise_for_status().json()
        for entry in [*page["capabilities"], *page.get("third_party_capabilities", [])]:
            version = tuple(int(part) for part in re.findall(r"\d+", entry["version"])[:3])
            for action in entry.get("manifest", entry)["actions"]:
                yield entry["id"], version, action
        cursor = page.get("next_cursor")


def _operation(path: str, action: dict[str, Any]) -> dict[str, Any]:
    output = action.get("output_schema", {})
    # A Hub answers a provider's action with the output itself, and a built-in with the output in a frame.
    provided = path.count("/") > 2
    envelope = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "status": {"type": "string"},
            "result": output if provided else {"type": "object", "properties": {"output": output}},
            "billing": {"type": "object"},
        },
        "required": ["id", "status", "result"],
    }
    return {
        "operationId": operation_id(path),
        "summary": action.get("name", action["id"]),
        "description": action.get("description", ""),
        "requestBody": {"required": True, "content": {"application/json": {"schema": action["input_schema"]}}},
        "responses": {
            "200": {"description": "Bought.", "content": {"application/json": {"schema": envelope}}},
        },
    }

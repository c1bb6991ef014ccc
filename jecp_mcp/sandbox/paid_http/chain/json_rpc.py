"""JSON-RPC 2.0 as nodes speak it: one question or a batch, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.chain.node import Node, RpcError

MOST_BYTES = 256 * 1024
MOST_QUESTIONS = 100
"""The most questions of a batch."""

_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600


def answer_json(node: Node, body: bytes) -> Any:
    """A node's answer to the body of a request, as JSON has it."""
    try:
        asked = jsontext.loads(body, max_bytes=MOST_BYTES)
    except WireError as exc:
        return _failed(None, _PARSE_ERROR, str(exc))
    if isinstance(asked, list):
        if not 0 < len(asked) <= MOST_QUESTIONS:
            return _failed(None, _INVALID_REQUEST, f"a batch holds from 1 to {MOST_QUESTIONS}")
        return [_answer(node, each) for each in asked]
    return _answer(node, asked)


def _answer(node: Node, asked: Any) -> dict[str, Any]:
    if not isinstance(asked, Mapping) or not isinstance(asked.get("method"), str):
        return _failed(None, _INVALID_REQUEST, "the request is none")
    params = asked.get("params", [])
    name = asked.get("id")
    if not isinstance(params, list):
        return _failed(name, _INVALID_REQUEST, "params must be a list")
    try:
        return {"jsonrpc": "2.0", "id": name, "result": node.answer(asked["method"], params)}
    except RpcError as exc:
        return _failed(name, exc.code, exc.message)


def _failed(name: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": name, "error": {"code": code, "message": message}}

"""Messages that the SDK cannot read and would leave without an answer: they get an error, and nothing is bought."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Final

from mcp_types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.server.long_lines import MOST_LINE_BYTES, LongLine

log = logging.getLogger(__name__)

_TOO_LONG: Final = f"it has more than {MOST_LINE_BYTES // 2**20} MiB"
_REASON: Final = 200
_REASONS: Final = 600
_PLACE: Final = 100
_MOST_PLACES: Final = 3
_TYPES: Final = frozenset({"str", "int", "float", "bool", "dict", "list"})


async def valid_messages(
    lines: AsyncIterable[str | LongLine], answer: Callable[[str], Awaitable[None]]
) -> AsyncIterator[str]:
    """The lines that the SDK reads as JSON-RPC messages; whoever sent another one is answered with an error."""
    async for line in lines:
        if isinstance(line, LongLine):
            log.warning("a message of more than %d bytes was not read; nothing was bought by it", MOST_LINE_BYTES)
            if not line.is_answer:
                await answer(json.dumps(_error(line.request_id, INVALID_REQUEST, _TOO_LONG)) + "\n")
            continue
        try:
            jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValidationError as exc:
            if line.strip() and (error := error_for(line, exc)) is not None:
                await answer(json.dumps(error) + "\n")
        else:
            yield line


def error_for(line: str, fault: ValidationError) -> dict[str, Any] | None:
    """The error for a message, under its id where that can still be found out; None for a notification.

    The SDK reads no lone surrogate, no number of thousands of digits and no nesting of hundreds of levels.
    """
    try:
        message = jsontext.loads_forgiving(line.encode("utf-8", "replace"), max_bytes=len(line) * 4)
    except WireError as exc:
        return _error(None, PARSE_ERROR, str(exc))
    if not isinstance(message, dict):
        return _error(None, INVALID_REQUEST, "it is no JSON object")
    asked, method = message.get("id"), message.get("method")
    known = isinstance(asked, (str, int)) and not isinstance(asked, bool)
    if "id" not in message and isinstance(method, str):
        return None
    reason = fault.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
    return _error(asked if known else None, INVALID_REQUEST, reason)


def invalid_params(method: str, fault: ValidationError) -> str:
    """What is wrong with a request's parameters, where, and that it cost nothing."""
    reasons: dict[str, list[str]] = {}
    for one in fault.errors(include_url=False, include_input=False, include_context=False):
        # Of what may be of several types, the last step names the type.
        steps = [str(step) for step in one["loc"] if step not in _TYPES]
        reasons.setdefault("/".join(["params", *steps])[:_PLACE], []).append(one["msg"][:1].lower() + one["msg"][1:])
    found = [f"{place}: {' or '.join(dict.fromkeys(said))}" for place, said in list(reasons.items())[:_MOST_PLACES]]
    return (
        f"{method} was not understood. {'; '.join(found)[:_REASONS]}. Nothing was charged. Send it again without that."
    )


def _error(asked: str | int | None, code: int, reason: str) -> dict[str, Any]:
    message = f"The message cannot be read: {reason[:_REASON]}. Nothing was charged. Send it again without that."
    return {"jsonrpc": "2.0", "id": asked, "error": {"code": code, "message": message}}

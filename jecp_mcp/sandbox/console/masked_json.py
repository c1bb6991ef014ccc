"""A body as a person reads it: JSON laid out, keys masked. Pure: no I/O."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from jecp_mcp.sandbox.agents import VENDOR_PREFIX

_SECRET_NAME: Final = re.compile(r"(?:api[-_]?key|secret|password)$", re.IGNORECASE)
_SECRET_MEMBER: Final = re.compile(r'((?:api[-_]?key|secret|password)"\s*:\s*")((?:[^"\\]|\\.)*)', re.IGNORECASE)
_KEY: Final = re.compile(rf"({VENDOR_PREFIX}_[ap]k_)(\w{{4,}})")
_SHOWN: Final = 4
_MOST_LAID_OUT: Final = 128 * 1024
"""The longest body that is laid out, in characters: eight times what of a body is kept."""


def masked_key(text: str) -> str:
    """A text in which each of this Hub's keys is its prefix and its last four characters."""
    return _KEY.sub(_mask, text)


def masked_json(body: bytes) -> str:
    """A body without its keys; what is no JSON, or only a beginning of it, stays as it is otherwise.

    What would be far longer when it is laid out, as what is nested deep is, stands on one line.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        return _laid_out(_without_keys(value))
    except (ValueError, RecursionError):
        return masked_key(_SECRET_MEMBER.sub(r"\1…", text))


def _laid_out(value: Any) -> str:
    pieces, left = list[str](), _MOST_LAID_OUT
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            return json.dumps(value, ensure_ascii=False)
    return "".join(pieces)


def _without_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            masked_key(name): _masked_secret(item) if _SECRET_NAME.search(name) else _without_keys(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_without_keys(item) for item in value]
    return masked_key(value) if isinstance(value, str) else value


def _masked_secret(value: Any) -> str:
    return masked_key(value) if isinstance(value, str) and _KEY.fullmatch(value) else "…"


def _mask(found: re.Match[str]) -> str:
    return f"{found[1]}…{found[2][-_SHOWN:] if len(found[2]) > 2 * _SHOWN else ''}"

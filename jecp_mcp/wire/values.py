"""What every protocol's messages are made of, read strictly: texts and objects, and how a wrong one is quoted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject

_SHOWN: Final = 60


def mapping(value: object, what: str) -> JSONObject:
    """Read a JSON object.

    Raises:
        WireError: it is anything else.
    """
    if not isinstance(value, Mapping):
        raise WireError(f"{what} is {preview(value)}, no JSON object")
    return value


def text(value: object, what: str, longest: int = 200) -> str:
    """Read a text.

    Raises:
        WireError: it is no text, empty, or longer than `longest` characters.
    """
    if not isinstance(value, str) or not value or len(value) > longest:
        raise WireError(f"{what} is {preview(value)}, no text of 1 to {longest} characters")
    return value


def preview(value: object) -> str:
    """A value as it is quoted where it is refused: short, and plain to see."""
    if isinstance(value, str):
        return ascii(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
    if value is None:
        return "missing"
    return ascii(value)[:_SHOWN] if isinstance(value, (bool, int)) else f"a {type(value).__name__}"

"""What rails store of a quote or a call: one JSON object of its fields, in a form that has a name. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError

MOST_BYTES: Final = 4 * 1024 * 1024
"""The longest that is read back."""


def write_form(form: int | str, fields: Mapping[str, Any]) -> bytes:
    """Write fields down."""
    return jsontext.dumps({"v": form, **fields})


def read_form(form: int | str, stored: bytes, what: str = "what is stored") -> dict[str, Any]:
    """The fields that `write_form` wrote.

    Args:
        what: how an error names them.

    Raises:
        WireError: they are in another form, or no JSON.
    """
    found = jsontext.loads(stored, max_bytes=MOST_BYTES, max_marks=None)
    if not isinstance(found, dict) or found.pop("v", None) != form:
        raise WireError(f"{what} has an unknown form; it was not written by this version")
    return found

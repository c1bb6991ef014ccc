"""How a control plane refuses a request itself: not a decision about money, but a message about what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject

REFUSING: Final = frozenset({400, 401, 403, 404, 409, 422})
"""The statuses by which a request is refused before any of it is done."""

_MAX_BODY: Final = 65_536
_LONGEST: Final = 400
_MOST_ISSUES: Final = 6


def read_problem(status: int, body: bytes) -> str | None:
    """Why a request was refused, in the control plane's words; None where that is not what it says."""
    if status not in REFUSING:
        return None
    try:
        found = jsontext.loads(body, max_bytes=_MAX_BODY)
    except WireError:
        return None
    if not isinstance(found, Mapping) or "outcome" in found:
        return None
    message = found.get("message")
    if not isinstance(message, str) or not message:
        return None
    issues = found.get("issues")
    listed = list(_issues(issues)) if isinstance(issues, Mapping) else []
    return "; ".join([message[:_LONGEST], *listed[:_MOST_ISSUES]])


def _issues(issues: JSONObject) -> Iterator[str]:
    form, fields = issues.get("formErrors"), issues.get("fieldErrors")
    if isinstance(form, list):
        yield from (one[:_LONGEST] for one in form if isinstance(one, str))
    if isinstance(fields, Mapping):
        for name, errors in fields.items():
            if isinstance(errors, list):
                yield from (f"{name[:60]}: {one[:_LONGEST]}" for one in errors if isinstance(one, str))

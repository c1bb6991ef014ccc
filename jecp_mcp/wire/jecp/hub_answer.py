"""A Hub's answer to whatever is no call, in both dialects. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.wire.jecp.errors import parse_refusal

MAX_ANSWER_BYTES: Final = 1024 * 1024
_ERROR_STATUS: Final = 400


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What a Hub answered. `body` may hold a new key and stays out of every repr.

    Attributes:
        headers: names are in lower case.
        now: the clock, to read a Retry-After that is a date.
        mask: takes the key out of all that is read.
    """

    body: bytes = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(default_factory=jsontext.nothing)
    now: UnixMs | None = None
    mask: Mask | None = None


def read_object(answer: HubAnswer, *wrappers: str) -> JSONObject | Refusal:
    """The answer's object, out of the wrapper some Hubs put round it, or the refusal it is.

    Raises:
        WireError: it is neither.
    """
    data = jsontext.loads_forgiving(answer.body, max_bytes=MAX_ANSWER_BYTES, mask=answer.mask)
    if not isinstance(data, dict):
        raise WireError("the Hub's answer is not a JSON object")
    if answer.status >= _ERROR_STATUS or data.get("status") == "failed" or isinstance(data.get("error"), dict):
        return parse_refusal(data, status=answer.status, headers=answer.headers, now=answer.now)
    for key in wrappers:
        if isinstance(data.get(key), dict):
            return {**data, **data[key]}
    return data


def text_or_none(value: object) -> str | None:
    """A text that says something; None for anything else."""
    return value if isinstance(value, str) and value else None

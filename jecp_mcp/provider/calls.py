"""A call that a Hub forwards, and what may be answered. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import JecpMcpError, WireError
from jecp_mcp.wire.jecp.ids import split_capability, valid_action, valid_call_id

MAX_CALL_BYTES: Final = 10 * 1024 * 1024
"""The longest request of an agent (JECP 01-protocol §3.4)."""
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,63}", re.ASCII)
_STEP_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Call:
    """What an agent bought, as the Hub forwards it.

    Attributes:
        id: the same whenever the Hub asks again for the same call, and only within one agent unique.
        capability: ``namespace/name``, without a version.
        version: the one that the agent pinned; None for whichever is current.
        input: valid against the action's ``input_schema``; a number with a fraction is a float. A stranger's words.
    """

    id: str
    capability: str
    action: str
    input: Any = field(repr=False)
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes to be delivered, such as an image."""

    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Metered:
    """An output, and what it took where that makes the price.

    Attributes:
        units: by name: ``input_tokens``, ``output_tokens``, ``chunks``, ``audio_seconds``.
    """

    output: Any = field(repr=False)
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Completed:
    """What a stream comes to as a whole; it is the last that an asynchronous generator gives.

    Without one, the pieces are the output: joined where all are texts, else as a list.

    Attributes:
        units: what it took, where that makes the price; as `Metered.units`.
    """

    output: Any = field(repr=False)
    units: Mapping[str, int] | None = None


class CallFailed(JecpMcpError):
    """The call cannot be done on this input. The agent reads the message, and is not charged.

    Attributes:
        code: what went wrong, in capital letters, such as ``IMAGE_UNREADABLE``.
    """

    def __init__(self, code: str, message: str) -> None:
        if _CODE.fullmatch(code) is None:
            raise ValueError("a code has 3 to 64 capital letters, digits and underscores")
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


def read_call(body: bytes) -> Call:
    """Read a verified request.

    Raises:
        WireError: it is no call.
    """
    request = jsontext.loads(body, max_bytes=MAX_CALL_BYTES)
    if not isinstance(request, dict):
        raise WireError("the call is no JSON object")
    call_id, action = request.get("id"), request.get("action")
    if not isinstance(call_id, str) or not _valid_id(*call_id.partition(":")):
        raise WireError("the call's id is none")
    if not isinstance(action, str) or not valid_action(action):
        raise WireError("the call's action is none")
    asked = split_capability(str(request.get("capability")))
    return Call(call_id, asked.capability, action, jsontext.plain(request.get("input", {})), asked.version)


def _valid_id(call_id: str, colon: str, step_id: str) -> bool:
    # A step of a composite action has its step's id behind a colon (JECP 04-manifest §5.2.5).
    return valid_call_id(call_id) and (not colon or _STEP_ID.fullmatch(step_id) is not None)

"""What the ledger keeps of a request to a Hub: everything that rebuilds its identical bytes, and no secret. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from jecp_mcp.errors import WireError

_FORM: Final = 2


@dataclass(frozen=True, slots=True)
class Payload:
    """A request without its mandate, which carries the API key and is added when it is sent.

    Attributes:
        path: the Hub path, such as ``/v1/invoke``.
        body: the exact JSON body.
        streaming: whether ``Accept: text/event-stream`` goes with it.
        timeout_seconds: how long one attempt may take.
        provenance: whether the Hub demands a provenance hash; it is made when the request is sent.
    """

    path: str
    body: bytes
    streaming: bool = False
    timeout_seconds: float = 30.0
    provenance: bool = False


def pack(payload: Payload) -> bytes:
    """Write a payload as one value: a JSON header line, then the exact body."""
    header = [_FORM, payload.path, payload.streaming, payload.timeout_seconds, payload.provenance]
    return json.dumps(header, separators=(",", ":")).encode("ascii") + b"\n" + payload.body


def unpack(stored: bytes) -> Payload:
    """Read a payload back.

    Raises:
        WireError: it is not what `pack` wrote.
    """
    head, newline, body = stored.partition(b"\n")
    try:
        header = json.loads(head)
        if not newline or not isinstance(header, list) or header[0] != _FORM:
            raise WireError("the stored request has an unknown form; it was not written by this version")
        _, path, streaming, timeout, provenance = header
        return Payload(str(path), body, bool(streaming), float(timeout), bool(provenance))
    except (ValueError, TypeError, IndexError) as exc:
        raise WireError("the stored request cannot be read; the ledger is not what was written") from exc

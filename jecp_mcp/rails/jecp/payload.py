"""What the ledger keeps of a request to a Hub: everything that rebuilds its identical bytes, and no secret. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from jecp_mcp.errors import WireError

_FORM: Final = 2
_WITH_PAYMENT: Final = 3
"""The form of a request that the wallet alone does not pay."""

PaidBy = Literal["wallet", "x402", "auto"]
"""From the wallet at the Hub, by a signed authorization, or by that where the wallet cannot pay."""
_PAID_BY: Final[Mapping[str, PaidBy]] = {"x402": "x402", "auto": "auto"}


@dataclass(frozen=True, slots=True)
class Payload:
    """A request without its mandate, which carries the API key and is added when it is sent.

    Attributes:
        path: the Hub path, such as ``/v1/invoke``.
        body: the exact JSON body.
        streaming: whether ``Accept: text/event-stream`` goes with it.
        timeout_seconds: how long one attempt may take.
        provenance: whether the Hub demands a provenance hash; it is made when the request is sent.
        paid_by: what the call may be paid with.
    """

    path: str
    body: bytes
    streaming: bool = False
    timeout_seconds: float = 30.0
    provenance: bool = False
    paid_by: PaidBy = "wallet"


def pack(payload: Payload) -> bytes:
    """Write a payload as one value: a JSON header line, then the exact body."""
    header = [_FORM, payload.path, payload.streaming, payload.timeout_seconds, payload.provenance]
    if payload.paid_by != "wallet":
        header = [_WITH_PAYMENT, *header[1:], payload.paid_by]
    return json.dumps(header, separators=(",", ":")).encode("ascii") + b"\n" + payload.body


def unpack(stored: bytes) -> Payload:
    """Read a payload back.

    Raises:
        WireError: it is not what `pack` wrote.
    """
    head, newline, body = stored.partition(b"\n")
    try:
        header = json.loads(head)
        if not newline or not isinstance(header, list) or header[0] not in {_FORM, _WITH_PAYMENT}:
            raise WireError("the stored request has an unknown form; it was not written by this version")
        form, path, streaming, timeout, provenance, *rest = header
        paid_by = _PAID_BY[rest[0]] if form == _WITH_PAYMENT else "wallet"
        return Payload(str(path), body, bool(streaming), float(timeout), bool(provenance), paid_by)
    except (ValueError, TypeError, LookupError) as exc:
        raise WireError("the stored request cannot be read; the ledger is not what was written") from exc

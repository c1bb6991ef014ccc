"""The chain of events: each one's digest covers the one before it, so that no change in the middle goes unseen.

Pure: no I/O, no clock. What a digest covers is an event whole, and for a reservation also what it wrote into the
call's row for good. Whoever can write the ledger can also compute a new chain: against that, keep a digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from jecp_mcp.mandate.ledger import CallRow, EventRow, Reservation

GENESIS = "0" * 64
"""What stands for the digest before the first event."""

RESERVE = "reserve"
ADOPT = "adopt"
DELIVER = "deliver"
METER = "meter"
PRUNE = "prune"
CLOCK = "clock"
RECOUNT = "recount"
UPGRADE = "upgrade"
SLIP = "slip"

Identity = tuple[str | int | None, ...]
"""What a reservation wrote into the call's row for good."""

NOBODY: Identity = ()
"""The identity of every event but a reservation."""

_dumps = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


Written = tuple[int | str | None, ...]
"""An event's own columns: number, call_id, at, event, before, after, held, charged, refunded, session, evidence,
facts."""


def digest(previous: str, written: Written, identity: Identity) -> str:
    """The digest of an event, in hex: SHA-256 over a JSON array of the digest before it and all of this."""
    return hashlib.sha256(_dumps((previous, *written, *identity)).encode("ascii")).hexdigest()


def digest_of(previous: str, event: EventRow, identity: Identity) -> str:
    """What the digest of `event` must be."""
    written = (
        event.number,
        event.call_id,
        event.at,
        event.event,
        event.before,
        event.after,
        event.held,
        event.charged,
        event.refunded,
        event.session,
        event.evidence,
        event.facts,
    )
    return digest(previous, written, identity)


def identity_of(of: Reservation | CallRow) -> Identity:
    """What never changes about a call."""
    return (
        of.principal,
        of.tool,
        of.payee,
        of.capability,
        of.action,
        of.version,
        of.fingerprint,
        of.quoted,
    )


def body_digest(body: bytes) -> str:
    """A body's SHA-256, in hex."""
    return hashlib.sha256(body).hexdigest()


def facts(**told: object) -> str:
    """What an event wrote beside its own columns, as a JSON object; what is None was not written."""
    return _dumps({name: value for name, value in told.items() if value is not None})


def reserve_facts(request: bytes, meters: str) -> str:
    """The facts of a reservation: its request's digest, and the ids of its meters, separated by commas."""
    # As `facts` would write them; this one is on the way of every call.
    listed = f',"meters":"{meters}"' if meters else ""
    return f'{{"request":"{body_digest(request)}"{listed}}}'


def read_facts(event: EventRow) -> Mapping[str, object]:
    """The facts of an event.

    Raises:
        ValueError: they are not what `facts` wrote.
    """
    found = json.loads(event.facts)
    if not isinstance(found, dict):
        raise ValueError("facts are an object")  # noqa: TRY004 - what was written is wrong, not the caller's type
    return found

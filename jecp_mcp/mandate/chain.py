"""The chain of events: each one's digest covers the one before it, so that no change in the middle goes unseen.

Pure: no I/O, no clock. An event is kept as its canonical bytes, a JSON array in ASCII, and the digest covers exactly
those bytes and the digest before them: whoever verifies hashes what is stored. For a reservation the bytes hold the
digest of what it wrote into the call's row for good. Whoever can write the ledger can also compute a new chain:
against that, keep a digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.records import CallRow, EventRow, Reservation
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC

GENESIS = bytes(32)
"""What stands for the digest before the first event."""

RESERVE = "reserve"
ADOPT = "adopt"
NOTE = "note"
DELIVER = "deliver"
METER = "meter"
FEED = "feed"
PRUNE = "prune"
TRIM = "trim"
CLOCK = "clock"
RECOUNT = "recount"
SALVAGE = "salvage"
# What is stored of a grant keeps the name it was first written under, in these events, the tables and the functions.
GRANT = "slip"
GRANTS_DROPPED = "slips_dropped"

_dumps = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def digest(previous: bytes, body: bytes) -> bytes:
    """The SHA-256 over the digest before an event and its canonical bytes."""
    return hashlib.sha256(previous + body).digest()


def write(
    number: int,
    at: int,
    event: str,
    call: int | None,
    standing: tuple[State | None, State | None, int, int, int],
    session: str,
    evidence: str | None,
    facts: Mapping[str, object],
) -> bytes:
    """An event's canonical bytes.

    Args:
        call: the number of the call it happened to, or None.
        standing: the call's state before and after it, and what was held, charged and refunded after it, micro-USDC.
        facts: what else it wrote.
    """
    return _dumps((number, at, event, call, *standing, session, evidence, facts)).encode()


def instant(body: bytes) -> UnixMs:
    """When an event happened, of its canonical bytes; the rest of them is not read.

    Raises:
        ValueError: they are not what `write` wrote.
    """
    return UnixMs(int(body.partition(b",")[2].partition(b",")[0]))


def read(body: bytes, digest: bytes, call_id: str | None = None) -> EventRow:
    """An event from its canonical bytes.

    Raises:
        ValueError: they are not what `write` wrote.
    """
    found = json.loads(body)
    if not isinstance(found, list) or len(found) != _LENGTH or not isinstance(found[-1], dict):
        raise ValueError("the bytes are no event")
    number, at, event, call, before, after, held, charged, refunded, session, evidence, facts = found
    return EventRow(
        number,
        call,
        call_id,
        UnixMs(at),
        event,
        None if before is None else State(before),
        None if after is None else State(after),
        MicroUSDC(held),
        MicroUSDC(charged),
        MicroUSDC(refunded),
        session,
        evidence,
        facts,
        digest.hex(),
    )


_LENGTH = 12


IDENTITY: Final = (
    "call_id", "principal", "team", "session", "rail", "account", "tool", "payee", "source", "offer", "names",
    "version", "fingerprint", "kind", "terms", "quoted", "provable_until",
)  # fmt: skip
"""What never changes about a call, fields of a `Reservation` and of a `CallRow`."""
_identity_of = attrgetter(*IDENTITY)


def identity(kept: Sequence[object]) -> str:
    """The digest, in hex, of what never changes about a call: the values of `IDENTITY`."""
    return hashlib.sha256(_dumps(kept).encode()).hexdigest()


def reservation(of: Reservation | CallRow, request: str | None) -> dict[str, object]:
    """What the event of a reservation says, by which the call counts even where its row is lost.

    Args:
        request: the digest of its request, in hex; None where that is lost.
    """
    return facts(
        call_id=of.call_id, identity=identity(_identity_of(of)), principal=of.principal, names=of.names, request=request
    )


def body_digest(body: bytes) -> str:
    """A body's SHA-256, in hex."""
    return hashlib.sha256(body).hexdigest()


def facts(**named: object) -> dict[str, object]:
    """What an event wrote beside its own fields; what is None was not written."""
    return {name: value for name, value in named.items() if value is not None}

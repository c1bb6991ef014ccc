"""What PostgreSQL's text can hold, and what it cannot is refused before it is written. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import Meter, Reservation


def storable(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL, no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def check_id(call_id: str) -> str:
    """A call's id, where it can be one.

    Raises:
        LedgerError: it cannot.
    """
    if not storable(call_id):
        raise LedgerError("the ledger knows no such call: the id is no text it can hold")
    return call_id


def check_texts(wanted: Reservation) -> None:
    """Refuse a reservation that cannot be written.

    Raises:
        LedgerError: a text has a NUL or a lone surrogate.
    """
    texts = [wanted.call_id, wanted.principal, wanted.team or "", wanted.session, wanted.rail, wanted.account]
    texts += [wanted.tool, wanted.payee, wanted.source, wanted.offer, wanted.version or "", wanted.fingerprint]
    texts += [wanted.kind, wanted.terms, *(ref.grant_id for ref in wanted.uses)]
    if not all(map(storable, texts)):
        raise LedgerError("the ledger cannot hold a value: a text has a NUL or a lone surrogate")
    check_meters(wanted.meters)


def check_meters(meters: Sequence[Meter]) -> None:
    """Refuse limits that cannot be written, as `check_texts` does."""
    texts = [text for meter in meters for text in (meter.key, meter.principal, meter.pattern or "")]
    if not all(map(storable, texts)):
        raise LedgerError("the ledger cannot hold a value: a limit's name has a NUL or a lone surrogate")

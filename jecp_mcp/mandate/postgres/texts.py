"""What a text in PostgreSQL can hold: every character but NUL, and no lone surrogate. Pure: no I/O."""

from __future__ import annotations

from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Reservation


def storable(text: str) -> bool:
    """Whether it can be held as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def without_nul(text: str | None) -> str | None:
    """The same text with each NUL written out."""
    return None if text is None else text.replace("\0", "\\x00")


def checked(call_id: str) -> str:
    """The id, if a call can have it.

    Raises:
        LedgerError: none can.
    """
    if not storable(call_id):
        raise LedgerError("the ledger knows no such call: the id is no text it can hold")
    return call_id


def check_texts(wanted: Reservation) -> None:
    """Refuse a reservation that cannot be written.

    Raises:
        LedgerError: one of its texts cannot be held.
    """
    texts = [wanted.call_id, wanted.principal, wanted.session, wanted.tool, wanted.payee, wanted.capability]
    texts += [wanted.action, wanted.version or "", wanted.fingerprint]
    texts += [text for meter in wanted.meters for text in (meter.key, meter.principal)]
    if not all(map(storable, texts)):
        raise LedgerError("the ledger cannot hold a value: a text has a NUL or a lone surrogate")

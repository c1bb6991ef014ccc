"""What PostgreSQL's text can hold, and what it cannot is refused before it is written. Pure: no I/O."""

from __future__ import annotations

from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.needs import Needs
from jecp_mcp.mandate.records import Reservation


def storable(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL, no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def check_needs(needs: Needs) -> None:
    """Refuse a change that names what no table can have.

    Raises:
        LedgerError: the id of a call, or the name of a limit, has a NUL or a lone surrogate.
    """
    if not all(map(storable, needs.ids)):
        raise LedgerError("the ledger knows no such call: the id is no text it can hold")
    texts = [text for meter in needs.meters for text in (meter.key, meter.principal, meter.pattern or "")]
    if not all(map(storable, texts)):
        raise LedgerError("the ledger cannot hold a value: a limit's name has a NUL or a lone surrogate")


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

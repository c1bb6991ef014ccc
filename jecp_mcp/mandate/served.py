"""Which open calls a process can act for: its accounts' and, where a payment may be signed, its payers'. Pure.

Whoever takes over a call that only another can finish keeps it from that one for as long as it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import AuthorizedCall, Mark
from jecp_mcp.mandate.working_set import Call

Serves = Callable[[str, str, AuthorizedCall | None], bool]
"""Whether a process can act for a rail and account and, of a call for which a payment may be signed, for that one."""

Served = tuple[str, str, str | None]
"""A rail and an account; of calls for which a payment may be signed, each with its id."""


class OpenOwner(NamedTuple):
    """Whose open calls there are of an account; `authorized` where it is one for which a payment may be signed."""

    owner: str
    rail: str
    account: str
    authorized: AuthorizedCall | None = None


def read_owner(
    owner: str, rail: str, account: str, call_id: str | None, terms: str | None, made_at: int | None
) -> OpenOwner:
    """One of them; the last three are `jecp_mcp.mandate.sql_conditions.AUTHORIZED`."""
    if call_id is None or terms is None or made_at is None:
        return OpenOwner(owner, rail, account)
    return OpenOwner(owner, rail, account, AuthorizedCall(call_id, terms, UnixMs(made_at)))


def served_of(found: Iterable[OpenOwner], serves: Serves) -> set[Served]:
    """What of these is served."""
    asked = {(one.rail, one.account, one.authorized) for one in found}
    return {
        (rail, account, None if authorized is None else authorized.call_id)
        for rail, account, authorized in asked
        if serves(rail, account, authorized)
    }


def served_as(call: Call) -> Served:
    """What must be served for a call to be taken over."""
    return call.rail, call.account, call.call_id if call.mark is Mark.AUTHORIZED else None

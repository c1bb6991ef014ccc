"""What the ledger's tests have in common: a clock that stands still, and reservations with few words."""

import itertools
from collections.abc import Sequence

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import AuthorizedCall
from jecp_mcp.mandate.records import Meter, Reservation
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC

START = UnixMs(1_799_992_800_000)
"""A multiple of every slot's length, so that a test knows which slot it is in."""

_numbers = itertools.count(1)


class HandClock:
    """A clock that moves only when told."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def now(self) -> UnixMs:
        return UnixMs(self.at)

    def monotonic(self) -> float:
        return self.at / 1000

    def forward(self, *, ms: int = 0, seconds: int = 0, hours: int = 0) -> None:
        self.at += ms + seconds * 1000 + hours * 3_600_000


def everything(_rail: str, _account: str, _authorized: AuthorizedCall | None) -> bool:
    """What a process serves that can act for every account."""
    return True


def meter(
    window: Window = Window.DAY,
    limit: int = 1_000_000,
    key: str | None = None,
    *,
    principal: str = "local",
    pattern: str | None = None,
) -> Meter:
    if key is None:
        key = f"meter of {window.value} {principal} {pattern}"
    return Meter(key, window, MicroUSDC(limit), f"{window.value}_usdc", principal, pattern)


def reservation(
    session: str,
    hold: int = 5_000,
    *,
    meters: Sequence[Meter] = (),
    call_id: str | None = None,
    fingerprint: str | None = None,
    request: bytes = b"{}",
    send: bool = True,
    principal: str = "local",
    action: str = "make",
    tool: str = "docs_pdf_make",
    rail: str = "jecp",
    account: str = "https://hub.example agent",
    provable_until: int | None = None,
) -> Reservation:
    call_id = call_id or f"call_{next(_numbers)}"
    return Reservation(
        call_id=call_id,
        principal=principal,
        session=session,
        tool=tool,
        rail=rail,
        account=account,
        payee="docs",
        source="https://hub.example",
        offer=f"docs/pdf:{action}",
        names=(f"docs/pdf:{action}", "docs/pdf", tool),
        version="1.0.0",
        fingerprint=fingerprint or f"print of {call_id}",
        quoted=MicroUSDC(hold),
        hold=MicroUSDC(hold),
        meters=tuple(meters),
        request=request,
        send=send,
        provable_until=None if provable_until is None else UnixMs(provable_until),
    )

"""A person's consent to one call: asked for in the host, else outside it, and kept until it is used or expires.

An approval is good for one call of exactly this payee, amount and arguments. Whatever is not a person's plain yes
leaves the call unbought.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.ports import Caller, Decision, Question, Reply
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire import jsontext
from jecp_mcp.wire.forms import Refusal

APPROVAL_MS: Final = 3_600_000
"""How long an approval can be given, and then used."""

REFUSED_MS: Final = 600_000
"""How long a person's no stands before they are asked the same again."""

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_CODE_LETTERS: Final = 8
_SHOWN_ARGUMENTS: Final = 4_000
"""How much of a call's arguments is kept for the person who decides, in characters."""

_LIVE: Final = frozenset({SlipState.ASKED, SlipState.GRANTED, SlipState.USED, SlipState.DENIED})
_FREE: Final = frozenset({State.RELEASED, State.RECONCILED_FREE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked to approve, as an approval keeps it; amounts are micro-USDC."""

    payee: str
    action: str
    amount: MicroUSDC
    exact: bool
    because: str
    arguments: str

    @classmethod
    def of(cls, question: Question) -> Asked:
        """What of a question is kept."""
        shown = jsontext.dumps(question.arguments).decode()[:_SHOWN_ARGUMENTS]
        return cls(question.payee, question.action, question.amount, question.exact, question.because, shown)

    @classmethod
    def read(cls, slip: Slip) -> Asked:
        """What an approval is about."""
        told: Mapping[str, Any] = json.loads(slip.body)
        return cls(**{**told, "amount": MicroUSDC(int(told["amount"]))})

    def body(self) -> bytes:
        """As an approval keeps it."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(told, separators=(",", ":")).encode("ascii")


class Approvals:
    """Asks, remembers, and hands out what a reservation may use."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def obtain(self, question: Question, caller: Caller, kind: SlipKind = SlipKind.APPROVAL) -> SlipRef | Refusal:
        """An approval to use, or why there is none.

        Raises:
            LedgerError: it cannot be kept.
        """
        known = await self._known(question, kind)
        if known is not None and known.state in {SlipState.GRANTED, SlipState.USED}:
            return SlipRef(known.kind, known.slip_id)
        if known is not None and known.state is SlipState.DENIED:
            return refusals.approval_denied(question)
        reply = Reply(Decision.UNABLE, "there is no host to ask in")
        if caller.asker is not None:
            reply = await caller.asker.approve(question)
        match reply.decision:
            case Decision.ACCEPTED:
                # Whoever asked the same meanwhile has its yes already; a second one would supersede it in mid-use.
                granted = await self._known(question, kind)
                if granted is None or granted.state is SlipState.ASKED:
                    granted = await self._write(question, kind, SlipState.GRANTED, "accepted in the host")
                return SlipRef(granted.kind, granted.slip_id)
            case Decision.DECLINED:
                await self._write(question, kind, SlipState.DENIED, "declined in the host")
                return refusals.approval_denied(question)
            case Decision.WAITING:
                return refusals.approval_pending(question)
            case _:
                parked = known or await self._write(question, kind, SlipState.ASKED, None)
                return refusals.approval_required(question, parked.slip_id, parked.expires_at, reply.reason)

    async def park(self, question: Question) -> Slip:
        """Leave the question for a person outside the host; one that is already there stays.

        Raises:
            LedgerError: it cannot be kept.
        """
        kind = SlipKind.APPROVAL
        return await self._known(question, kind) or await self._write(question, kind, SlipState.ASKED, None)

    async def _known(self, question: Question, kind: SlipKind) -> Slip | None:
        """The latest approval of this very question that still says something."""
        wanted, now = Asked.of(question), self._clock.now()
        for slip in await self._ledger.slips(kind, subject=question.fingerprint, states=_LIVE):
            if slip.expires_at <= now or slip.principal != question.principal or Asked.read(slip) != wanted:
                continue
            if slip.state is SlipState.USED and not await self._came_to_nothing(slip):
                continue
            return slip
        return None

    async def _came_to_nothing(self, slip: Slip) -> bool:
        row = None if slip.call_id is None else await self._ledger.row(slip.call_id)
        return row is not None and row.state in _FREE and not row.answered

    async def _write(self, question: Question, kind: SlipKind, state: SlipState, note: str | None) -> Slip:
        now = self._clock.now()
        return await self._ledger.write_slip(
            Slip(
                kind=kind,
                slip_id=new_code(),
                principal=question.principal,
                subject=question.fingerprint,
                state=state,
                body=Asked.of(question).body(),
                created_at=now,
                expires_at=UnixMs(now + (REFUSED_MS if state is SlipState.DENIED else APPROVAL_MS)),
                note=note,
            )
        )


def new_code() -> str:
    """A code that a person can read out and type: 39 bits of randomness, without letters that look alike."""
    letters = [secrets.choice(_ALPHABET) for _ in range(_CODE_LETTERS)]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"

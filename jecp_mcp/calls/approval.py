"""A person's consent to one call: asked for in the host, else outside it, and kept until it is used or expires.

An approval is good for one call of exactly this payee, amount and arguments. Whatever is not a person's plain yes
leaves the call unbought.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls import display, refusals
from jecp_mcp.calls.ports import Caller, Decision, Question, Reply
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerDamaged, TooManyQuestions
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC

APPROVAL_MS: Final = 3_600_000
"""How long an approval can be given, and then used."""

REFUSED_MS: Final = 600_000
"""How long a person's no stands before they are asked the same again."""

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_CODE_LETTERS: Final = 8

_LIVE: Final = frozenset({SlipState.ASKED, SlipState.GRANTED, SlipState.USED, SlipState.DENIED})
_FREE: Final = frozenset({State.RELEASED, State.RECONCILED_FREE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked to approve, as an approval keeps it.

    Attributes:
        amount: as `Question` has it, micro-USDC.
        arguments: all of them, as `display.arguments` shows them. The call's fingerprint says which they are.
    """

    payee: str
    account: str
    action: str
    amount: MicroUSDC
    kind: QuoteKind
    terms: str
    because: str
    arguments: str = field(compare=False)

    @classmethod
    def of(cls, question: Question) -> Asked | None:
        """What of a question is kept; None where it cannot be shown whole, and so cannot be approved."""
        shown = display.arguments(question.arguments, display.MOST_SHOWN)
        if shown is None:
            return None
        return cls(
            question.payee,
            question.account,
            question.action,
            question.amount,
            question.kind,
            question.terms,
            question.because,
            shown,
        )

    @classmethod
    def read(cls, slip: Slip) -> Asked:
        """What an approval is about.

        Raises:
            LedgerDamaged: it is not what `body` wrote.
        """
        try:
            told: Mapping[str, Any] = json.loads(slip.body)
            return cls(**{**told, "amount": MicroUSDC(int(told["amount"])), "kind": QuoteKind(told["kind"])})
        except (ValueError, KeyError, TypeError) as exc:
            raise LedgerDamaged(f"what waits under {slip.slip_id} cannot be read, so it cannot be approved") from exc

    @property
    def exact(self) -> bool:
        """Whether `amount` is the price itself."""
        return self.kind is QuoteKind.EXACT

    def body(self) -> bytes:
        """As an approval keeps it."""
        return jsontext.dumps({name: getattr(self, name) for name in self.__slots__})


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
        asked = Asked.of(question)
        if asked is None:
            return refusals.not_showable(question)
        known = await self._known(question, asked, kind)
        if known is not None and known.state in {SlipState.GRANTED, SlipState.USED}:
            return SlipRef(known.kind, known.slip_id)
        if known is not None and known.state is SlipState.DENIED:
            return refusals.approval_denied(question)
        return await self._ask(question, asked, caller, kind, known)

    async def _ask(
        self, question: Question, asked: Asked, caller: Caller, kind: SlipKind, waiting: Slip | None
    ) -> SlipRef | Refusal:
        """What the person says in the host; else the question left outside it, where it may be `waiting` already."""
        reply = Reply(Decision.UNABLE, "there is no host to ask in")
        if caller.asker is not None:
            reply = await caller.asker.approve(question)
        match reply.decision:
            case Decision.ACCEPTED:
                # Whoever asked the same meanwhile has its yes already; a second one would supersede it in mid-use.
                granted = await self._known(question, asked, kind)
                if granted is None or granted.state is SlipState.ASKED:
                    granted = await self._write(question, asked, kind, SlipState.GRANTED, "accepted in the host")
                return SlipRef(granted.kind, granted.slip_id)
            case Decision.DECLINED:
                await self._write(question, asked, kind, SlipState.DENIED, "declined in the host")
                return refusals.approval_denied(question)
            case Decision.WAITING:
                return refusals.approval_pending(question)
            case _:
                parked = waiting or await self._asked(question, asked, kind)
                if isinstance(parked, Refusal):
                    return parked
                return refusals.approval_required(question, parked.slip_id, parked.expires_at, reply.reason)

    async def park(self, question: Question) -> Slip | Refusal:
        """Leave the question for a person outside the host, if it can be; one that is already there stays.

        Raises:
            LedgerError: it cannot be kept.
        """
        asked, kind = Asked.of(question), SlipKind.APPROVAL
        if asked is None:
            return refusals.not_showable(question)
        return await self._known(question, asked, kind) or await self._asked(question, asked, kind)

    async def _known(self, question: Question, wanted: Asked, kind: SlipKind) -> Slip | None:
        """The latest approval of this very question that still says something."""
        now = self._clock.now()
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

    async def _asked(self, question: Question, asked: Asked, kind: SlipKind) -> Slip | Refusal:
        """The question left for a person outside the host, where there is room for it."""
        try:
            return await self._write(question, asked, kind, SlipState.ASKED, None)
        except TooManyQuestions:
            return refusals.too_many_questions(question)

    async def _write(
        self, question: Question, asked: Asked, kind: SlipKind, state: SlipState, note: str | None
    ) -> Slip:
        now = self._clock.now()
        return await self._ledger.write_slip(
            Slip(
                kind=kind,
                slip_id=new_code(),
                principal=question.principal,
                subject=question.fingerprint,
                state=state,
                body=asked.body(),
                created_at=now,
                expires_at=UnixMs(now + (REFUSED_MS if state is SlipState.DENIED else APPROVAL_MS)),
                note=note,
            )
        )


def new_code() -> str:
    """A code that a person can read out and type: 39 bits of randomness, without letters that look alike."""
    letters = [secrets.choice(_ALPHABET) for _ in range(_CODE_LETTERS)]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"

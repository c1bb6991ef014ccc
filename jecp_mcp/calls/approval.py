"""A person's consent to one call: asked for in the host, else outside it, and kept until it is used or expires.

An approval is good for one call of exactly this payee, terms and arguments, at this amount or less. Whatever is not a
person's plain yes leaves the call unbought.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls import consent_refusals, display
from jecp_mcp.calls.ports import Caller, Decision, Question, Reply
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerDamaged, TooManyQuestions
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC

APPROVAL_MS: Final = 3_600_000
"""How long an approval can be given, and then used."""

REFUSED_MS: Final = 600_000
"""How long a person's no stands before they are asked the same again."""

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_CODE_LETTERS: Final = 8

_LIVE: Final = frozenset({GrantState.ASKED, GrantState.GRANTED, GrantState.USED, GrantState.DENIED})
_FREE: Final = frozenset({State.RELEASED, State.RECONCILED_FREE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked to approve, as an approval keeps it.

    Attributes:
        amount: as `Question` has it, micro-USDC.
        because: why a person is asked; for the same kind of approval of the same call any reason will do.
        arguments: all of them, as `display.arguments` shows them. The call's fingerprint says which they are.
    """

    payee: str
    account: str
    action: str
    amount: MicroUSDC
    kind: QuoteKind
    terms: str
    because: str
    arguments: str

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
    def read(cls, grant: Grant) -> Asked:
        """What an approval is about.

        Raises:
            LedgerDamaged: it is not what `body` wrote.
        """
        try:
            told: Mapping[str, Any] = json.loads(grant.body)
            return cls(**{**told, "amount": MicroUSDC(int(told["amount"])), "kind": QuoteKind(told["kind"])})
        except (ValueError, KeyError, TypeError) as exc:
            raise LedgerDamaged(f"what waits under {grant.grant_id} cannot be read, so it cannot be approved") from exc

    def holds_for(self, now: Asked, state: GrantState) -> bool:
        """Whether an answer to this question is one to the question `now`, asked of the same call.

        What may be bought for so much may be bought for less; what was refused for so much is refused for more.
        """
        terms = (self.payee, self.account, self.action, self.kind, self.terms)
        if terms != (now.payee, now.account, now.action, now.kind, now.terms):
            return False
        return self.amount <= now.amount if state is GrantState.DENIED else now.amount <= self.amount

    def body(self) -> bytes:
        """As an approval keeps it."""
        return jsontext.dumps({name: getattr(self, name) for name in self.__slots__})


class Approvals:
    """Asks, remembers, and hands out what a reservation may use."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def obtain(
        self, question: Question, caller: Caller, kind: GrantKind = GrantKind.APPROVAL
    ) -> GrantRef | Refusal:
        """An approval to use, or why there is none.

        Raises:
            LedgerError: it cannot be kept.
        """
        asked = Asked.of(question)
        if asked is None:
            return consent_refusals.not_showable(question)
        known = await self._known(question, asked, kind)
        if known is not None and known.state in {GrantState.GRANTED, GrantState.USED}:
            return GrantRef(known.kind, known.grant_id)
        if known is not None and known.state is GrantState.DENIED:
            return consent_refusals.approval_denied(question)
        return await self._ask(question, asked, caller, kind, known)

    async def _ask(
        self, question: Question, asked: Asked, caller: Caller, kind: GrantKind, waiting: Grant | None
    ) -> GrantRef | Refusal:
        """What the person says in the host; else the question left outside it, where it may be `waiting` already."""
        reply = Reply(Decision.UNABLE, "there is no host to ask in")
        if caller.asker is not None:
            reply = await caller.asker.approve(question)
        match reply.decision:
            case Decision.ACCEPTED:
                # Whoever asked the same meanwhile has its yes already; a second one would supersede it in mid-use.
                granted = await self._known(question, asked, kind)
                if granted is None or granted.state is GrantState.ASKED:
                    granted = await self._write(question, asked, kind, GrantState.GRANTED, "accepted in the host")
                return GrantRef(granted.kind, granted.grant_id)
            case Decision.DECLINED:
                await self._write(question, asked, kind, GrantState.DENIED, "declined in the host")
                return consent_refusals.approval_denied(question)
            case Decision.WAITING:
                return consent_refusals.approval_pending(question)
            case _:
                parked = waiting or await self._leave(question, asked, kind)
                if isinstance(parked, Refusal):
                    return parked
                return consent_refusals.approval_required(question, parked.grant_id, parked.expires_at, reply.reason)

    async def park(self, question: Question) -> Grant | Refusal:
        """Leave the question for a person outside the host, if it can be; their answer, or the question, may be there.

        Returns:
            The question or the yes; or the refusal, as long as a no stands.

        Raises:
            LedgerError: it cannot be kept.
        """
        asked, kind = Asked.of(question), GrantKind.APPROVAL
        if asked is None:
            return consent_refusals.not_showable(question)
        known = await self._known(question, asked, kind)
        if known is not None and known.state is GrantState.DENIED:
            return consent_refusals.approval_denied(question)
        return known or await self._leave(question, asked, kind)

    async def _known(self, question: Question, wanted: Asked, kind: GrantKind) -> Grant | None:
        """The latest approval of this very question that still says something."""
        now = self._clock.now()
        for grant in await self._ledger.grants(kind, subject=question.fingerprint, states=_LIVE):
            if grant.expires_at <= now or grant.principal != question.principal:
                continue
            asked = Asked.read(grant)
            if not asked.holds_for(wanted, grant.state) or (
                kind is GrantKind.LIMIT and asked.because != wanted.because
            ):
                continue
            if grant.state is GrantState.USED and not await self._came_to_nothing(grant):
                continue
            return grant
        return None

    async def _came_to_nothing(self, grant: Grant) -> bool:
        row = None if grant.call_id is None else await self._ledger.row(grant.call_id)
        return row is not None and row.state in _FREE and not row.answered

    async def _leave(self, question: Question, asked: Asked, kind: GrantKind) -> Grant | Refusal:
        """The question left for a person outside the host, where there is room for it."""
        try:
            return await self._write(question, asked, kind, GrantState.ASKED, None)
        except TooManyQuestions:
            return consent_refusals.too_many_questions(question)

    async def _write(
        self, question: Question, asked: Asked, kind: GrantKind, state: GrantState, note: str | None
    ) -> Grant:
        now = self._clock.now()
        return await self._ledger.write_grant(
            Grant(
                kind=kind,
                grant_id=new_code(),
                principal=question.principal,
                subject=question.fingerprint,
                state=state,
                body=asked.body(),
                created_at=now,
                expires_at=UnixMs(now + (REFUSED_MS if state is GrantState.DENIED else APPROVAL_MS)),
                note=note,
            )
        )


def new_code() -> str:
    """A code that a person can read out and type: 39 bits of randomness, without letters that look alike."""
    letters = [secrets.choice(_ALPHABET) for _ in range(_CODE_LETTERS)]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"

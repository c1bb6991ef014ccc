"""What a call will cost, as far as its payee says so before it is paid. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.money import MicroUSDC


class QuoteKind(StrEnum):
    """What is known of a price: all of it, its most, only where it begins (the hold bounds it then), or nothing."""

    EXACT = "exact"
    MAX = "max"
    FROM = "from"
    UNKNOWN = "unknown"

    @property
    def exact(self) -> bool:
        """Whether the whole price is known before the call."""
        return self is QuoteKind.EXACT


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call will cost, and to whom. It is carried unchanged from here to the receipt.

    Attributes:
        amount: micro-USDC, as `kind` says: the price, its most, or its least; 0 where nothing is known.
        payee: the identity that earns the money, to which approvals bind.
        account: who pays at whom, such as an endpoint's origin and the payer's id; never a secret.
        terms: what else a person agrees to with the price, as canonical text: no nonce, no time; ``""`` for nothing.
        good_until: the payee asks for another quote from then on; None where it promises nothing of the kind.
        payload: what the rail needs to prepare the call from it; nobody else reads it.
    """

    amount: MicroUSDC
    kind: QuoteKind
    payee: str
    account: str
    terms: str = ""
    good_until: UnixMs | None = None
    payload: bytes = b""

    def least(self, hold: MicroUSDC) -> MicroUSDC:
        """What a call for at most `hold` needs at least, micro-USDC: where only the price's base is known, that."""
        return min(self.amount, hold) if self.kind is QuoteKind.FROM else hold

    def covers(self, now: Quote) -> bool:
        """Whether what was agreed to this quote holds for `now`: the same of everything, and no more money."""
        agreed = (self.payee, self.account, self.terms, self.kind)
        return agreed == (now.payee, now.account, now.terms, now.kind) and now.amount <= self.amount


@dataclass(frozen=True, slots=True)
class Free:
    """The question for a quote was answered itself: there is nothing to pay, and it must not be asked twice.

    Attributes:
        account: who asked whom.
    """

    answer: Answer
    payee: str
    account: str

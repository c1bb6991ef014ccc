"""What is proven of a call that came with a payment, by the Hub's word and by the chain's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable
from jecp_mcp.rails.jecp.x402_outcome import Heard, conclude_payment, with_chain
from jecp_mcp.rails.x402.outcome import OnChain, Paid
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.x402.settlement import Settlement

PRICE, HOLD, CALL = MicroUSDC(5_000), MicroUSDC(6_000), "call_1"
PAYER, TX = "0x" + "ab" * 20, "0x" + "c0" * 32
RECEIPT = Settlement(True, TX, "base", PAYER, 5_000)
USED, UNUSED, SILENT = OnChain(True, TX), OnChain(False), OnChain(None, reason="no node answers")
C, N, D = Verdict.CHARGED, Verdict.NOT_CHARGED, Verdict.IN_DOUBT


def paid(*, first: bool = True) -> Paid:
    return Paid(PRICE, 5_000, PAYER, frozenset({"base"}), first)


def answer(**billing: Any) -> Replied:
    return Replied(Answer(CALL, {"said": "yes"}, Billing(**billing)))


def refusal(code: str, *, details: dict[str, Any] | None = None, **more: Any) -> Replied:
    error = {"code": code, "message": "No.", "details": details or {}}
    return Replied(parse_refusal({"jecp": "1.0", "status": "failed", "error": error, **more}, status=422))


def heard(evidence: Evidence, receipt: Settlement | None = None, *, harmless: bool = False) -> Heard:
    return Heard(CALL, HOLD, evidence, receipt, harmless)


X402 = answer(charged=True, amount=PRICE, method="x402")
WALLET = answer(charged=True, amount=MicroUSDC(4_500), method="wallet", reference="tx_9")
FREE = answer(charged=False)


@pytest.mark.parametrize(
    ("given", "verdict", "amount"),
    [
        (heard(X402), C, PRICE),
        (heard(answer(charged=True, amount=MicroUSDC(9_000), method="x402")), C, PRICE),
        (heard(answer(charged=True), RECEIPT), C, PRICE),
        (heard(WALLET), D, ZERO),
        (heard(FREE), D, ZERO),
        (heard(answer(charged=True), Settlement(True, TX, "base", "0x" + "ee" * 20)), D, ZERO),
        (heard(answer(charged=True), Settlement(False, "", "base", PAYER)), D, ZERO),
        (heard(refusal("PROVIDER_ERROR")), D, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID")), D, ZERO),
        (
            heard(refusal("PROVIDER_ERROR", billing={"charged": True, "amount_usdc": Decimal("0.007")})),
            C,
            MicroUSDC(7_000),
        ),
        (heard(refusal("PROVIDER_ERROR", billing={"charged": False})), D, ZERO),
        (heard(refusal("X402_SETTLEMENT_REUSED", details={"tx_hash": TX, "original_request_id": CALL})), C, PRICE),
        (heard(refusal("X402_SETTLEMENT_REUSED", details={"tx_hash": TX, "original_request_id": "call_2"})), D, ZERO),
        (heard(Unreadable(502, "HTML")), D, ZERO),
        (heard(Lost(sent=True, reason="reset")), D, ZERO),
        (heard(Lost(sent=False, reason="refused")), N, ZERO),
    ],
)
def test_the_hubs_word(given: Heard, verdict: Verdict, amount: MicroUSDC) -> None:
    found = conclude_payment(given, paid())
    assert (found.verdict, found.amount) == (verdict, amount)
    assert found.answer is not None or found.refusal is not None
    if verdict is C and found.refusal is None:
        assert not found.proven
        assert found.answer is not None
        assert found.answer.billing.method == "x402"
    if not isinstance(given.evidence, Lost) or given.evidence.sent:
        assert conclude_payment(given, paid(first=False)).verdict is verdict


def test_what_left_before_is_not_freed_by_what_does_not_leave_now() -> None:
    found = conclude_payment(heard(Lost(sent=False, reason="refused")), paid(first=False))
    assert (found.verdict, found.attempts) == (D, 0)


@pytest.mark.parametrize(
    ("given", "said", "verdict", "amount"),
    [
        (heard(Lost(sent=True, reason="reset")), USED, C, PRICE),
        (heard(refusal("X402_SETTLEMENT_TIMEOUT")), USED, C, PRICE),
        (heard(WALLET), USED, C, MicroUSDC(9_500)),
        (heard(FREE), USED, C, PRICE),
        (heard(WALLET), UNUSED, C, MicroUSDC(4_500)),
        (heard(FREE), UNUSED, N, ZERO),
        (heard(Lost(sent=True, reason="reset"), harmless=True), UNUSED, D, ZERO),
        (heard(Unreadable(502, "HTML"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("INTERNAL_ERROR"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("DUPLICATE_REQUEST"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("MADE_UP"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID"), harmless=False), UNUSED, D, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID"), harmless=True), UNUSED, N, ZERO),
        (heard(refusal("INSUFFICIENT_BUDGET"), harmless=True), UNUSED, N, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID", billing={"transaction_id": "t"}), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID"), harmless=True), SILENT, D, ZERO),
        (heard(WALLET), SILENT, D, ZERO),
    ],
)
def test_the_hubs_word_and_the_chains(given: Heard, said: OnChain, verdict: Verdict, amount: MicroUSDC) -> None:
    found: Outcome = with_chain(given, said, paid(first=False))
    assert (found.verdict, found.amount) == (verdict, amount)
    assert found.answer is not None or found.refusal is not None
    assert found.proven


def test_a_bill_that_cannot_be_read_counts_no_less_than_the_payment() -> None:
    unread = heard(answer(charged=True, method="wallet"))
    assert with_chain(unread, UNUSED, paid()).amount == PRICE
    more = heard(answer(charged=True, method="wallet", at_least=MicroUSDC(8_000)))
    assert with_chain(more, UNUSED, paid()).amount == 8_000

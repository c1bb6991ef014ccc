"""What is proven of a call that came with a payment, by the Hub's word and by the chain's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.codes import PAID_AND_REFUSED, PAID_ANSWER_LOST
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable, conclude
from jecp_mcp.rails.jecp.x402_outcome import Heard, conclude_payment, never_taken, with_chain
from jecp_mcp.rails.x402.outcome import OnChain, Paid
from jecp_mcp.wire.jecp.codes import ALIASES, CODES
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.x402.settlement import Settlement

PRICE, HOLD, CALL = MicroUSDC(5_000), MicroUSDC(6_000), "call_1"
PAYER, TX = "0x" + "ab" * 20, "0x" + "c0" * 32
RECEIPT = Settlement(True, TX, "base", PAYER, 5_000)
USED, UNUSED, SILENT = OnChain(True, TX), OnChain(False), OnChain(None, reason="no node answers")
MONEY = ("INSUFFICIENT_BUDGET", "INSUFFICIENT_BALANCE", "PAYMENT_REQUIRED")
"""What a Hub says only after it looked a call's id up, and only with 402."""
EVERY_CODE = (*CODES, *ALIASES, "MADE_UP")
STATUSES = (200, 400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504)
C, N, D = Verdict.CHARGED, Verdict.NOT_CHARGED, Verdict.IN_DOUBT


def paid(*, first: bool = True) -> Paid:
    return Paid(PRICE, 5_000, PAYER, frozenset({"base"}), first)


def answer(**billing: Any) -> Replied:
    return Replied(Answer(CALL, {"said": "yes"}, Billing(**billing)))


def refusal(code: str, *, details: dict[str, Any] | None = None, status: int | None = None, **more: Any) -> Replied:
    error = {"code": code, "message": "No.", "details": details or {}}
    status = status or (402 if code in MONEY else 422)
    return Replied(parse_refusal({"jecp": "1.0", "status": "failed", "error": error, **more}, status=status))


def heard(evidence: Evidence, receipt: Settlement | None = None, *, harmless: bool = False) -> Heard:
    return Heard(CALL, HOLD, evidence, receipt, harmless)


X402 = answer(charged=True, amount=PRICE, method="x402")
WALLET = answer(charged=True, amount=MicroUSDC(4_500), method="wallet", reference="tx_9")
FREE = answer(charged=False)
NOT_AGAIN = answer(charged=False, amount=MicroUSDC(4_500), reference="tx_9")
LEFT = answer(charged=True, amount=MicroUSDC(4_500), reference="tx_9", balance_after=MicroUSDC(1))


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
            MicroUSDC(12_000),
        ),
        (
            heard(
                refusal("PROVIDER_ERROR", billing={"charged": True, "amount_usdc": Decimal("0.007"), "method": "x402"})
            ),
            C,
            PRICE,
        ),
        (heard(refusal("PROVIDER_ERROR", billing={"charged": True})), C, MicroUSDC(2 * PRICE)),
        (heard(WALLET, RECEIPT), D, ZERO),
        (heard(LEFT, RECEIPT), D, ZERO),
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
    if verdict is C:
        assert not found.proven, "it is the Hub's word, and the payment's end is the chain's to tell"
    if verdict is C and found.refusal is None:
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
        (heard(NOT_AGAIN), UNUSED, D, ZERO),
        (heard(NOT_AGAIN), USED, C, MicroUSDC(9_500)),
        (heard(LEFT, RECEIPT), UNUSED, C, MicroUSDC(4_500)),
        (heard(LEFT, RECEIPT), USED, C, MicroUSDC(9_500)),
        (heard(Lost(sent=True, reason="reset"), harmless=True), UNUSED, D, ZERO),
        (heard(Unreadable(502, "HTML"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("INTERNAL_ERROR"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("DUPLICATE_REQUEST"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("MADE_UP"), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("X402_PAYMENT_INVALID"), harmless=False), UNUSED, D, ZERO),
        (heard(refusal("INSUFFICIENT_BUDGET"), harmless=True), UNUSED, N, ZERO),
        (heard(refusal("INSUFFICIENT_BUDGET")), UNUSED, D, ZERO),
        (heard(refusal("INSUFFICIENT_BUDGET", billing={"transaction_id": "t"}), harmless=True), UNUSED, D, ZERO),
        (heard(refusal("INSUFFICIENT_BUDGET"), harmless=True), SILENT, D, ZERO),
        (heard(WALLET), SILENT, D, ZERO),
    ],
)
def test_the_hubs_word_and_the_chains(given: Heard, said: OnChain, verdict: Verdict, amount: MicroUSDC) -> None:
    found: Outcome = with_chain(given, said, paid(first=False))
    assert (found.verdict, found.amount) == (verdict, amount)
    assert found.answer is not None or found.refusal is not None
    assert found.proven


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (heard(refusal("PROVIDER_ERROR")), PAID_AND_REFUSED, "gives no result: it answers with PROVIDER_ERROR. It was"),
        (heard(refusal("PAYMENT_REQUIRED"), harmless=True), PAID_ANSWER_LOST, "its answer was lost on the way. It was"),
        (heard(Unreadable(502, "HTML")), PAID_ANSWER_LOST, "its answer was lost on the way. It was"),
    ],
)
def test_what_is_said_of_a_payment_that_was_taken_and_bought_nothing(given: Heard, code: str, says: str) -> None:
    told = with_chain(given, USED, paid(first=False)).refusal
    assert told is not None
    assert told.code == code
    assert told.message.startswith("The Hub took the payment of 0.005 USDC")
    assert says in told.message


def test_a_bill_that_cannot_be_read_counts_no_less_than_the_payment() -> None:
    unread = heard(answer(charged=True, method="wallet"))
    assert with_chain(unread, UNUSED, paid()).amount == PRICE
    more = heard(answer(charged=True, method="wallet", at_least=MicroUSDC(8_000)))
    assert with_chain(more, UNUSED, paid()).amount == 8_000


def test_no_refusal_frees_a_payment_but_one_that_comes_after_the_look_up_of_the_id() -> None:
    freed = set()
    for code in EVERY_CODE:
        for status in STATUSES:
            said = refusal(code, status=status)
            found = with_chain(heard(said, harmless=True), UNUSED, paid(first=False))
            stands = never_taken(heard(said, harmless=True), paid(first=False))
            asked = conclude([said], replay=True, budget=HOLD, allowed=ZERO)
            assert found.verdict in {N, D}
            assert (stands.verdict, stands.amount, stands.proven) == (C, PRICE, stands.refunded == PRICE)
            assert (found.verdict is N) is (stands.refunded == PRICE) is (asked.verdict is N), (code, status)
            if found.verdict is N:
                freed.add((CODES[ALIASES.get(code, code)].code, status))
            billed = refusal(code, status=status, billing={"amount_usdc": Decimal("0.005")})
            for doubtful in (heard(said), heard(billed, harmless=True)):
                assert with_chain(doubtful, UNUSED, paid(first=False)).verdict is D
                assert never_taken(doubtful, paid(first=False)).refunded == ZERO
    assert freed == {(code, 402) for code in MONEY}


def test_a_gateways_402_frees_nothing() -> None:
    said = Replied(parse_refusal({"code": "PAYMENT_REQUIRED", "message": "Pay me."}, status=402))
    assert with_chain(heard(said, harmless=True), UNUSED, paid(first=False)).verdict is D
    assert conclude([said], replay=True, budget=HOLD, allowed=ZERO).verdict is D


def test_a_lost_attempt_is_free_only_if_every_one_was_allowed_nothing_and_the_hub_knows_of_no_sale() -> None:
    said = [refusal(code) for code in CODES]
    for earlier in said:
        for last in said:
            assert isinstance(last, Replied)
            attempts = [Lost(sent=True, reason="reset"), earlier, last]
            free = conclude(attempts, replay=False, budget=HOLD, allowed=ZERO)
            assert (free.verdict is N) is (last.reply.code in MONEY), last  # type: ignore[union-attr]
            if free.verdict is N:
                assert free.refusal is last.reply, "what it asks for can be paid then"
            for allowed in (None, HOLD):
                assert conclude(attempts, replay=False, budget=HOLD, allowed=allowed).verdict is D


@pytest.mark.parametrize(
    ("given", "counts", "proven"),
    [
        (heard(X402), ZERO, True),
        (heard(FREE), ZERO, True),
        (heard(LEFT), MicroUSDC(4_500), True),
        (heard(answer(charged=True, amount=MicroUSDC(8_000))), MicroUSDC(8_000), True),
        (heard(NOT_AGAIN), PRICE, False),
        (heard(refusal("INSUFFICIENT_BUDGET"), harmless=True), ZERO, True),
        (heard(refusal("INSUFFICIENT_BUDGET")), PRICE, False),
        (heard(Lost(sent=True, reason="reset"), harmless=True), PRICE, False),
        (heard(Lost(sent=False, reason="refused"), harmless=True), PRICE, False),
        (heard(Unreadable(502, "HTML"), harmless=True), PRICE, False),
    ],
)
def test_a_charge_that_the_chain_does_not_know_comes_back_but_for_what_the_wallet_may_have_paid(
    given: Heard, counts: MicroUSDC, proven: bool
) -> None:
    found = never_taken(given, paid(first=False))
    assert (found.verdict, found.amount - found.refunded, found.proven) == (C, counts, proven)

"""Every row of the table in `jecp_mcp.rails.x402.outcome`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails import codes
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.rails.x402.outcome import Answered, OnChain, Paid, conclude, confirm
from jecp_mcp.wire.x402.settlement import Settlement

PAYER, TX = "0x" + "a1" * 20, "0x" + "ab" * 32
FIRST = Paid(MicroUSDC(10_000), 10_000, PAYER, frozenset({"eip155:8453", "base"}), first=True)
LATER = replace(FIRST, first=False)
ANSWER = Answer(None, {"status": 200, "body": "x"}, Billing())
DONE = Settlement(True, TX, "eip155:8453", PAYER, 10_000)
FAILED = Settlement(False, "", "eip155:8453", error_reason="insufficient_funds")


def heard(status: int, settlement: Settlement | None = None, said: str = "", words: str = "") -> Answered:
    return Answered(status, ANSWER, settlement, said, words)


def test_what_never_left_is_free_at_the_first_attempt_and_open_at_a_later_one() -> None:
    lost = Lost(sent=False, reason="refused")
    found = conclude(lost, FIRST)
    assert (found.verdict, found.attempts, found.refusal.code) == (
        Verdict.NOT_CHARGED,
        0,
        codes.MERCHANT_UNREACHABLE,
    )  # type: ignore[union-attr]
    later = conclude(lost, LATER)
    assert (later.verdict, later.attempts) == (Verdict.IN_DOUBT, 0)
    own = Refusal("TOO_LATE_TO_SEND", "x", source="bridge")
    assert conclude(replace(lost, refusal=own), FIRST).refusal is own


@pytest.mark.parametrize("paid", [FIRST, LATER])
def test_what_may_have_left_and_was_not_answered_is_in_doubt(paid: Paid) -> None:
    found = conclude(Lost(sent=True, reason="the connection was lost"), paid)
    assert (found.verdict, found.amount, found.attempts) == (Verdict.IN_DOUBT, 0, 1)
    assert found.refusal is not None
    assert found.refusal.code == codes.PAYMENT_IN_DOUBT


@pytest.mark.parametrize("paid", [FIRST, LATER])
@pytest.mark.parametrize(
    "settlement",
    [DONE, replace(DONE, network="base"), replace(DONE, network="", payer=None, amount=None)],
)
def test_an_answer_with_a_receipt_is_charged(paid: Paid, settlement: Settlement) -> None:
    found = conclude(heard(200, settlement), paid)
    assert (found.verdict, found.amount, found.proven, found.reference) == (Verdict.CHARGED, 10_000, False, TX)
    assert found.answer is not None
    assert (found.answer.output, found.answer.billing.charged) == (ANSWER.output, True)


@pytest.mark.parametrize(
    "settlement",
    [
        None,
        FAILED,
        replace(DONE, payer="0x" + "b2" * 20),
        replace(DONE, network="eip155:1"),
        replace(DONE, amount=9_999),
        replace(FAILED, error_reason="settlement_pending", transaction=TX),
    ],
)
def test_an_answer_without_a_receipt_that_can_be_believed_is_assumed_to_be_charged(
    settlement: Settlement | None,
) -> None:
    found = conclude(heard(206, settlement), FIRST)
    assert (found.verdict, found.amount, found.proven) == (Verdict.CHARGED, 10_000, False)
    assert found.answer is not None


@pytest.mark.parametrize("status", [199, 300, 302, 400, 402, 403, 410, 500, 503])
def test_a_receipt_with_another_status_is_charged_and_refused(status: int) -> None:
    found = conclude(heard(status, DONE, words="gone"), FIRST)
    assert (found.verdict, found.answer, found.reference) == (Verdict.CHARGED, None, TX)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.http_status) == (codes.PAID_AND_REFUSED, status)
    assert found.refusal.details["merchant_says"] == "gone"


@pytest.mark.parametrize("word", ["nonce_already_used", "invalid_exact_evm_nonce_already_used"])
def test_that_the_nonce_is_used_is_a_charge_whose_answer_is_lost(word: str) -> None:
    for told in (heard(402, said=word), heard(402, replace(FAILED, error_reason=word))):
        found = conclude(told, LATER)
        assert (found.verdict, found.amount) == (Verdict.CHARGED, 10_000)
        assert found.refusal is not None
        assert found.refusal.code == codes.PAID_ANSWER_LOST


@pytest.mark.parametrize("paid", [FIRST, LATER])
@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 402, 403, 404, 409, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("settlement", [None, FAILED])
def test_no_refusal_of_a_signed_payment_ever_frees_it(paid: Paid, status: int, settlement: Settlement | None) -> None:
    found = conclude(heard(status, settlement, said="you have not paid", words="nothing was charged"), paid)
    assert (found.verdict, found.amount, found.attempts) == (Verdict.IN_DOUBT, 0, 1)
    assert found.refusal is not None
    assert ("redirect" in found.refusal.details) == (status < 400)


def test_the_name_of_a_pending_transfer_is_kept() -> None:
    pending = Settlement(False, TX.upper().replace("0X", "0x"), "base", error_reason="settlement_pending")
    found = conclude(heard(402, pending), FIRST)
    assert (found.verdict, found.reference) == (Verdict.IN_DOUBT, TX)
    assert conclude(heard(402, replace(pending, transaction="soon")), FIRST).reference is None


def test_what_the_chain_says_is_the_end() -> None:
    used = conclude(OnChain(True, TX), LATER)
    assert (used.verdict, used.amount, used.reference, used.attempts) == (Verdict.CHARGED, 10_000, TX, 0)
    assert used.proven
    never = conclude(OnChain(False), LATER)
    assert (never.verdict, never.amount, never.attempts) == (Verdict.NOT_CHARGED, 0, 0)
    assert never.refusal is not None
    assert never.refusal.code == codes.PAYMENT_NEVER_TAKEN
    silent = conclude(OnChain(None, reason="the nodes contradict each other"), LATER)
    assert (silent.verdict, silent.attempts) == (Verdict.IN_DOUBT, 0)
    assert "contradict" in silent.evidence


def test_a_charge_by_a_merchants_word_stands_is_void_or_stays_assumed() -> None:
    amount = MicroUSDC(10_000)
    stands, void, open_ = (confirm(OnChain(used, None, "lagging"), amount) for used in (True, False, None))
    assert {one.verdict for one in (stands, void, open_)} == {Verdict.CHARGED}
    assert [(one.proven, one.refunded, one.attempts) for one in (stands, void, open_)] == [
        (True, 0, 0),
        (True, 10_000, 0),
        (False, 0, 0),
    ]

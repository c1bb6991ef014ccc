"""What a control plane said, and what follows for the money: every row of the table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import UNHEARD, UNREAD, Outcome, Verdict
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.flow402.outcome import Asked, Decided, RequestRefused, Unclear, conclude, confirm, unconfirmed
from jecp_mcp.rails.flow402.schedule import FOLLOW_MS, ask_again_at, look_again_at
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.wire.flow402.decision import read_decision
from jecp_mcp.wire.flow402.problem import REFUSING
from jecp_mcp.wire.flow402.receipt import read_receipt
from tests.unit.wire.flow402.messages import RECEIPT, REVIEW, decision, money, receipt

HOLD = MicroUSDC(10_000)
ASKED = Asked(HOLD, ("USDC",), first=True)
LATER = replace(ASKED, first=False)
ANSWER = Answer(None, {"status": 200}, Billing(charged=False))
BACK = ("refunded", "void", "expired_unconfirmed")


def concluded(outcome: str, asked: Asked = ASKED, **other: Any) -> Outcome:
    read = read_decision(json.dumps(decision(outcome, **other)).encode())
    return conclude(Decided(read, ANSWER if outcome == "allow" else None, "the merchant's words"), asked)


@pytest.mark.parametrize("asked", [ASKED, LATER])
def test_a_decision_is_believed_whichever_attempt_brought_it(asked: Asked) -> None:
    paid = concluded("allow", asked)
    assert (paid.verdict, paid.amount, paid.reference, paid.proven) == (Verdict.CHARGED, 10_000, RECEIPT, True)
    assert paid.answer is not None
    assert paid.answer.billing == Billing(charged=True, amount=HOLD, reference=RECEIPT, method="402flow")
    failed = concluded("paid_fulfillment_failed", asked)
    assert (failed.verdict, failed.amount, failed.answer) == (Verdict.CHARGED, 10_000, None)
    assert failed.refusal is not None
    assert (failed.refusal.code, failed.refusal.details["merchant_says"]) == (
        "PAID_AND_REFUSED",
        "the merchant's words",
    )
    for outcome in ("deny", "preflight_failed"):
        assert concluded(outcome, asked).verdict is Verdict.NOT_CHARGED
    assert concluded("executing", asked).verdict is Verdict.PENDING
    for outcome in ("inconclusive", "execution_failed"):
        doubt = concluded(outcome, asked)
        assert (doubt.verdict, doubt.refusal and doubt.refusal.code) == (Verdict.IN_DOUBT, "PAYMENT_IN_DOUBT")


@pytest.mark.parametrize("status", ["provisional", "confirmed"])
def test_content_whose_payment_cannot_be_attributed_for_sure_is_delivered_and_charged(status: str) -> None:
    found = concluded("allow", reasonCode="settlement_proof_conflict", receipt=receipt(status))
    assert (found.verdict, found.amount, found.proven) == (Verdict.CHARGED, 10_000, status == "confirmed")
    assert found.answer is not None


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("policy_denied", "PAYMENT_DENIED"),
        ("policy_review_required", "PAYMENT_DENIED"),
        ("challenge_candidate_malformed", "PAYMENT_NOT_POSSIBLE"),
        ("challenge_no_supported_candidates", "PAYMENT_NOT_POSSIBLE"),
        ("challenge_mixed_environment_candidates", "PAYMENT_NOT_POSSIBLE"),
        ("challenge_execution_identity_unavailable", "PAYMENT_NOT_POSSIBLE"),
        ("challenge_execution_identity_ambiguous", "PAYMENT_NOT_POSSIBLE"),
        ("one_of_a_later_version", "PAYMENT_DENIED"),
    ],
)
def test_a_denial_is_free_whatever_its_reason_and_told_in_its_own_words(code: str, ours: str) -> None:
    found = concluded("deny", reasonCode=code)
    assert found.refusal is not None
    assert (found.verdict, found.refusal.code, found.refusal.details["reason_code"]) == (
        Verdict.NOT_CHARGED,
        ours,
        code,
    )


def test_a_denial_says_whose_turn_it_is() -> None:
    review = concluded("deny", reasonCode="policy_review_required", policyReviewEventId=REVIEW).refusal
    assert review is not None
    assert (review.code, review.details["review_event_id"]) == ("PAYMENT_DENIED", REVIEW)
    assert REVIEW in review.message
    unpayable = concluded("deny", reasonCode="challenge_mixed_environment_candidates").refusal
    assert unpayable is not None
    assert unpayable.code == "PAYMENT_NOT_POSSIBLE"


def test_a_provisional_receipt_charges_and_one_that_came_back_gives_all_of_it_back() -> None:
    assert not concluded("allow", receipt=receipt("provisional")).proven
    for status in BACK:
        found = concluded("allow", receipt=receipt(status))
        assert (found.amount, found.refunded) == (10_000, 10_000)
        assert found.proven is (status == "refunded"), "the others may yet turn out to have been paid"


@pytest.mark.parametrize("reconciliation", ["required", "in_progress", "something_later"])
@pytest.mark.parametrize("status", ["void", "expired_unconfirmed"])
def test_what_is_still_reconciled_has_not_come_back(status: str, reconciliation: str) -> None:
    written = receipt(status, reconciliationStatus=reconciliation)
    for found in (concluded("allow", receipt=written), confirm(read_receipt(written), LATER)):
        assert (found.amount, found.refunded, found.proven) == (10_000, 0, False)
        assert reconciliation in found.evidence


@pytest.mark.parametrize("minor", [0, 1, 1_999])
def test_less_than_the_cheapest_way_to_pay_counts_as_what_was_held(minor: int) -> None:
    asked = replace(ASKED, least=MicroUSDC(2_000))
    low = receipt("provisional", money=money(minor))
    for found in (concluded("allow", asked, receipt=low), confirm(read_receipt(low), asked)):
        assert (found.amount, found.estimated) == (HOLD, True)
        assert found.evidence.endswith(UNREAD)
    assert concluded("allow", asked, receipt=receipt(money=money(2_000))).amount == 2_000


def test_a_key_that_is_known_already_proves_nothing() -> None:
    for asked in (ASKED, LATER):
        assert conclude(RequestRefused(409, "The key is in use."), asked).verdict is Verdict.IN_DOUBT


def test_what_was_charged_in_another_token_counts_as_what_was_held() -> None:
    found = concluded("allow", receipt=receipt(money=money(7, asset="EURC")))
    assert (found.amount, found.estimated) == (HOLD, True)
    assert found.evidence.endswith(UNREAD)
    dear = concluded("allow", receipt=receipt(money=money(25_000)))
    assert (dear.amount, dear.estimated) == (25_000, False), "more than was held is booked, and said"


@pytest.mark.parametrize("status", sorted(REFUSING - {409}))
def test_only_the_only_attempt_is_released_by_a_refusal_of_the_request(status: int) -> None:
    refused = RequestRefused(status, "Unsupported SDK version")
    free = conclude(refused, ASKED)
    assert (free.verdict, free.refusal and free.refusal.details["control_plane_says"]) == (
        Verdict.NOT_CHARGED,
        "Unsupported SDK version",
    )
    assert conclude(refused, LATER).verdict is Verdict.IN_DOUBT


@pytest.mark.parametrize("heard", [Unclear(502, "HTML"), Unclear(200, "HTML"), Lost(sent=True, reason="reset")])
def test_whatever_else_was_heard_leaves_it_in_doubt(heard: Any) -> None:
    for asked in (ASKED, LATER):
        found = conclude(heard, asked)
        assert (found.verdict, found.attempts) == (Verdict.IN_DOUBT, 1)


def test_what_never_left_is_free_the_first_time_and_unchanged_later() -> None:
    free = conclude(Lost(sent=False, reason="refused"), ASKED)
    assert (free.verdict, free.attempts, free.refusal and free.refusal.code) == (
        Verdict.NOT_CHARGED,
        0,
        "CONTROL_PLANE_UNREACHABLE",
    )
    later = conclude(Lost(sent=False, reason="refused"), LATER)
    assert (later.verdict, later.attempts) == (Verdict.IN_DOUBT, 0)


def test_a_receipt_of_a_charge_confirms_it_gives_it_back_or_leaves_it_open() -> None:
    sure = confirm(read_receipt(receipt("confirmed")), LATER)
    assert (sure.verdict, sure.proven, sure.refunded) == (Verdict.CHARGED, True, 0)
    for status in BACK:
        for asset in ("USDC", "EURC"):
            back = confirm(read_receipt(receipt(status, money=money(25_000, asset=asset))), LATER)
            assert back.refunded >= 5_000_000, "all that was charged, also what was beyond the hold"
    assert not confirm(read_receipt(receipt("provisional")), LATER).proven
    assert confirm(read_receipt(receipt("confirmed")), replace(LATER, tokens=["0xabc"])).evidence.endswith(UNREAD)
    unread = unconfirmed(HOLD, "status 500")
    assert unread.evidence.endswith(UNHEARD)
    assert (unread.verdict, unread.proven, unread.refunded) == (Verdict.CHARGED, False, 0)


def test_a_decision_is_asked_for_less_and_less_often_and_a_receipt_followed_for_so_long() -> None:
    waits = [ask_again_at(0, attempts=attempts) for attempts in (0, 1, 2, 3, 9, 400)]  # type: ignore[arg-type]
    assert waits == [3_000, 3_000, 6_000, 12_000, 60_000, 60_000]
    ages = [0, 60_000, 86_400_000, FOLLOW_MS, FOLLOW_MS + 1]
    assert [look_again_at(age, 0) and look_again_at(age, 0) - age for age in ages] == [
        30_000,
        60_000,
        3_600_000,
        3_600_000,
        None,
    ]  # type: ignore[arg-type, operator]

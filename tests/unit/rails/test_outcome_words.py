"""What an outcome says beside its verdict: amount, transaction, evidence for the ledger, words for the caller."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.outcome import (
    Evidence,
    Lost,
    Replied,
    Unreadable,
    answering,
    conclude,
    doubtful,
    refused_by_hub,
    says_charged,
    shown,
)
from jecp_mcp.rails.jecp.retries import next_wait
from jecp_mcp.wire.jecp.errors import parse_refusal

BUDGET = MicroUSDC(7_000)
NOBODY_HOME = Lost(sent=False, reason="no address answers")
DROPPED = Lost(sent=True, reason="the connection was reset")
HTML = Unreadable(502, "the body is not JSON")


def answer(call_id: str | None = "call_1", **billing: Any) -> Replied:
    return Replied(Answer(call_id, {"ok": 1}, Billing(**billing)))


def refusal(code: str, *, status: int | None = 500, billing: Any = None, **more: Any) -> Replied:
    body = {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No."}, "billing": billing, **more}
    return Replied(parse_refusal(body, status=status))


@pytest.mark.parametrize(
    ("evidence", "replay", "verdict"),
    [
        (answer(charged=True, amount=MicroUSDC(5)), False, Verdict.CHARGED),
        (answer(charged=None), False, Verdict.CHARGED),
        (answer(charged=False), False, Verdict.NOT_CHARGED),
        (answer(charged=False), True, Verdict.NOT_CHARGED),
        (answer(charged=False, amount=MicroUSDC(5)), False, Verdict.NOT_CHARGED),
        (answer(charged=False, amount=MicroUSDC(5)), True, Verdict.IN_DOUBT),
        (NOBODY_HOME, False, Verdict.NOT_CHARGED),
        (DROPPED, False, Verdict.IN_DOUBT),
        (HTML, False, Verdict.IN_DOUBT),
        (refusal("INSUFFICIENT_BALANCE"), True, Verdict.NOT_CHARGED),
        (refusal("STREAM_IN_PROGRESS"), False, Verdict.IN_DOUBT),
        (refusal("STREAM_IN_PROGRESS"), True, Verdict.IN_DOUBT),
        (refusal("INTERNAL_ERROR"), False, Verdict.IN_DOUBT),
        (refusal("INTERNAL_ERROR", billing={"charged": False}), True, Verdict.NOT_CHARGED),
        (refusal("PROVIDER_ERROR", billing={"charged": True}), False, Verdict.CHARGED),
        (refusal("PROVIDER_ERROR", billing={"charged": "yes"}), False, Verdict.IN_DOUBT),
        (refusal("PROVIDER_ERROR", billing={"charged": 1}), False, Verdict.IN_DOUBT),
    ],
)
def test_one_attempt_proves_no_more_than_it_says(evidence: Evidence, replay: bool, verdict: Verdict) -> None:
    assert shown(evidence, replay=replay) is verdict
    assert doubtful([evidence], replay=False) is (shown(evidence, replay=False) is not Verdict.NOT_CHARGED)


def test_an_answer_under_this_calls_id_or_none_is_taken_as_it_is() -> None:
    for evidence in (
        answer("call_1"), answer(None), refusal("RATE_LIMITED", id="call_1"), refusal("RATE_LIMITED"), DROPPED, HTML,
    ):  # fmt: skip
        assert answering("call_1", evidence) is evidence


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        (answer("call_2"), 200),
        (refusal("RATE_LIMITED", status=429, id="call_2"), 429),
        (refusal("RATE_LIMITED", status=None, id="call_2"), 200),
    ],
)
def test_an_answer_under_another_id_proves_nothing(evidence: Evidence, status: int) -> None:
    assert answering("call_1", evidence) == Unreadable(status, "the answer is for another call")


@pytest.mark.parametrize(
    ("billing", "verdict", "amount", "evidence"),
    [
        ({"charged": False, "amount": MicroUSDC(9)}, Verdict.NOT_CHARGED, 0, "answered, not charged"),
        ({"charged": True, "amount": MicroUSDC(9)}, Verdict.CHARGED, 9, "answered, charged"),
        ({"charged": True}, Verdict.CHARGED, BUDGET, "answered, charged; how much cannot be read"),
    ],
)
def test_a_success_names_its_transaction_and_what_it_rests_on(
    billing: dict[str, Any], verdict: Verdict, amount: int, evidence: str
) -> None:
    found = conclude([answer(reference="tx_1", **billing)], replay=False, budget=BUDGET)
    assert (found.verdict, found.amount, found.evidence) == (verdict, amount, evidence)
    assert (found.reference, found.attempts) == ("tx_1", 1)


def test_a_charged_failure_names_its_transaction_and_counts_the_hold_where_no_amount_is_said() -> None:
    said = {"charged": True, "transaction_id": "tx_2"}
    found = conclude([DROPPED, refusal("PROVIDER_ERROR", billing=said)], replay=False, budget=BUDGET)
    assert (found.verdict, found.amount, found.reference) == (Verdict.CHARGED, BUDGET, "tx_2")
    assert (found.evidence, found.attempts) == ("refused, and yet charged: PROVIDER_ERROR; how much cannot be read", 2)
    told = conclude(
        [refusal("PROVIDER_ERROR", billing={**said, "amount_usdc": Decimal("0.5")})], replay=False, budget=BUDGET
    )
    assert (told.evidence, told.amount) == ("refused, and yet charged: PROVIDER_ERROR", 500_000)


def test_a_proven_charge_outweighs_a_later_refusal_and_a_lost_attempt() -> None:
    charged = answer(charged=True, amount=MicroUSDC(9))
    for after in (refusal("DUPLICATE_REQUEST"), DROPPED):
        assert conclude([charged, after], replay=False, budget=BUDGET).amount == 9


def test_what_never_left_is_told_with_its_reason() -> None:
    found = conclude([NOBODY_HOME], replay=False, budget=BUDGET)
    assert found.evidence == "nothing left this machine"
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.source) == ("HUB_UNREACHABLE", "bridge")
    assert found.refusal.message.startswith("The Hub could not be reached: no address answers. Nothing was sent")


def test_a_refusal_is_the_evidence_of_no_charge() -> None:
    found = conclude([refusal("INSUFFICIENT_BALANCE"), NOBODY_HOME], replay=False, budget=BUDGET)
    assert (found.verdict, found.evidence) == (Verdict.NOT_CHARGED, "refused: INSUFFICIENT_BALANCE")
    assert found.refusal is not None
    assert found.refusal.source == "payee"


@pytest.mark.parametrize(
    ("attempts", "evidence"),
    [
        ([DROPPED], "not proven: the connection was reset"),
        ([HTML], "not proven: the body is not JSON"),
        ([DROPPED, refusal("INTERNAL_ERROR")], "not proven: the Hub last answered INTERNAL_ERROR"),
    ],
)
def test_the_ledger_is_told_what_was_last_heard_of_a_call_in_doubt(attempts: list[Evidence], evidence: str) -> None:
    assert conclude(attempts, replay=False, budget=BUDGET).evidence == evidence


def test_whoever_waits_is_told_what_stays_held() -> None:
    for attempts, cause in (
        ([HTML], "What came back from the Hub is not a JECP answer: the body is not JSON."),
        ([DROPPED], "The call was sent and its answer was lost: the connection was reset."),
    ):
        found = conclude(attempts, replay=False, budget=BUDGET).refusal
        assert found is not None
        assert found.source == "bridge"
        assert found.message == (f"{cause} Whether it was charged is not known, so 0.007 USDC stay held.")


def test_the_status_of_what_could_not_be_read_is_passed_on() -> None:
    found = conclude([HTML], replay=False, budget=BUDGET).refusal
    assert found is not None
    assert (found.http_status, found.details) == (502, {"http_status": 502})


def test_an_earlier_attempt_of_another_process_is_named_where_nothing_else_tells() -> None:
    found = conclude([NOBODY_HOME], replay=True, budget=BUDGET)
    assert found.verdict is Verdict.IN_DOUBT
    assert found.refusal is not None
    assert found.refusal.code == "HUB_LOST_ANSWER"
    assert "its answer was lost: an earlier attempt was not answered." in found.refusal.message
    assert found.refusal.details == {}


def test_that_an_id_is_known_is_the_only_word_left_when_nothing_else_was_heard() -> None:
    known = refusal("DUPLICATE_REQUEST")
    assert conclude([known], replay=False, budget=BUDGET).refusal is known.reply
    twice = conclude([known, refusal("DUPLICATE_REQUEST")], replay=False, budget=BUDGET).refusal
    assert twice is not None
    assert (twice.code, twice.details) == ("HUB_LOST_ANSWER", {"last_answer": "DUPLICATE_REQUEST"})


def test_a_stream_still_in_progress_for_another_process_is_not_told_as_a_refusal() -> None:
    running = refusal("STREAM_IN_PROGRESS")
    assert conclude([running], replay=False, budget=BUDGET).refusal is running.reply
    found = conclude([running], replay=True, budget=BUDGET).refusal
    assert found is not None
    assert (found.code, found.details) == ("HUB_LOST_ANSWER", {"last_answer": "STREAM_IN_PROGRESS"})


def test_a_stream_in_progress_after_a_lost_attempt_says_only_that_its_id_is_known() -> None:
    running = refusal("STREAM_IN_PROGRESS")
    found = conclude([DROPPED, running], replay=False, budget=BUDGET).refusal
    assert found is not None
    assert (found.code, found.details) == ("HUB_LOST_ANSWER", {"last_answer": "STREAM_IN_PROGRESS"})


def wait(*attempts: Evidence, replay: bool = False, jitter: float = 0.5, left: float = 100.0) -> float | None:
    return next_wait(attempts, replay=replay, jitter=jitter, left=left)


def test_an_attempt_that_fits_the_time_left_exactly_is_made() -> None:
    assert wait(DROPPED, left=1.2) == pytest.approx(0.2)
    assert wait(DROPPED, left=1.19) is None


def test_jitter_spreads_a_wait_from_half_to_one_and_a_half_times() -> None:
    assert [wait(DROPPED, DROPPED, jitter=jitter) for jitter in (0.0, 0.5, 1.0)] == [
        pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.9),
    ]  # fmt: skip


def test_what_never_left_is_tried_three_times_in_all_and_does_not_use_up_what_was_sent() -> None:
    assert [wait(*[NOBODY_HOME] * tries) for tries in (1, 2, 3, 4)] == [
        pytest.approx(0.2), pytest.approx(0.6), None, None,
    ]  # fmt: skip
    assert wait(NOBODY_HOME, DROPPED) == pytest.approx(0.2), "the first that was sent"
    assert wait(NOBODY_HOME, NOBODY_HOME, DROPPED, DROPPED, DROPPED) == pytest.approx(1.8)
    assert wait(Lost(sent=False, reason="refused by policy", again=False)) is None


def test_an_attempt_before_these_counts_as_sent() -> None:
    assert wait(DROPPED, replay=True) == pytest.approx(0.6)
    assert wait(DROPPED, DROPPED, DROPPED, replay=True) is None


def test_a_provider_that_failed_free_of_charge_is_asked_once_more_and_what_says_it_charged_never() -> None:
    free, charged = {"charged": False}, {"charged": True}
    assert wait(refusal("INTERNAL_ERROR", billing=free)) == pytest.approx(0.2)
    assert wait(refusal("INTERNAL_ERROR", billing=charged)) is None
    assert wait(refusal("PROVIDER_ERROR", billing=charged)) is None


def test_a_running_stream_that_names_no_time_is_waited_for_five_times_as_long() -> None:
    running = refusal("STREAM_IN_PROGRESS", status=409)
    assert wait(DROPPED, running) == pytest.approx(3.0)
    assert wait(DROPPED, DROPPED, running) == pytest.approx(9.0)


def test_a_wait_of_the_hubs_is_never_shortened() -> None:
    asked = Replied(Refusal("RATE_LIMITED", "slow down", retry_after_seconds=1))
    assert wait(asked) == pytest.approx(1.25)
    brief = Replied(Refusal("RATE_LIMITED", "slow down", retry_after_seconds=0))
    assert wait(brief, jitter=0.0) == pytest.approx(0.1)


def test_a_success_that_says_it_was_not_charged_after_a_lost_attempt_is_told_with_its_doubt() -> None:
    found = conclude([DROPPED, answer(charged=False, reference="tx_1")], replay=False, budget=BUDGET)
    assert found.verdict is Verdict.IN_DOUBT
    assert found.evidence == "answered, not charged again, it says; what was lost before may have been"


def test_a_call_that_a_hub_was_only_asked_about_is_told_as_the_bridges_own_word() -> None:
    asked = refusal("INSUFFICIENT_BUDGET", status=402)
    found = conclude([asked], replay=True, budget=BUDGET, allowed=MicroUSDC(0))
    assert found.verdict is Verdict.NOT_CHARGED
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.source) == ("HUB_UNREACHABLE", "bridge")
    told = conclude([DROPPED, asked], replay=False, budget=BUDGET, allowed=MicroUSDC(0))
    assert (told.verdict, told.refusal, told.attempts) == (Verdict.NOT_CHARGED, asked.reply, 2)
    assert told.evidence == "allowed nothing; the Hub last answered INSUFFICIENT_BUDGET"


@pytest.mark.parametrize(("said", "charged"), [(True, True), (False, False), ("yes", None), (1, None), (None, None)])
def test_only_true_and_false_say_whether_something_was_charged(said: object, charged: bool | None) -> None:
    reply = refusal("PROVIDER_ERROR", billing={"charged": said}).reply
    assert isinstance(reply, Refusal)
    assert says_charged(reply) is charged


@pytest.mark.parametrize(
    ("attempts", "replay", "refused"),
    [
        ([refusal("INSUFFICIENT_BALANCE")], False, True),
        ([refusal("INSUFFICIENT_BALANCE")], True, False),
        ([refusal("INTERNAL_ERROR")], False, False),
        ([refusal("PROVIDER_ERROR", billing={"charged": True})], False, False),
        ([NOBODY_HOME], False, False),
        ([DROPPED], False, False),
        ([answer(charged=True)], False, False),
        ([answer(charged=False)], False, False),
    ],
)
def test_only_what_a_hub_refused_without_a_doubt_may_be_paid_for_otherwise(
    attempts: list[Evidence], replay: bool, refused: bool
) -> None:
    assert refused_by_hub(conclude(attempts, replay=replay, budget=BUDGET)) is refused


def test_a_refusal_beside_an_answer_asks_for_no_payment() -> None:
    refused = conclude([refusal("INSUFFICIENT_BALANCE")], replay=False, budget=BUDGET)
    given = conclude([answer(charged=False)], replay=False, budget=BUDGET)
    assert not refused_by_hub(replace(refused, answer=given.answer))

"""What each answer proves, and what a sequence of attempts proves together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, Unreadable, conclude
from jecp_mcp.rails.jecp.retries import MAX_REPLAYS, MAX_UNSENT, next_wait
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.envelope import parse_answer
from jecp_mcp.wire.jecp.errors import parse_refusal

BUDGET = MicroUSDC(7_000)
MOST_WAIT = 15.0

# JECP 03-errors, "charged?": yes to every code here but those the table leaves open.
OPEN_CODES = {
    "DUPLICATE_REQUEST", "STREAM_TIMEOUT", "STREAM_INCOMPLETE", "PROVIDER_DISCONNECT", "PROVIDER_TIMEOUT",
    "COMPOSITE_STEP_FAILED", "COMPOSITE_BIND_ERROR", "COMPOSITE_DEPTH_EXCEEDED", "COMPOSITE_TIMEOUT",
    "COMPOSITE_REFUND_FAILED", "INTERNAL_ERROR", "SERVICE_DEGRADED", "EXECUTION_FAILED", "OUTPUT_INVALID",
    # Not charged itself, and yet a word that the id was there before.
    "STREAM_IN_PROGRESS",
}  # fmt: skip
SPELLINGS = [(spelling, entry.code) for entry in CODES.values() for spelling in (entry.code, *entry.aliases)]


def reference(code: str) -> Refusal:
    body = {"jecp": "1.0", "id": "c", "status": "failed", "error": {"code": code, "message": "No."}}
    reply = parse_answer(json.dumps(body).encode(), {}, 500)
    assert isinstance(reply, Refusal)
    return reply


def flat(code: str) -> Refusal:
    return parse_refusal({"code": code, "message": "No."}, status=None)


def kindly(code: str) -> Refusal:
    """HTTP 200 with a failed envelope."""
    body = {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No."}}
    reply = parse_answer(json.dumps(body).encode(), {}, 200)
    assert isinstance(reply, Refusal)
    return reply


@pytest.mark.parametrize("dialect", [reference, flat, kindly])
@pytest.mark.parametrize(("spelling", "code"), SPELLINGS)
def test_every_code_proves_what_the_catalog_says(spelling: str, code: str, dialect: Callable[[str], Refusal]) -> None:
    refusal = dialect(spelling)
    found = conclude([Replied(refusal)], replay=False, budget=BUDGET)
    assert found.verdict is (Verdict.IN_DOUBT if code in OPEN_CODES else Verdict.NOT_CHARGED)
    assert found.refusal is refusal, "the Hub's own words are passed on"
    assert (found.refusal.code, found.amount, found.answer, found.attempts) == (code, 0, None, 1)
    assert conclude([Replied(refusal)], replay=True, budget=BUDGET).verdict is Verdict.IN_DOUBT


@pytest.mark.parametrize("code", ["BRAND_NEW", "UNSPECIFIED", "insufficient_balance"])
def test_a_code_nobody_knows_proves_nothing_and_passes_through(code: str) -> None:
    found = conclude([Replied(reference(code))], replay=False, budget=BUDGET)
    assert found.verdict is Verdict.IN_DOUBT
    assert found.refusal is not None
    assert found.refusal.code == code


def answer(**billing: Any) -> Answer:
    return Answer("c", {"ok": 1}, Billing(**billing))


@pytest.mark.parametrize(
    ("billing", "verdict", "amount"),
    [
        ({"charged": True, "amount": MicroUSDC(5_000)}, Verdict.CHARGED, 5_000),
        ({"charged": True, "amount": None}, Verdict.CHARGED, BUDGET),
        ({"charged": None, "amount": None}, Verdict.CHARGED, BUDGET),
        ({"charged": False, "amount": MicroUSDC(0)}, Verdict.NOT_CHARGED, 0),
        ({"charged": False}, Verdict.NOT_CHARGED, 0),
    ],
)
@pytest.mark.parametrize("before", [[], [Lost(sent=True, reason="x")], [Replied(reference("INTERNAL_ERROR"))]])
def test_a_success_is_definitive_whichever_attempt_fetched_it(
    billing: dict[str, Any], verdict: Verdict, amount: int, before: list[Evidence]
) -> None:
    for replay in (False, True):
        found = conclude([*before, Replied(answer(**billing))], replay=replay, budget=BUDGET)
        assert (found.verdict, found.amount, found.refusal) == (verdict, amount, None)
        assert found.answer is not None
        assert found.answer.output == {"ok": 1}


@pytest.mark.parametrize("billing", [{"amount": MicroUSDC(5_000)}, {"reference": "tx_1"}])
@pytest.mark.parametrize(
    ("before", "replay", "verdict"),
    [
        ([], False, Verdict.NOT_CHARGED),
        ([Lost(sent=False, reason="x")], False, Verdict.NOT_CHARGED),
        ([Replied(reference("PROVIDER_ERROR"))], False, Verdict.NOT_CHARGED),
        ([], True, Verdict.IN_DOUBT),
        ([Lost(sent=True, reason="x")], False, Verdict.IN_DOUBT),
        ([Replied(reference("INTERNAL_ERROR"))], False, Verdict.IN_DOUBT),
        ([Unreadable(502, "x"), Replied(reference("PROVIDER_ERROR"))], False, Verdict.IN_DOUBT),
    ],
)
def test_a_bill_said_not_to_be_charged_may_mean_not_again_where_an_attempt_before_it_is_open(
    billing: dict[str, Any], before: list[Evidence], replay: bool, verdict: Verdict
) -> None:
    free = answer(charged=False, **billing)
    found = conclude([*before, Replied(free)], replay=replay, budget=BUDGET)
    assert (found.verdict, found.amount, found.answer, found.refusal) == (verdict, 0, free, None)
    later = conclude([*before, Replied(free), Lost(sent=True, reason="x")], replay=replay, budget=BUDGET)
    assert later.verdict is verdict, "what came after it says nothing about it"


def test_a_failure_that_says_it_charged_is_believed() -> None:
    def said(code: str, *, charged: bool) -> Refusal:
        billing = {"charged": charged, "amount_usdc": 5, "transaction_id": "tx"}
        body = {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No."}, "billing": billing}
        reply = parse_answer(json.dumps(body).encode(), {}, 500)
        assert isinstance(reply, Refusal)
        return reply

    charged = conclude([Replied(said("PROVIDER_ERROR", charged=True))], replay=False, budget=BUDGET)
    assert (charged.verdict, charged.amount, charged.reference) == (Verdict.CHARGED, 5_000_000, "tx")
    assert charged.refusal is not None
    free = said("INTERNAL_ERROR", charged=False)
    assert conclude([Replied(free)], replay=False, budget=BUDGET).verdict is Verdict.NOT_CHARGED
    assert (
        conclude([Lost(sent=True, reason="x"), Replied(free)], replay=False, budget=BUDGET).verdict is Verdict.IN_DOUBT
    )


def nonce_replay() -> Refusal:
    error = {"code": "PROVENANCE_MISMATCH", "message": "No.", "details": {"subcause": "nonce_replay"}}
    return parse_refusal({"jecp": "1.0", "status": "failed", "error": error}, status=403)


@pytest.mark.parametrize("refusal", [reference("DUPLICATE_REQUEST"), nonce_replay()], ids=["409", "nonce_replay"])
def test_on_a_replay_a_known_id_or_nonce_proves_only_that_the_first_attempt_arrived(refusal: Refusal) -> None:
    lost: Evidence = Lost(sent=True, reason="the connection was lost")
    found = conclude([lost, Replied(refusal)], replay=False, budget=BUDGET)
    assert found.verdict is Verdict.IN_DOUBT
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.details) == ("HUB_LOST_ANSWER", {"last_answer": refusal.code})
    assert "the connection was lost" in found.refusal.message


@pytest.mark.parametrize("refusal", [nonce_replay(), reference("STREAM_IN_PROGRESS")], ids=["nonce", "stream"])
def test_a_nonce_or_an_id_that_was_seen_leaves_the_only_attempt_that_is_known_of_in_doubt(refusal: Refusal) -> None:
    found = conclude([Replied(refusal)], replay=False, budget=BUDGET)
    assert (found.verdict, found.amount, found.refusal) == (Verdict.IN_DOUBT, 0, refusal)


def test_the_words_for_doubt_are_those_of_the_attempt_that_left_it() -> None:
    html = Unreadable(502, "HTTP 502: the body is not JSON")
    unsent: Evidence = Lost(sent=False, reason="refused")
    cases: list[tuple[list[Evidence], str]] = [
        ([html], "HUB_MISBEHAVED"),
        ([Lost(sent=True, reason="x"), html], "HUB_MISBEHAVED"),
        ([html, Lost(sent=True, reason="x")], "HUB_LOST_ANSWER"),
        ([Replied(reference("INTERNAL_ERROR")), unsent], "INTERNAL_ERROR"),
        ([Lost(sent=True, reason="x"), Replied(reference("INTERNAL_ERROR"))], "INTERNAL_ERROR"),
        ([html, Replied(reference("INSUFFICIENT_BALANCE"))], "HUB_MISBEHAVED"),
    ]
    for attempts, code in cases:
        found = conclude(attempts, replay=False, budget=BUDGET)
        assert found.refusal is not None
        assert (found.verdict, found.refusal.code) == (Verdict.IN_DOUBT, code)
        if found.refusal.source == "bridge":
            assert "0.007 USDC stay held" in found.refusal.message


def test_nothing_sent_is_nothing_charged_unless_an_earlier_attempt_is_open() -> None:
    unsent: list[Evidence] = [Lost(sent=False, reason="the Hub cannot be reached")] * 3
    found = conclude(unsent, replay=False, budget=BUDGET)
    assert found.refusal is not None
    assert (found.verdict, found.refusal.code, found.attempts) == (Verdict.NOT_CHARGED, "HUB_UNREACHABLE", 0)
    assert conclude(unsent, replay=True, budget=BUDGET).verdict is Verdict.IN_DOUBT
    refused = conclude([Replied(reference("PROVIDER_ERROR")), unsent[0]], replay=False, budget=BUDGET)
    assert refused.refusal is not None
    assert (refused.verdict, refused.refusal.code) == (Verdict.NOT_CHARGED, "PROVIDER_ERROR")


evidence: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(Lost, sent=st.booleans(), reason=st.just("x"), again=st.booleans()),
    st.builds(Unreadable, st.sampled_from([200, 404, 502]), st.just("x")),
    st.sampled_from([entry.code for entry in CODES.values()] + ["NEW_CODE"]).map(lambda code: Replied(reference(code))),
    st.just(Replied(nonce_replay())),
    st.sampled_from([True, False, None]).map(lambda charged: Replied(answer(charged=charged))),
)


@given(st.lists(evidence, min_size=1, max_size=6), st.booleans())
def test_money_is_released_only_on_proof(attempts: list[Evidence], replay: bool) -> None:
    found = conclude(attempts, replay=replay, budget=BUDGET)
    answers = [one.reply for one in attempts if isinstance(one, Replied) and isinstance(one.reply, Answer)]
    unproven = replay or any(
        isinstance(one, Unreadable)
        or (isinstance(one, Lost) and one.sent)
        or (isinstance(one, Replied) and isinstance(one.reply, Refusal) and one.reply.code in OPEN_CODES | {"NEW_CODE"})
        or one == Replied(nonce_replay())
        for one in attempts
    )
    assert (found.answer is None) != (found.refusal is None)
    assert (found.answer is not None) == bool(answers)
    if found.verdict is Verdict.NOT_CHARGED:
        assert found.amount == 0
        assert not unproven or (found.answer is not None and found.answer.billing.charged is False)
    if unproven and not answers:
        assert found.verdict is Verdict.IN_DOUBT
    if found.verdict is Verdict.CHARGED:
        assert found.amount == BUDGET
    assert found.attempts == sum(not isinstance(one, Lost) or one.sent for one in attempts)


@given(st.lists(evidence, min_size=40, max_size=40), st.booleans(), st.floats(0, 1))
def test_every_call_ends_after_a_few_attempts(stream: list[Evidence], replay: bool, jitter: float) -> None:
    attempts: list[Evidence] = []
    waited = 0.0
    for one in stream:
        attempts.append(one)
        wait = next_wait(attempts, replay=replay, jitter=jitter, left=1e9)
        if wait is None:
            break
        assert 0 <= wait <= MOST_WAIT
        waited += wait
    sent = [one for one in attempts if not (isinstance(one, Lost) and not one.sent)]
    assert len(sent) <= MAX_REPLAYS + 1
    assert len(attempts) - len(sent) <= MAX_UNSENT
    assert waited <= (MAX_REPLAYS + MAX_UNSENT) * MOST_WAIT


def wait_after(*attempts: Evidence, replay: bool = False, left: float = 100.0) -> float | None:
    return next_wait(attempts, replay=replay, jitter=0.5, left=left)


def waiting(code: str, seconds: int | None) -> Replied:
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    body = {"jecp": "1.0", "status": "failed", "error": {"code": code, "message": "No."}}
    return Replied(parse_refusal(body, status=429, headers=headers))


def test_waits_grow_and_the_hubs_own_wait_is_honoured() -> None:
    lost: Evidence = Lost(sent=True, reason="x")
    waits = [wait_after(*[lost] * count) for count in (1, 2, 3, 4)]
    assert waits == [pytest.approx(0.2), pytest.approx(0.6), pytest.approx(1.8), None]
    assert wait_after(waiting("RATE_LIMITED", 5)) == pytest.approx(5.25)
    assert wait_after(waiting("RATE_LIMITED", 6)) is None
    assert wait_after(waiting("RATE_LIMITED", None)) == pytest.approx(0.2)
    assert wait_after(waiting("SERVICE_DEGRADED", 3)) == pytest.approx(3.25)
    assert wait_after(waiting("SERVICE_DEGRADED", 30)) is None


def test_no_attempt_begins_that_has_no_time_left() -> None:
    lost: Evidence = Lost(sent=True, reason="x")
    assert wait_after(lost, left=1.3) is not None
    assert wait_after(lost, left=1.1) is None
    assert wait_after(waiting("RATE_LIMITED", 3), left=4.0) is None


NEVER_AGAIN = [
    "INSUFFICIENT_BALANCE", "INSUFFICIENT_BUDGET", "INVALID_API_KEY", "INPUT_SCHEMA_VIOLATION", "DUPLICATE_REQUEST",
    "CAPABILITY_DEPRECATED", "INSUFFICIENT_TRUST", "URL_BLOCKED_SSRF", "X402_SETTLEMENT_TIMEOUT", "NOT_STREAMABLE",
    "BRAND_NEW",
]  # fmt: skip


@pytest.mark.parametrize("code", NEVER_AGAIN)
@pytest.mark.requirement("ERROR-5-1")
def test_a_refusal_that_stands_is_not_asked_for_again(code: str) -> None:
    assert wait_after(Replied(reference(code))) is None
    assert wait_after(Lost(sent=True, reason="x"), Replied(reference(code))) is None


def test_an_uncharged_failure_gets_one_more_try_and_a_doubtful_one_three() -> None:
    provider: Evidence = Replied(reference("PROVIDER_ERROR"))
    assert wait_after(provider) is not None
    assert wait_after(provider, provider) is None
    internal: Evidence = Replied(reference("INTERNAL_ERROR"))
    assert wait_after(internal, internal, internal) is not None
    assert wait_after(internal, internal, internal, internal) is None
    assert wait_after(Lost(sent=True, reason="too long", again=False)) is None
    assert wait_after(Replied(answer(charged=True))) is None


def test_a_stream_still_running_for_an_earlier_attempt_is_waited_for() -> None:
    lost: Evidence = Lost(sent=True, reason="x")
    running = waiting("STREAM_IN_PROGRESS", 20)
    assert wait_after(lost, running) == pytest.approx(20.25), "it is this very call that is still running"
    assert wait_after(lost, running, left=20.0) is None
    assert wait_after(running) is None
    assert conclude([lost, running], replay=False, budget=BUDGET).verdict is Verdict.IN_DOUBT


def test_with_provenance_a_proven_free_failure_is_left_at_that() -> None:
    provider: Evidence = Replied(reference("PROVIDER_ERROR"))
    lost: Evidence = Lost(sent=True, reason="x")
    assert next_wait([provider], replay=False, jitter=0.5, left=100.0, provenance=True) is None
    assert next_wait([lost], replay=False, jitter=0.5, left=100.0, provenance=True) is not None


@pytest.mark.parametrize("code", ["PROVENANCE_MISMATCH", "X402_PAYMENT_INVALID", "X402_SETTLEMENT_REUSED"])
@pytest.mark.requirement("ERROR-PROVENANCE_MISMATCH-2", "ERROR-3.8-2", "ERROR-3.8.6-2")
def test_a_subcause_nobody_knows_counts_as_the_code_alone(code: str) -> None:
    def concluded(**details: object) -> tuple[object, ...]:
        said = parse_refusal({"code": code, "message": "No.", "details": details}, status=403)
        found = conclude([Replied(said)], replay=False, budget=BUDGET)
        return said.code, found.verdict, found.amount, wait_after(Replied(said))

    assert concluded(subcause="invented_last_week") == concluded()

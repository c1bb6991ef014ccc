"""Why the bridge did not make a call: the code, who says it, and the amounts and instants that go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls import consent_refusals, refusals
from jecp_mcp.calls.ends import charge_of, conclusion, ended, refused, standing
from jecp_mcp.calls.ports import Charge, Question
from jecp_mcp.calls.stored import dump_answer
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import UNREAD, Outcome, Verdict
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import ClockWentBack, LedgerDamaged, LedgerError, LedgerUnavailable, WireError
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import CallRow, Meter, NotGood, OverLimit
from jecp_mcp.mandate.states import OPEN, State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import ZERO, MicroUSDC

AT = UnixMs(1_800_000_000_000)
SINCE = "2027-01-15T08:00:00.000Z"
ACTION = Offer("docs/pdf", "make", "docs", Price(MicroUSDC(5_000)))
ANSWER = Answer("call_1", {"ok": 1}, Billing(True, MicroUSDC(30), MicroUSDC(9), "tx_1"))
NO = Refusal("INSUFFICIENT_BALANCE", "empty")


def _quote(amount: int | None) -> Quote:
    kind = QuoteKind.UNKNOWN if amount is None else QuoteKind.EXACT
    return Quote(MicroUSDC(amount or 0), kind, "docs", "hub agent")


ASKED = Question(
    "local", "docs", "hub agent", "docs/pdf:make", MicroUSDC(70), QuoteKind.EXACT, "", "f", "It is dear.", {}
)


def gone(kind: GrantKind, *, found: bool = False) -> NotGood:
    grant = Grant(kind, "AB-CD", "local", "f", GrantState.USED, b"{}", AT, AT)
    return NotGood(GrantRef(kind, "AB-CD"), grant if found else None)


def row(state: State, *, attempts: int = 1, answer: bytes | None = None) -> CallRow:
    return CallRow(
        number=1, call_id="call_1", principal="local", team=None, session="s", owner="s", claim=0, rail="jecp",
        account="hub agent", tool="t", payee="docs", source="hub", offer="docs/pdf:make", names=(), version=None,
        kind="exact", terms="", sent_at=AT, look_again_at=None, provable_until=None, state=state, quoted=MicroUSDC(70), held=MicroUSDC(70), charged=MicroUSDC(30),
        refunded=ZERO, balance_after=MicroUSDC(9), reference="tx_1", evidence=None, attempts=attempts,
        created_at=AT, ended_at=None, answered=answer is not None, delivered=False, mark=None, fingerprint="f", request=b"",
        answer=answer,
    )  # fmt: skip


NAMED = replace(row(State.IN_DOUBT), offer="eu::docs/pdf:make", source="https://eu.example", account="https://eu.example agent")  # fmt: skip


def over(used: int, limit: int, resets_at: int | None) -> OverLimit:
    meter = Meter("k", Window.DAY, MicroUSDC(limit), "daily_usdc", "local")
    return OverLimit(meter, MicroUSDC(used), None if resets_at is None else UnixMs(resets_at))


SAID: list[tuple[Callable[[], Refusal], str, str]] = [
    (lambda: refusals.ledger_trouble(ClockWentBack("back")), "CLOCK_WRONG", "clock went back: back."),
    (lambda: refusals.ledger_trouble(LedgerDamaged("row 7")), "LEDGER_DAMAGED", "cannot be written: row 7."),
    (lambda: refusals.ledger_trouble(LedgerUnavailable("full")), "LEDGER_UNAVAILABLE", "cannot be written: full."),
    (lambda: refusals.unreadable(LedgerDamaged("row 7")), "LEDGER_DAMAGED", "cannot be read: row 7. Whether this call was"),
    (lambda: refusals.unreadable(LedgerUnavailable("gone")), "LEDGER_UNAVAILABLE", "cannot be read: gone. Whether"),
    (lambda: refusals.clock_wrong(400.4), "CLOCK_WRONG", "is 400 seconds ahead of the Hub's"),
    (lambda: refusals.clock_wrong(-400.4), "CLOCK_WRONG", "is 400 seconds behind the Hub's"),
    (lambda: refusals.clock_wrong(0.7), "CLOCK_WRONG", "is 1 seconds ahead of the Hub's"),
    (lambda: refusals.no_rail(ACTION), "NO_WAY_TO_PAY", "no way to pay for docs/pdf:make, which only"),
    (refusals.still_running, "CALL_IN_PROGRESS", "its payee may still work on it. Whether it is charged is not known"),
    (lambda: refusals.unwritable(WireError("too large")), "INVALID_REQUEST", "cannot be sent: too large. Nothing was"),
    (lambda: refusals.in_progress(row(State.SENT)), "CALL_IN_PROGRESS", f"already running (since {SINCE})"),
    (lambda: refusals.in_doubt(row(State.IN_DOUBT)), "CALL_IN_DOUBT", f"call of {SINCE} was sent and its answer was"),
    (lambda: refusals.held_back(row(State.IN_DOUBT), NO, AT), "CALL_IN_DOUBT", "to find out (INSUFFICIENT_BALANCE). 0.00007"),
    (lambda: refusals.account_not_here(row(State.IN_DOUBT)), "ACCOUNT_NOT_HERE", "by another account (hub agent)"),
    (lambda: refusals.account_not_here(replace(row(State.IN_DOUBT), account="a" * 201)), "ACCOUNT_NOT_HERE", f"({'a' * 200}) and"),
    (lambda: refusals.account_not_here(NAMED), "ACCOUNT_NOT_HERE", "by another account (agent at eu) and"),
    (lambda: refusals.payer_not_here(row(State.IN_DOUBT)), "ACCOUNT_NOT_HERE", f"The call of {SINCE} may have been paid by a wallet whose key is not here, and its answer was lost. 0.00007 USDC stay held. A server that runs with that key can"),
    (refusals.taken_over, "CALL_IN_PROGRESS", "Another process has taken this call over. Whether it was charged is not"),
    (lambda: refusals.clock_leapt(400.4), "CLOCK_WRONG", "leapt 400 seconds ahead since this server started, and no Hub"),
    (lambda: refusals.clock_leapt(-400.4), "CLOCK_WRONG", "leapt 400 seconds back since"),
    (lambda: refusals.clocks_apart(400.4), "CLOCK_WRONG", "is 400 seconds ahead of the ledger server's, so one of them"),
    (lambda: refusals.clocks_apart(-400.4), "CLOCK_WRONG", "is 400 seconds behind the ledger server's"),
    (lambda: refusals.clocks_apart(0.7), "CLOCK_WRONG", "is 1 seconds ahead of the ledger server's"),
    (lambda: refusals.clock_leapt(0.7), "CLOCK_WRONG", "leapt 1 seconds ahead since"),
    (lambda: refusals.clock_leapt(400.4), "CLOCK_WRONG", "If the clock is right now, the operator must restart this server."),
    (refusals.clock_set_back, "CLOCK_WRONG", "was set back while the call was under way"),
    (refusals.ledger_too_slow, "LEDGER_UNAVAILABLE", "takes minutes to answer. Nothing was sent"),
    (lambda: refusals.left_running(70), "SHUTTING_DOWN", "0.00007 USDC stay held"),
    (refusals.bridge_fault, "BRIDGE_FAULT", "Whether it was charged is not known"),
    (lambda: refusals.shutting_down(ACTION), "SHUTTING_DOWN", "docs/pdf:make was not called. Nothing was charged."),
    (lambda: refusals.limit_reached(over(30, 100, None), 90), "LIMIT_REACHED", "leaves 0.00007 USDC and this call needs 0.00009."),
    (lambda: refusals.standing(row(State.SETTLED)), "CALL_OVER", "its answer was not kept. It was charged 0.00003 USDC."),
    (lambda: refusals.standing(replace(row(State.SETTLED), answered=True)), "CALL_OVER", f"of {SINCE} was paid for and its answer was not kept, and its answer was dropped since ("),
    (lambda: refusals.standing(replace(row(State.SETTLED), evidence=f"so{UNREAD}")), "CALL_OVER", ". It was charged; how much cannot be read, so 0.00003 USDC count"),
    (lambda: refusals.standing(row(State.RECONCILED_CHARGED)), "CALL_OVER", "It was charged 0.00003 USDC."),
    (lambda: refusals.standing(row(State.RELEASED)), "CALL_OVER", "ended without an answer. It was not charged."),
    (lambda: refusals.standing(row(State.RECONCILED_FREE)), "CALL_OVER", "It was not charged."),
    (lambda: refusals.standing(row(State.WRITTEN_OFF)), "CALL_WRITTEN_OFF", "0.00007 USDC count as spent."),
    (lambda: consent_refusals.approval_required(ASKED, "AB-CD", AT, "no host"), "APPROVAL_REQUIRED", "in the chat: no host. Nothing was"),
    (lambda: consent_refusals.approval_required(ASKED, "AB-CD", AT, ""), "APPROVAL_REQUIRED", "in the chat: nobody answered. Nothing"),
    (lambda: consent_refusals.approval_required(ASKED, "AB-CD", AT, ""), "APPROVAL_REQUIRED", f"Until {SINCE} the user can"),
    (lambda: consent_refusals.approval_pending(ASKED), "APPROVAL_PENDING", "It is dear. The user is being asked. Nothing was"),
    (lambda: consent_refusals.approval_denied(ASKED), "APPROVAL_DENIED", "refused to pay 0.00007 USDC for docs/pdf:make. Nothing"),
    (consent_refusals.prepared_unknown, "PREPARED_NOT_FOUND", "Nothing was charged."),
    (lambda: consent_refusals.prepared_expired(AT), "PREPARED_EXPIRED", f"expired at {SINCE}. Nothing was charged."),
    (consent_refusals.prepared_superseded, "PREPARED_SUPERSEDED", "Nothing was charged."),
    (lambda: consent_refusals.price_changed("docs/pdf:make", _quote(70), _quote(None)), "PRICE_CHANGED", "was prepared at 0.00007 USDC and costs an unknown price now."),
    (lambda: consent_refusals.price_changed("docs/pdf:make", _quote(70), _quote(80)), "PRICE_CHANGED", "at 0.00007 USDC and costs 0.00008 USDC now."),
    (lambda: consent_refusals.price_changed("docs/pdf:make", _quote(70), _quote(70)), "PRICE_CHANGED", "has another version or kind of price since"),
    (lambda: consent_refusals.not_good(gone(GrantKind.PREPARED)), "PREPARED_NOT_FOUND", "Nothing was charged."),
    (lambda: consent_refusals.not_good(gone(GrantKind.PREPARED, found=True)), "PREPARED_SUPERSEDED", "Nothing was charged."),
    (lambda: consent_refusals.not_good(gone(GrantKind.APPROVAL)), "APPROVAL_SPENT", "Nothing was charged."),
    (lambda: consent_refusals.not_good(gone(GrantKind.LIMIT, found=True)), "APPROVAL_SPENT", "Nothing was charged."),
]  # fmt: skip


@pytest.mark.parametrize(("made", "code", "words"), SAID)
def test_each_refusal_is_the_bridges_own_word_and_says_what_it_rests_on(
    made: Callable[[], Refusal], code: str, words: str
) -> None:
    said = made()
    assert (said.code, said.source, said.http_status) == (code, "bridge", None)
    assert words in said.message
    assert said.message[0].isupper() or said.message.startswith(ACTION.key)
    assert said.message.endswith(".")


@pytest.mark.parametrize(
    ("made", "details"),
    [
        (lambda: refusals.clock_wrong(-400.4), {"skew_seconds": -400}),
        (lambda: refusals.clock_leapt(-400.4), {"leap_seconds": -400}),
        (lambda: refusals.clocks_apart(-400.4), {"skew_seconds": -400}),
        (lambda: refusals.in_progress(row(State.SENT)), {"since": SINCE}),
        (lambda: refusals.in_doubt(row(State.IN_DOUBT)), {"since": SINCE, "held_usdc": "0.00007"}),
        (
            lambda: refusals.held_back(row(State.IN_DOUBT), NO, AT),
            {"since": SINCE, "held_usdc": "0.00007", "because": "INSUFFICIENT_BALANCE", "look_again_at": SINCE},
        ),
        (
            lambda: refusals.held_back(row(State.IN_DOUBT), NO, None),
            {"since": SINCE, "held_usdc": "0.00007", "because": "INSUFFICIENT_BALANCE"},
        ),
        (
            lambda: refusals.account_not_here(row(State.IN_DOUBT)),
            {"since": SINCE, "held_usdc": "0.00007", "account": "hub agent"},
        ),
        (
            lambda: refusals.account_not_here(replace(row(State.IN_DOUBT), account="a" * 201)),
            {"since": SINCE, "held_usdc": "0.00007", "account": "a" * 200},
        ),
        (
            lambda: refusals.payer_not_here(row(State.IN_DOUBT)),
            {"since": SINCE, "held_usdc": "0.00007", "account": "hub agent"},
        ),
        (lambda: refusals.no_rail(ACTION), {"source": ACTION.source}),
        (lambda: refusals.standing(row(State.WRITTEN_OFF)), {"since": SINCE, "state": "written_off"}),
        (
            lambda: consent_refusals.approval_required(ASKED, "AB-CD", AT, ""),
            {"approval_code": "AB-CD", "amount_usdc": "0.00007", "expires_at": SINCE},
        ),
        (lambda: consent_refusals.approval_pending(ASKED), {"amount_usdc": "0.00007"}),
        (lambda: consent_refusals.approval_denied(ASKED), {"amount_usdc": "0.00007"}),
        (lambda: consent_refusals.prepared_expired(AT), {"expired_at": SINCE}),
        (
            lambda: consent_refusals.price_changed("k", _quote(70), _quote(80)),
            {"was_usdc": "0.00007", "now_usdc": "0.00008"},
        ),
        (
            lambda: consent_refusals.price_changed("k", _quote(None), _quote(70)),
            {"was_usdc": None, "now_usdc": "0.00007"},
        ),
    ],
)
def test_the_details_are_for_programs(made: Callable[[], Refusal], details: dict[str, object]) -> None:
    assert made().details == details


def test_a_full_limit_says_what_is_left_and_when_more_returns() -> None:
    said = refusals.limit_reached(over(90, 100, AT), 20)
    assert said.details == {
        "limit": "daily_usdc", "limit_usdc": "0.0001", "used_usdc": "0.00009", "remaining_usdc": "0.00001",
        "needed_usdc": "0.00002", "resets_at": SINCE,
    }  # fmt: skip
    assert said.message.endswith(f"Nothing was charged. Enough room returns at {SINCE}.")


@pytest.mark.parametrize(
    ("hold", "resets_at", "when"),
    [
        (100, AT, f"Enough room returns at {SINCE}."),
        (100, None, "It does not refill by itself."),
        (101, AT, "That is more than the whole limit."),
    ],
)
def test_waiting_is_advised_only_where_it_helps(hold: int, resets_at: int | None, when: str) -> None:
    said = refusals.limit_reached(over(90, 100, resets_at), hold)
    assert said.message.endswith(when)
    assert ("resets_at" in said.details) is when.startswith("Enough room")


def test_a_limit_that_was_passed_leaves_nothing_and_not_less() -> None:
    assert refusals.limit_reached(over(150, 100, None), 1).details["remaining_usdc"] == "0.00"
    assert refusals.limit_reached(over(100, 100, None), 1).details["remaining_usdc"] == "0.00"


def test_a_call_that_was_never_sent_names_its_action_and_costs_nothing() -> None:
    end = refused(NO, ACTION)
    assert (end.charge, end.call_id, end.offer, end.refusal, end.amount) == (Charge.NO, None, ACTION, NO, 0)


CHARGED = Outcome(Verdict.CHARGED, MicroUSDC(30), ANSWER, None, "said so", 2, "tx_1")
FREE = Outcome(Verdict.NOT_CHARGED, MicroUSDC(30), None, NO, "refused", 1, "tx_2")
LOST = Outcome(Verdict.IN_DOUBT, MicroUSDC(30), None, NO, "lost", 3)


@pytest.mark.parametrize(
    ("outcome", "amount", "charge", "held", "balance"),
    [
        (CHARGED, 30, Charge.YES, 0, 9),
        (FREE, 0, Charge.NO, 0, None),
        (LOST, 0, Charge.UNKNOWN, 70, None),
    ],
)
def test_an_outcome_reads_the_same_to_the_ledger_and_to_the_caller(
    outcome: Outcome, amount: int, charge: Charge, held: int, balance: int | None
) -> None:
    told = conclusion("call_1", outcome, 3, AT)
    assert (told.call_id, told.verdict, told.charged, told.balance_after) == (
        "call_1",
        outcome.verdict,
        amount,
        balance,
    )
    assert (told.claim, told.proven, told.look_again_at, told.refunded) == (3, True, None, 0)
    assert (told.reference, told.evidence, told.attempts) == (
        outcome.reference, outcome.evidence, outcome.attempts,
    )  # fmt: skip
    end = ended("call_1", ACTION, outcome, MicroUSDC(70))
    assert (end.call_id, end.offer, end.charge, end.amount, end.held) == ("call_1", ACTION, charge, amount, held)
    assert (end.reserved, end.balance_after, end.reference) == (70, balance, outcome.reference)
    assert (end.answer, end.refusal, end.stored) == (outcome.answer, outcome.refusal, False)


def test_the_ledger_is_told_what_came_back_and_that_a_charge_is_only_assumed() -> None:
    told = conclusion("call_1", replace(CHARGED, proven=False, refunded=MicroUSDC(7)), 0, AT)
    assert (told.charged, told.refunded, told.proven) == (30, 7, False)


def test_an_answer_that_cannot_be_written_down_still_proves_its_charge() -> None:
    unwritable = Answer("call_1", float("nan"), ANSWER.billing)
    told = conclusion("call_1", Outcome(Verdict.CHARGED, MicroUSDC(30), unwritable, None, "said so"), 0, AT)
    assert (told.verdict, told.charged, told.answer) == (Verdict.CHARGED, 30, None)
    assert told.evidence is not None
    assert told.evidence.startswith("said so; the answer was not kept: ")


@pytest.mark.parametrize(
    ("state", "charge", "amount", "held"),
    [
        (State.RESERVED, Charge.UNKNOWN, 0, 70),
        (State.SENT, Charge.UNKNOWN, 0, 70),
        (State.IN_DOUBT, Charge.UNKNOWN, 0, 70),
        (State.WRITTEN_OFF, Charge.UNKNOWN, 0, 70),
        (State.SETTLED, Charge.YES, 30, 0),
        (State.RECONCILED_CHARGED, Charge.YES, 30, 0),
        (State.RELEASED, Charge.NO, 0, 0),
        (State.RECONCILED_FREE, Charge.NO, 0, 0),
    ],
)
def test_a_row_is_told_as_charged_free_or_unknown_and_never_as_more_than_is_proven(
    state: State, charge: Charge, amount: int, held: int
) -> None:
    assert charge_of(row(state)) is charge
    end = standing(row(state))
    assert (end.call_id, end.charge, end.amount, end.held) == ("call_1", charge, amount, held)
    assert (end.reserved, end.balance_after, end.reference, end.stored) == (70, 9, "tx_1", True)
    assert standing(replace(row(state), refunded=MicroUSDC(7))).refunded == (7 if charge is Charge.YES else 0)
    assert end.answer is None
    assert end.refusal is not None
    assert end.refusal.code.startswith("CALL_IN_" if state in OPEN else ("CALL_OVER", "CALL_WRITTEN_OFF"))


@pytest.mark.parametrize("delivered", [True, False])
def test_a_row_says_whether_its_answer_was_delivered(delivered: bool) -> None:
    assert standing(replace(row(State.SETTLED), delivered=delivered)).delivered is delivered


def test_a_kept_answer_is_told_instead_of_a_refusal() -> None:
    end = standing(row(State.SETTLED, answer=dump_answer(ANSWER)))
    assert end.answer is not None
    assert (end.answer.output, end.refusal) == ({"ok": 1}, None)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [(0, 1_000), (999, 1_000), (1_001, 1_001), (86_400_000, 86_400_000), (90_000_000, 86_400_000)],
)
def test_a_payee_is_asked_again_within_a_second_and_a_day_whatever_its_rail_says(wanted: int, told: int) -> None:
    outcome = replace(LOST, look_again_at=UnixMs(AT + wanted))
    assert conclusion("call_1", outcome, 0, AT).look_again_at == AT + told


@pytest.mark.parametrize("verdict", [Verdict.IN_DOUBT, Verdict.PENDING])
def test_what_is_not_over_stays_held(verdict: Verdict) -> None:
    end = ended("call_1", ACTION, replace(LOST, verdict=verdict), MicroUSDC(70))
    assert (end.charge, end.held, end.amount) == (Charge.UNKNOWN, 70, 0)


@pytest.mark.parametrize(("amount", "excessive"), [(69, False), (70, False), (71, True)])
def test_a_charge_above_the_hold_is_said_to_be_one(amount: int, excessive: bool) -> None:
    assert ended("call_1", ACTION, replace(CHARGED, amount=MicroUSDC(amount)), MicroUSDC(70)).excessive is excessive
    assert not ended("call_1", ACTION, replace(LOST, amount=MicroUSDC(amount)), MicroUSDC(70)).excessive


@pytest.mark.parametrize(("came_back", "told"), [(0, 0), (30, 30), (70, 70), (71, 70)])
def test_of_a_charge_no_more_comes_back_than_it_was(came_back: int, told: int) -> None:
    outcome = replace(CHARGED, amount=MicroUSDC(70), refunded=MicroUSDC(came_back))
    assert ended("call_1", ACTION, outcome, MicroUSDC(70)).refunded == told


def test_a_question_is_known_by_everything_that_a_person_agreed_to() -> None:
    others = [
        replace(ASKED, principal="q"), replace(ASKED, payee="p"), replace(ASKED, action="docs/pdf:read"),
        replace(ASKED, amount=MicroUSDC(71)), replace(ASKED, kind=QuoteKind.FROM), replace(ASKED, fingerprint="g"),
        replace(ASKED, because="It is new."), replace(ASKED, account="hub another"),
    ]  # fmt: skip
    assert len({ASKED.digest, *(other.digest for other in others)}) == 9
    assert replace(ASKED, arguments={"x": 1}).digest == ASKED.digest, "the fingerprint stands for the arguments"


@pytest.mark.parametrize("told", [refusals.ledger_trouble, refusals.unreadable])
def test_how_a_ledger_is_mended_is_told_to_no_model_which_might_do_it(
    told: Callable[[LedgerError], Refusal], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite"

    async def fault() -> LedgerError | None:
        first = open_ledger(path)
        await first.totals()
        await first.close()
        path.unlink()
        ledger = open_ledger(path)
        try:
            return ledger.fault
        finally:
            await ledger.close()

    found = anyio.run(fault)
    assert isinstance(found, LedgerDamaged)
    assert "without one, a new ledger can be begun" in str(found)
    assert f"{path} is gone, though it was written before." in told(found).message
    assert "can be begun" not in told(found).message


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (QuoteKind.EXACT, "It costs 0.00007 USDC, above the 0.00005 you gave as the most."),
        (
            QuoteKind.FROM,
            "It may come to less, but is sold only where its listed price of 0.00007 USDC is allowed, above",
        ),
    ],
)
def test_a_price_above_the_most_that_was_given_is_told_beside_it(kind: QuoteKind, says: str) -> None:
    found = refusals.above_maximum(Quote(MicroUSDC(70), kind, "docs", "hub agent"), MicroUSDC(50))
    assert (found.code, found.source) == ("PRICE_ABOVE_MAXIMUM", "bridge")
    assert found.details == {"price_usdc": "0.00007", "max_usdc": "0.00005"}
    assert found.message.startswith(says)


@pytest.mark.parametrize(("state", "known"), [(State.IN_DOUBT, refusals.in_doubt), (State.SENT, refusals.in_progress)])
def test_no_further_copy_is_bought_while_one_is_open(state: State, known: Callable[[CallRow], Refusal]) -> None:
    found, first = refusals.copy_open(row(state)), known(row(state))
    assert (found.code, found.details, found.source) == (first.code, first.details, "bridge")
    assert found.message == f"{first.message} No other copy is bought before it is known what became of it."


@pytest.mark.parametrize(
    ("state", "refunded", "money"),
    [
        (State.SETTLED, 0, "was not kept. It was charged 0.00003 USDC."),
        (State.SETTLED, 29, "It was charged 0.00003 USDC. 0.000029 USDC of it came back, and counts as spent no more."),
        (State.SETTLED, 30, "It was charged 0.00003 USDC. All of it came back, and counts as spent no more."),
        (State.RECONCILED_CHARGED, 0, "was not kept. It was charged 0.00003 USDC."),
        (State.RECONCILED_CHARGED, 30, "USDC. All of it came back, and counts as spent no more."),
        (State.RELEASED, 0, "ended without an answer. It was not charged."),
        (State.RECONCILED_FREE, 0, "ended without an answer. It was not charged."),
        (State.WRITTEN_OFF, 0, "and the Hub no longer remembers it. 0.00007 USDC count as spent."),
    ],
)
def test_a_call_that_is_over_says_what_it_cost_and_what_of_it_came_back(
    state: State, refunded: int, money: str
) -> None:
    said = refusals.standing(replace(row(state), refunded=MicroUSDC(refunded)))
    assert said.message.endswith(money)

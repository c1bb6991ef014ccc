"""A person's consent: good for one call of exactly this payee, amount and arguments, and never taken for granted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import codes
from jecp_mcp.calls.approval import APPROVAL_MS, REFUSED_MS, Asked
from jecp_mcp.calls.display import MOST_DEPTH, MOST_SHOWN
from jecp_mcp.calls.ports import (
    CallEnd,
    Caller,
    Charge,
    Decision,
    Question,
    Reply,
)
from jecp_mcp.calls.prepared import Preparation
from jecp_mcp.calls.runs import Withdrawable
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate.grants import MOST_QUESTIONS, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from jecp_mcp.tools import approval_form
from tests.unit.calls.test_pipeline import (
    ACTION,
    PRICE,
    StillClock,
    always_charged,
    always_lost,
    buying,
    charged,
    opened,
    refused,
)

pytestmark = pytest.mark.anyio

DEAR = MandateSettings(daily_usdc="1.00", approve_above_usdc="0.05")
EVERY_STATE = frozenset(GrantState)


class Person:
    """Answers what it is asked, and remembers the questions."""

    can_ask = True

    def __init__(self, *words: Decision, reason: str = "") -> None:
        self.words, self.reason, self.asked = list(words), reason, list[Question]()

    async def approve(self, question: Question) -> Reply:
        self.asked.append(question)
        return Reply(self.words.pop(0), self.reason)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        raise AssertionError


def code_of(end: CallEnd) -> str:
    assert end.refusal is not None
    assert end.charge is Charge.NO
    code = end.refusal.details["approval_code"]
    assert isinstance(code, str)
    return code


def refusal_of(end: CallEnd) -> str:
    assert end.refusal is not None
    assert (end.charge, end.call_id) == (Charge.NO, None)
    return end.refusal.code


async def approve(ledger: Ledger, code: str, kind: GrantKind = GrantKind.APPROVAL) -> None:
    assert await ledger.answer_grant(GrantRef(kind, code), True, "granted at the terminal")


async def test_a_call_above_the_threshold_waits_for_a_person_under_one_code(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        first, second = [await calls.pay(buying(), Caller(LOCAL)) for _ in range(2)]
        totals = await ledger.totals()
    assert refusal_of(first) == codes.APPROVAL_REQUIRED
    assert code_of(first) == code_of(second)
    assert (rail.sent, totals.held) == ([], 0)


async def test_a_given_approval_pays_for_one_call_and_the_next_needs_another(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))
        await approve(ledger, code)
        paid = await calls.pay(buying(), Caller(LOCAL))
        calls.delivered(paid)
        grant = await ledger.grant(GrantRef(GrantKind.APPROVAL, code))
        again = await calls.pay(buying(), Caller(LOCAL))
    assert grant is not None
    assert (paid.charge, grant.state, grant.call_id) == (Charge.YES, GrantState.USED, paid.call_id)
    assert code_of(again) != code
    assert len(rail.sent) == 1


@pytest.mark.parametrize("other", ["arguments", "amount", "principal"])
async def test_an_approval_is_good_for_nothing_else(tmp_path: Path, other: str) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        await approve(ledger, code_of(await calls.pay(buying(x=1), Caller(LOCAL))))
        purchase, caller = buying(x=1), Caller(LOCAL)
        if other == "arguments":
            purchase = buying(x=2)
        elif other == "amount":
            dearer = replace(ACTION, price=Price(MicroUSDC(PRICE + 1)))
            purchase = Purchase(purchase.tool, dearer, purchase.arguments)
        else:
            caller = Caller(principal="another")
        end = await calls.pay(purchase, caller)
    assert refusal_of(end) == codes.APPROVAL_REQUIRED
    assert rail.sent == []


def at_price(price: int) -> Purchase:
    return replace(buying(), offer=replace(ACTION, price=Price(MicroUSDC(price))))


@pytest.mark.parametrize("new_payee", [False, True])
async def test_an_approval_is_good_for_the_same_at_less(tmp_path: Path, new_payee: bool) -> None:
    # Of a cheaper one a person is asked for another reason.
    mandate = DEAR.model_copy(update={"approve_above_usdc": MicroUSDC(90_000 if new_payee else 50_000)})
    mandate = mandate.model_copy(update={"approve_new_payees": new_payee})
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))
        assert code_of(await calls.pay(at_price(PRICE - 20_000), Caller(LOCAL))) == code
        await approve(ledger, code)
        end = await calls.pay(at_price(PRICE - 20_000), Caller(LOCAL))
        grant = await ledger.grant(GrantRef(GrantKind.APPROVAL, code))
    assert grant is not None
    assert (end.charge, rail.sent[0].hold, grant.call_id) == (Charge.YES, PRICE - 20_000, end.call_id)


async def test_what_was_refused_is_refused_for_more_and_asked_for_again_at_less(tmp_path: Path) -> None:
    person = Person(Decision.DECLINED, Decision.ACCEPTED)
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, _ledger):
        for price in (PRICE, PRICE + 1):
            end = await calls.pay(at_price(price), Caller(LOCAL, asker=person))
            assert refusal_of(end) == codes.APPROVAL_DENIED
        assert (await calls.pay(at_price(PRICE - 1), Caller(LOCAL, asker=person))).charge is Charge.YES
    assert [asked.amount for asked in person.asked] == [PRICE, PRICE - 1]


async def test_who_lets_one_limit_be_passed_for_so_much_lets_it_for_less_and_no_other(tmp_path: Path) -> None:
    mandate = MandateSettings(daily_usdc="0.15", hourly_usdc="0.17")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))
        await approve(ledger, code, GrantKind.LIMIT)
        # Both are full, and only one was spoken of.
        assert refusal_of(await calls.pay(at_price(PRICE - 10_000), Caller(LOCAL))) == codes.LIMIT_REACHED
        paid = await calls.pay(at_price(PRICE - 40_000), Caller(LOCAL))
    assert (paid.charge, len(rail.sent)) == (Charge.YES, 2)


async def test_an_approval_that_ran_out_is_asked_for_anew(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, mandate=DEAR, clock=clock) as (calls, rail, ledger):
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))
        await approve(ledger, code)
        clock.at += APPROVAL_MS
        assert code_of(await calls.pay(buying(), Caller(LOCAL))) != code
    assert rail.sent == []


async def test_an_approval_whose_call_cost_nothing_can_be_used_again(tmp_path: Path) -> None:
    async def refuse_the_first(request: StoredRequest, _replay: bool) -> Outcome:
        return refused() if len(rail.sent) == 1 else charged(request)

    async with opened(tmp_path, refuse_the_first, mandate=DEAR) as (calls, rail, ledger):
        await approve(ledger, code_of(await calls.pay(buying(), Caller(LOCAL))))
        free = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        paid = await calls.pay(buying(), Caller(LOCAL))
    assert (free.charge, paid.charge) == (Charge.NO, Charge.YES)


async def test_a_yes_in_the_host_buys_the_call_that_was_shown(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, _ledger):
        end = await calls.pay(buying(x=1), Caller(LOCAL, asker=person))
    assert end.charge is Charge.YES
    (asked,) = person.asked
    assert (asked.payee, asked.action, asked.amount, asked.kind.exact, asked.arguments) == (
        "docs", ACTION.key, PRICE, True, {"x": 1},
    )  # fmt: skip
    assert asked.because == (
        "A call that may cost 0.10 USDC needs the approval of a person, for the setting mandate.approve_above_usdc is "
        "0.05."
    )


async def test_a_yes_in_the_host_to_what_was_approved_at_the_terminal_meanwhile_is_that_one(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))

        class Both(Person):
            async def approve(self, question: Question) -> Reply:
                await approve(ledger, code)
                return await super().approve(question)

        end = await calls.pay(buying(), Caller(LOCAL, asker=Both(Decision.ACCEPTED)))
        await ledger.flush()
        grants = await ledger.grants(GrantKind.APPROVAL, states=EVERY_STATE)
    assert [(grant.grant_id, grant.state, grant.call_id) for grant in grants] == [(code, GrantState.USED, end.call_id)]
    assert len(rail.sent) == 1


async def test_a_no_in_the_host_stands_for_a_while_and_is_then_asked_again(tmp_path: Path) -> None:
    clock, person = StillClock(), Person(Decision.DECLINED, Decision.ACCEPTED)
    async with opened(tmp_path, always_charged, mandate=DEAR, clock=clock) as (calls, _rail, _ledger):
        caller = Caller(LOCAL, asker=person)
        assert refusal_of(await calls.pay(buying(), caller)) == codes.APPROVAL_DENIED
        clock.at += REFUSED_MS - 1
        assert refusal_of(await calls.pay(buying(), caller)) == codes.APPROVAL_DENIED
        assert len(person.asked) == 1
        clock.at += 1
        assert (await calls.pay(buying(), caller)).charge is Charge.YES


async def test_a_no_at_the_terminal_is_told_and_not_asked_for_in_the_host(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, ledger):
        code = code_of(await calls.pay(buying(), Caller(LOCAL)))
        assert await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, code), False, "refused at the terminal")
        assert refusal_of(await calls.pay(buying(), Caller(LOCAL, asker=person))) == codes.APPROVAL_DENIED
    assert person.asked == []


async def test_while_a_host_still_shows_the_question_nothing_is_held_or_written(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL, asker=Person(Decision.WAITING)))
        grants = await ledger.grants(GrantKind.APPROVAL, states=EVERY_STATE)
    assert (refusal_of(end), list(grants), rail.sent) == (codes.APPROVAL_PENDING, [], [])


@pytest.mark.parametrize("word", [Decision.CANCELLED, Decision.UNABLE])
async def test_no_plain_word_of_a_person_leaves_the_question_outside_the_chat(tmp_path: Path, word: Decision) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL, asker=Person(word, reason="the window was closed")))
        grant = await ledger.grant(GrantRef(GrantKind.APPROVAL, code_of(end)))
    assert grant is not None
    assert (grant.state, rail.sent) == (GrantState.ASKED, [])
    assert end.refusal is not None
    assert "the window was closed" in end.refusal.message


async def test_the_first_purchase_from_a_provider_needs_a_person_where_the_operator_says_so(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    mandate = MandateSettings(daily_usdc="1.00", approve_new_payees=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        first = await calls.pay(buying(n=1), Caller(LOCAL, asker=person))
        await ledger.flush()
        second = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
    assert (first.charge, second.charge, len(rail.sent)) == (Charge.YES, Charge.YES, 2)
    [asked] = person.asked
    assert asked.because == (
        "Nothing was ever bought from docs before, which needs the approval of a person, for the setting "
        "mandate.approve_new_payees is true."
    )


async def test_a_full_limit_lets_one_call_pass_by_a_word_outside_the_chat_and_counts_it(tmp_path: Path) -> None:
    person, mandate = Person(), MandateSettings(daily_usdc="0.15")
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        full = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
        assert refusal_of(full) == codes.LIMIT_REACHED
        await approve(ledger, code_of(full), GrantKind.LIMIT)
        passed = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
        third = await calls.pay(buying(n=3), Caller(LOCAL, asker=person))
        await ledger.flush()
        (day,) = await calls.reader(LOCAL).windows()
    assert person.asked == [], "whoever holds the chat is not asked for this"
    assert (passed.charge, refusal_of(third), len(rail.sent)) == (Charge.YES, codes.LIMIT_REACHED, 2)
    assert day.used == 2 * PRICE


@pytest.mark.parametrize(
    ("price", "exact"), [(Price(PRICE), True), (Price(PRICE, "per_token", metered=True), False), (Price(None), False)]
)
async def test_a_person_is_told_whether_the_amount_is_the_price_or_only_its_bound(
    tmp_path: Path, price: Price, exact: bool
) -> None:
    person = Person(Decision.ACCEPTED)
    mandate = MandateSettings(per_call_usdc="0.20", daily_usdc="1.00", approve_above_usdc="0.05", unknown_price="0.20")
    purchase = Purchase("docs_invoice_create", replace(ACTION, price=price), {})
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        end = await calls.pay(purchase, Caller(LOCAL, asker=person))
    (asked,) = person.asked
    assert (asked.kind.exact, asked.amount) == (exact, PRICE if exact else 200_000)
    wording = approval_form.wording(asked)
    assert wording is not None
    assert ("at most" in wording) is not exact
    assert (end.charge, [request.hold for request in rail.sent]) == (Charge.YES, [asked.amount])


@pytest.mark.parametrize(("word", "code"), [(Decision.ACCEPTED, None), (Decision.DECLINED, codes.APPROVAL_DENIED)])
async def test_where_the_operator_says_so_the_host_may_let_one_call_past_a_limit(
    tmp_path: Path, word: Decision, code: str | None
) -> None:
    person, mandate = Person(word), MandateSettings(daily_usdc="0.15", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, _rail, _ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        end = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
    assert [one.because for one in person.asked] == [
        "The limit daily_usdc of 0.15 USDC is full; this one call would go past it."
    ]
    assert (None if end.refusal is None else refusal_of(end)) == code


async def test_a_word_for_one_full_limit_does_not_lift_another(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    mandate = MandateSettings(hourly_usdc="0.15", daily_usdc="0.16", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        end = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
    assert (refusal_of(end), len(person.asked), len(rail.sent)) == (codes.LIMIT_REACHED, 1, 1)


async def test_two_who_want_the_same_at_once_are_asked_once_and_share_one_purchase(tmp_path: Path) -> None:
    asked, go_on, ends = anyio.Event(), anyio.Event(), list[CallEnd]()

    class Slow(Person):
        async def approve(self, question: Question) -> Reply:
            asked.set()
            await go_on.wait()
            return await super().approve(question)

    person, other = Slow(Decision.ACCEPTED), Person()
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):

        async def one(asker: Person) -> None:
            ends.append(await calls.pay(buying(), Caller(LOCAL, asker=asker)))

        async with anyio.create_task_group() as hosts:
            hosts.start_soon(one, person)
            await asked.wait()
            hosts.start_soon(one, other)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        await ledger.flush()
        totals = await ledger.totals()
        left = await ledger.grants(GrantKind.APPROVAL, states=frozenset({GrantState.GRANTED}))
    assert (len(person.asked), other.asked, list(left), len(rail.sent)) == (1, [], [], 1)
    assert [(end.charge, end.call_id) for end in ends] == [(Charge.YES, rail.sent[0].call_id)] * 2
    assert totals.charged == PRICE


@pytest.mark.parametrize("first", ["leaves", "cannot"])
async def test_who_waits_for_somebody_elses_person_is_asked_where_they_give_no_word(tmp_path: Path, first: str) -> None:
    asked, go_on, ends = anyio.Event(), anyio.Event(), list[CallEnd]()

    class Slow(Person):
        async def approve(self, question: Question) -> Reply:
            asked.set()
            await go_on.wait()
            return await super().approve(question)

    person, other = Slow(Decision.UNABLE), Person(Decision.ACCEPTED)
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, _ledger):

        async def one(asker: Person) -> None:
            ends.append(await calls.pay(buying(), Caller(LOCAL, asker=asker)))

        async with anyio.create_task_group() as hosts, anyio.create_task_group() as host:
            host.start_soon(one, person)
            await asked.wait()
            hosts.start_soon(one, other)
            await anyio.wait_all_tasks_blocked()
            if first == "leaves":
                host.cancel_scope.cancel()
            go_on.set()
    assert (len(other.asked), len(rail.sent), ends[-1].charge) == (1, 1, Charge.YES)


LONG = {"text": "x" * MOST_SHOWN}
DEEP: dict[str, object] = {"a": 1}
for _ in range(MOST_DEPTH):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize("given", [LONG, DEEP, {"n": 10**4_000}], ids=["long", "deep", "a number without end"])
async def test_what_cannot_be_shown_whole_cannot_be_approved(tmp_path: Path, given: dict[str, object]) -> None:
    person = Person()
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, ledger):
        paid = await calls.pay(buying(**given), Caller(LOCAL, asker=person))
        made = await calls.prepare(buying(**given), Caller(LOCAL, asker=person))
        grants = [await ledger.grants(kind, states=EVERY_STATE) for kind in GrantKind]
    assert isinstance(made, CallEnd)
    assert (refusal_of(paid), refusal_of(made)) == (codes.NOT_SHOWABLE, codes.NOT_SHOWABLE)
    assert (person.asked, grants, rail.sent) == ([], [[], [], []], [])


async def test_what_is_kept_of_a_question_and_cannot_be_read_is_damage(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, ledger):
        grant = await ledger.grant(GrantRef(GrantKind.APPROVAL, code_of(await calls.pay(buying(), Caller(LOCAL)))))
    assert grant is not None
    assert Asked.read(grant).arguments == "{}"
    for body in (b"", b"[]", b"{}", b'{"amount": "much"}', grant.body.replace(b"payee", b"payer")):
        with pytest.raises(LedgerDamaged, match=f"under {grant.grant_id} cannot be read, so it cannot be approved"):
            Asked.read(replace(grant, body=body))


async def test_what_cannot_be_shown_is_not_let_past_a_full_limit(tmp_path: Path) -> None:
    person, mandate = Person(), MandateSettings(daily_usdc="0.15", raise_limits_in_host=True)
    async with opened(tmp_path, always_charged, mandate=mandate) as (calls, rail, _ledger):
        calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
        full = await calls.pay(buying(**LONG), Caller(LOCAL, asker=person))
    assert refusal_of(full) == codes.LIMIT_REACHED
    assert full.refusal is not None
    assert "approval_code" not in full.refusal.details
    assert (person.asked, len(rail.sent)) == ([], 1)


async def test_the_order_in_which_arguments_are_given_makes_no_other_question(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, ledger):
        code = code_of(await calls.pay(buying(a=1, b=2), Caller(LOCAL)))
        assert code_of(await calls.pay(buying(b=2, a=1), Caller(LOCAL))) == code
        await approve(ledger, code)
        assert (await calls.pay(buying(b=2, a=1), Caller(LOCAL))).charge is Charge.YES


@pytest.mark.parametrize("many", [0, 1, MOST_QUESTIONS - 1, MOST_QUESTIONS, MOST_QUESTIONS + 1, 2 * MOST_QUESTIONS])
async def test_so_many_questions_wait_for_a_person_and_a_flood_adds_none(tmp_path: Path, many: int) -> None:
    clock = StillClock()
    async with opened(tmp_path, always_charged, mandate=DEAR, clock=clock) as (calls, rail, ledger):
        own = await calls.pay(buying(text="the user's own"), Caller(principal="another"))
        flood = [await calls.pay(buying(n=n), Caller(LOCAL)) for n in range(many)]
        waiting_codes = [code_of(end) for end in flood[:MOST_QUESTIONS]]
        assert [refusal_of(end) for end in flood[MOST_QUESTIONS:]] == [
            codes.TOO_MANY_QUESTIONS for _ in flood[MOST_QUESTIONS:]
        ]
        waiting = await ledger.questions(clock.now())
        assert [grant.grant_id for grant in waiting.grants] == [code_of(own), *waiting_codes]
        if many >= MOST_QUESTIONS:
            # Asking again what waits already adds none either, and preparing does not get round it.
            assert code_of(await calls.pay(buying(n=0), Caller(LOCAL))) == waiting_codes[0]
            made = await calls.prepare(buying(n=many), Caller(LOCAL))
            assert isinstance(made, CallEnd)
            assert refusal_of(made) == codes.TOO_MANY_QUESTIONS
            # Who can be asked in the host is.
            assert (
                await calls.pay(buying(n=many), Caller(LOCAL, asker=Person(Decision.ACCEPTED)))
            ).charge is Charge.YES
            # An answer makes room, and so does time.
            assert await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, waiting_codes[0]), False, "no")
            code_of(await calls.pay(buying(n=many + 1), Caller(LOCAL)))
            clock.at += APPROVAL_MS
            code_of(await calls.pay(buying(n=many + 2), Caller(LOCAL)))
    assert len(rail.sent) == (1 if many >= MOST_QUESTIONS else 0)


async def test_a_flood_does_not_let_a_call_past_a_limit(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=MandateSettings(daily_usdc="0.05")) as (calls, _rail, ledger):
        ends = [await calls.pay(buying(n=n), Caller(LOCAL)) for n in range(MOST_QUESTIONS + 1)]
        waiting = await ledger.grants(GrantKind.LIMIT)
    assert {refusal_of(end) for end in ends} == {codes.LIMIT_REACHED}
    assert ["approval_code" in end.refusal.details for end in ends if end.refusal] == [True] * MOST_QUESTIONS + [False]
    assert len(waiting) == MOST_QUESTIONS


@pytest.mark.parametrize("kind", [GrantKind.APPROVAL, GrantKind.LIMIT])
async def test_a_yes_for_what_another_process_bought_meanwhile_is_used_by_that(tmp_path: Path, kind: GrantKind) -> None:
    """Both processes ask their person; one has bought while the other still asks, and its answer was lost."""
    mandate = MandateSettings(daily_usdc="0.15", approve_above_usdc="0.05", raise_limits_in_host=True)
    if kind is GrantKind.LIMIT:
        mandate = MandateSettings(daily_usdc="0.15", raise_limits_in_host=True)
    async with (
        opened(tmp_path, always_lost, mandate=mandate) as (others, _, _),
        opened(tmp_path, always_lost, mandate=mandate) as (calls, rail, ledger),
    ):
        if kind is GrantKind.LIMIT:
            rail.script = always_charged
            calls.delivered(await calls.pay(buying(n=1), Caller(LOCAL)))
            rail.sent.clear()

        class Slow(Person):
            async def approve(self, question: Question) -> Reply:
                self.ends = [await others.pay(buying(n=2), Caller(LOCAL, asker=Person(Decision.ACCEPTED)))]
                return await super().approve(question)

        person = Slow(Decision.ACCEPTED)
        end = await calls.pay(buying(n=2), Caller(LOCAL, asker=person))
        (first,) = person.ends
        grants = await ledger.grants(kind, states=EVERY_STATE)
    assert (first.charge, end.call_id) == (Charge.UNKNOWN, first.call_id)
    assert [(grant.state, grant.call_id) for grant in grants] == [(GrantState.USED, first.call_id)] * 2


async def test_where_the_question_cannot_be_kept_nobody_is_asked_and_nothing_is_bought(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database, " * 400)
    person = Person()
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, _ledger):
        end = await calls.pay(buying(), Caller(LOCAL, asker=person))
    assert (refusal_of(end), person.asked, rail.sent) == (codes.LEDGER_DAMAGED, [], [])


async def test_nobody_is_asked_to_pay_for_an_answer_that_was_paid_for_and_never_arrived(tmp_path: Path) -> None:
    person = Person(*[Decision.ACCEPTED] * 2)
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, rail, _):
        paid = await calls.pay(buying(), Caller(LOCAL, asker=person))
        again = await calls.pay(buying(), Caller(LOCAL, asker=person))
        assert (len(person.asked), again.call_id, again.stored) == (1, paid.call_id, True)
        calls.delivered(again)
        # A new purchase needs a new yes: none is left over.
        other = await calls.pay(buying(), Caller(LOCAL, asker=person))
    assert len(person.asked) == 2
    assert (other.charge, other.stored) == (Charge.YES, False)
    assert len(rail.sent) == 2


async def test_nobody_is_asked_to_pay_for_a_call_in_doubt(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    async with opened(tmp_path, always_lost, mandate=DEAR) as (calls, rail, _):
        ends = [await calls.pay(buying(), Caller(LOCAL, asker=person)) for _ in range(2)]
    assert [end.charge for end in ends] == [Charge.UNKNOWN, Charge.UNKNOWN]
    assert ends[0].call_id == ends[1].call_id
    assert len(person.asked) == 1
    assert len(rail.sent) == 2


async def test_who_prepares_is_told_of_a_person_only_while_they_have_not_answered(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged, mandate=DEAR) as (calls, _rail, ledger):
        asked = await calls.prepare(buying(x=1), Caller(LOCAL))
        assert isinstance(asked, Preparation)
        assert asked.approval is not None
        because, grant = asked.approval
        assert "needs the approval of a person" in because
        await approve(ledger, grant.grant_id)
        agreed = await calls.prepare(buying(x=1), Caller(LOCAL))
        refusing = Caller(LOCAL, asker=Person(Decision.DECLINED))
        assert refusal_of(await calls.pay(buying(x=2), refusing)) == codes.APPROVAL_DENIED
        denied = await calls.prepare(buying(x=2), Caller(LOCAL))
    assert isinstance(agreed, Preparation)
    assert agreed.approval is None
    assert isinstance(denied, CallEnd)
    assert refusal_of(denied) == codes.APPROVAL_DENIED


async def test_a_person_is_asked_whatever_it_costs_where_the_rail_says_why(tmp_path: Path) -> None:
    person = Person(Decision.ACCEPTED)
    async with opened(tmp_path, always_charged) as (calls, rail, _ledger):
        quote = rail.quote

        async def quote_with_reason(offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
            found = await quote(offer, arguments)
            assert isinstance(found, Quote)
            return replace(found, because="The payee wants your address.")

        rail.quote = quote_with_reason  # type: ignore[method-assign]
        assert (await calls.pay(buying(), Caller(LOCAL, asker=person))).charge is Charge.YES
    assert [question.because for question in person.asked] == ["The payee wants your address."]


@pytest.mark.parametrize("can_ask", [True, False])
async def test_a_question_that_can_be_withdrawn_reaches_whom_its_asker_reaches(can_ask: bool) -> None:
    person = Person()
    person.can_ask = can_ask
    assert Caller(LOCAL, asker=Withdrawable(person)).can_ask is can_ask

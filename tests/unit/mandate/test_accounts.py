"""Rows of several accounts in one ledger: each is finished by who can act for it, and asked for within its account."""

from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import AuthorizedCall, Mark, Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion, Note
from jecp_mcp.mandate.served import Serves
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, everything, reservation

HERE, THERE = "https://hub.example agent", "https://other.example agent"


async def left_by_the_dead(path: Path, clock: HandClock) -> None:
    ledger = open_ledger(path, "dead", clock)
    for account in (HERE, THERE):
        await ledger.reserve(reservation("dead", call_id=account, account=account, provable_until=START + 3_300_000))
    await ledger.close()


@pytest.mark.anyio
async def test_a_process_takes_over_only_what_it_can_finish(path: Path, clock: HandClock) -> None:
    await left_by_the_dead(path, clock)
    stranger = open_ledger(path, "stranger", clock)
    assert await stranger.adopt_orphans(lambda _rail, _account, _authorized: False) == []
    row = await stranger.row(HERE)
    assert row is not None
    # Anybody may say that its process is dead.
    assert (row.state, row.owner) == (State.IN_DOUBT, "dead")
    other = open_ledger(path, "other", clock)
    (taken,) = await other.adopt_orphans(lambda _rail, account, _authorized: account == THERE)
    assert (taken.call_id, taken.owner, taken.claim) == (THERE, "other", 1)
    able = open_ledger(path, "able", clock)
    (taken,) = await able.adopt_orphans(everything)
    assert (taken.call_id, taken.owner) == (HERE, "able")
    for ledger in (stranger, other, able):
        await ledger.close()


@pytest.mark.anyio
async def test_what_may_be_signed_for_is_left_to_who_can_look_for_that_payment(path: Path, clock: HandClock) -> None:
    dying = open_ledger(path, "dead", clock)
    for call_id in ("plain", "signed", "signed later"):
        await dying.reserve(replace(reservation("dead", call_id=call_id), terms=f"by {call_id}"))
    for call_id in ("signed", "signed later"):
        assert await dying.note(call_id, 0, [Note(Mark.AUTHORIZED, "what is signed")])
    await dying.close()
    asked: list[AuthorizedCall] = []

    def only(call_id: str | None) -> Serves:
        def serves(rail: str, account: str, authorized: AuthorizedCall | None) -> bool:
            asked.extend([authorized] if authorized is not None else [])
            return authorized is None or authorized.call_id == call_id

        return serves

    keyless, payer = open_ledger(path, "keyless", clock), open_ledger(path, "payer", clock)
    assert [row.call_id for row in await keyless.adopt_orphans(only(None))] == ["plain"]
    assert {(one.call_id, one.terms, one.made_at) for one in asked} == {
        ("signed", "by signed", START),
        ("signed later", "by signed later", START),
    }
    assert [row.call_id for row in await payer.adopt_orphans(only("signed"))] == ["signed"]
    left = await keyless.row("signed later")
    assert left is not None
    assert (left.state, left.owner, left.authorized) == (
        State.IN_DOUBT,
        "dead",
        AuthorizedCall(left.call_id, left.terms, START),
    )
    assert (await payer.audit()).findings == ()
    for ledger in (keyless, payer):
        await ledger.close()


@pytest.mark.anyio
async def test_what_nobody_can_finish_any_more_is_written_off_by_anybody(path: Path, clock: HandClock) -> None:
    await left_by_the_dead(path, clock)
    clock.at = START + 3_300_000
    stranger = open_ledger(path, "stranger", clock)
    assert await stranger.adopt_orphans(lambda _rail, _account, _authorized: False, clock_right=True) == []
    assert {row.state for row in await stranger.rows()} == {State.WRITTEN_OFF}
    await stranger.close()


@pytest.mark.anyio
async def test_two_accounts_may_have_payments_of_the_same_name(ledger: SqliteLedger) -> None:
    for account in (HERE, THERE):
        await ledger.reserve(reservation(ledger.session, call_id=account, account=account))
        ledger.conclude(
            Conclusion(account, Verdict.CHARGED, MicroUSDC(5), reference="tx-0", balance_after=MicroUSDC(len(account)))
        )
    for account in (HERE, THERE):
        row = await ledger.of_reference("jecp", account, "tx-0")
        assert row is not None
        assert row.call_id == account
        last = await ledger.last_of("jecp", account)
        assert last is not None
        assert (last.call_id, last.balance_after) == (account, len(account))
    assert await ledger.of_reference("jecp", "nobody", "tx-0") is None
    assert await ledger.of_reference("another", HERE, "tx-0") is None
    assert await ledger.last_of("jecp", "nobody") is None


@pytest.mark.anyio
@pytest.mark.parametrize("together", [False, True])
async def test_one_payment_pays_for_one_call(ledger: SqliteLedger, together: bool) -> None:
    """Whatever a Hub says: a second call with its name has none, and is not refunded in the first one's place."""
    for name in ("first", "second"):
        await ledger.reserve(reservation(ledger.session, call_id=name))
    for name in ("first", "second"):
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(5), reference="tx", evidence="answered"))
        if not together:
            await ledger.flush()
    row = await ledger.of_reference("jecp", HERE, "tx")
    assert row is not None
    assert row.call_id == "first"
    second = await ledger.row("second")
    assert second is not None
    assert (second.state, second.charged, second.reference) == (State.SETTLED, 5, None)
    assert second.evidence == "answered; its payment tx is another call's"

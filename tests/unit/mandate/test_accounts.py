"""Rows of several accounts in one ledger: each is finished by who can act for it, and asked for within its account."""

from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
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
    assert await stranger.adopt_orphans(lambda _rail, _account: False) == []
    row = await stranger.row(HERE)
    assert row is not None
    # Anybody may say that its process is dead.
    assert (row.state, row.owner) == (State.IN_DOUBT, "dead")
    other = open_ledger(path, "other", clock)
    (taken,) = await other.adopt_orphans(lambda _rail, account: account == THERE)
    assert (taken.call_id, taken.owner, taken.claim) == (THERE, "other", 1)
    able = open_ledger(path, "able", clock)
    (taken,) = await able.adopt_orphans(everything)
    assert (taken.call_id, taken.owner) == (HERE, "able")
    for ledger in (stranger, other, able):
        await ledger.close()


@pytest.mark.anyio
async def test_what_nobody_can_finish_any_more_is_written_off_by_anybody(path: Path, clock: HandClock) -> None:
    await left_by_the_dead(path, clock)
    clock.at = START + 3_300_000
    stranger = open_ledger(path, "stranger", clock)
    assert await stranger.adopt_orphans(lambda _rail, _account: False, clock_right=True) == []
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

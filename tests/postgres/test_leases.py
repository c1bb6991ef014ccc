"""Which sessions live, who takes over the calls of the dead, and who is believed about them afterwards."""

import asyncio
from collections.abc import Callable

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import AuthorizedCall, Mark, Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.postgres import heartbeat
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import Admitted, Conclusion, Note, NotYours
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import ServerClock, open_server
from tests.unit.mandate.reservations import START, everything, meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Opener = Callable[[str], PostgresLedger]


async def leave_rows(ledger: PostgresLedger) -> PostgresLedger:
    """A reserved, a sent, an in-doubt and a released call, each of 10."""
    session = ledger.session
    for name in ("reserved", "sent", "in_doubt", "settled"):
        cap = meter(limit=10_000)
        wanted = reservation(session, 10, meters=[cap], call_id=f"{session} {name}", send=name != "reserved")
        await ledger.reserve(wanted)
    ledger.conclude(Conclusion(f"{session} in_doubt", Verdict.IN_DOUBT))
    ledger.conclude(Conclusion(f"{session} settled", Verdict.NOT_CHARGED))
    await ledger.flush()
    return ledger


def expire(cluster: Cluster, database: str, session: str) -> None:
    """Let a session seem silent for just too long, as a process does that was stopped."""
    cluster.execute(f"UPDATE jecp_mcp.session SET seen = seen - 60001 WHERE id = '{session}'", database)


async def state_of(ledger: PostgresLedger, call_id: str) -> tuple[State, str, int]:
    """Where a call stands, whose it is, and how often it was taken over."""
    row = await ledger.row(call_id)
    assert row is not None
    return row.state, row.owner, row.claim


async def test_a_dead_sessions_rows_are_released_or_taken_over(open_one: Opener) -> None:
    await (await leave_rows(open_one("dead"))).close()
    ledger = open_one("living")
    rows = await ledger.adopt_orphans(everything)
    assert [(row.call_id, row.state, row.owner, row.session, row.claim) for row in rows] == [
        ("dead in_doubt", State.IN_DOUBT, "living", "dead", 1),
        ("dead sent", State.IN_DOUBT, "living", "dead", 1),
    ]
    assert (await state_of(ledger, "dead reserved"))[0] is State.RELEASED
    assert [one.used for one in await ledger.readings([meter()])] == [20]
    assert [one.event for one in await ledger.events("dead sent")] == ["reserve", "doubt", "adopt"]
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == ["dead in_doubt", "dead sent"]
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_only_who_can_act_for_an_account_takes_its_rows_over(open_one: Opener) -> None:
    await (await leave_rows(open_one("dead"))).close()
    other, able = open_one("other"), open_one("able")
    assert (
        await other.adopt_orphans(lambda rail, account, _authorized: (rail, account) == ("jecp", "another agent")) == []
    )
    # That nobody hears the outcome any more is true whoever says so.
    assert await state_of(other, "dead sent") == (State.IN_DOUBT, "dead", 0)
    assert await state_of(other, "dead in_doubt") == (State.IN_DOUBT, "dead", 0)
    wanted = reservation("dead")
    able_rows = await able.adopt_orphans(
        lambda rail, account, _authorized: (rail, account) == (wanted.rail, wanted.account)
    )
    assert [(row.call_id, row.owner, row.claim) for row in able_rows] == [
        ("dead in_doubt", "able", 1),
        ("dead sent", "able", 1),
    ]
    assert (await able.audit()).findings == ()
    await other.close()
    await able.close()


async def test_what_may_be_signed_for_is_left_to_who_can_look_for_that_payment(open_one: Opener) -> None:
    dying = await leave_rows(open_one("dead"))
    assert await dying.note("dead in_doubt", 0, [Note(Mark.AUTHORIZED, "what is signed")])
    await dying.close()
    keyless, payer = open_one("keyless"), open_one("payer")
    taken = await keyless.adopt_orphans(lambda _rail, _account, authorized: authorized is None)
    assert [row.call_id for row in taken] == ["dead sent"]
    assert await state_of(keyless, "dead in_doubt") == (State.IN_DOUBT, "dead", 0)
    [row] = await payer.adopt_orphans(lambda _rail, _account, authorized: authorized is not None)
    assert (row.call_id, row.owner) == ("dead in_doubt", "payer")
    assert row.authorized == AuthorizedCall(row.call_id, row.terms, row.created_at)
    assert (await payer.audit()).findings == ()
    for ledger in (keyless, payer):
        await ledger.close()


async def test_a_living_sessions_rows_are_left_alone(open_one: Opener) -> None:
    living, other = await leave_rows(open_one("living")), open_one("other")
    assert await other.adopt_orphans(everything) == []
    assert await state_of(other, "living sent") == (State.SENT, "living", 0)
    await living.close()
    await other.close()


async def test_a_living_sessions_own_rows_without_a_task_are_seen_to(open_one: Opener) -> None:
    ledger = await leave_rows(open_one("session"))
    running = {"session sent"}
    assert [row.call_id for row in await ledger.adopt_orphans(everything, running)] == ["session in_doubt"]
    assert await state_of(ledger, "session sent") == (State.SENT, "session", 0)
    assert (await state_of(ledger, "session reserved"))[0] is State.RELEASED
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == ["session in_doubt", "session sent"]
    # Whatever the task that died may still say is not believed any more.
    assert await state_of(ledger, "session sent") == (State.IN_DOUBT, "session", 1)
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_what_can_no_longer_be_proven_is_written_off_by_whoever_comes(
    open_one: Opener, clock: ServerClock
) -> None:
    dead = open_one("dead")
    for name in ("sent", "in_doubt"):
        await dead.reserve(reservation("dead", 10, call_id=name, provable_until=START + 60_000))
    dead.conclude(Conclusion("in_doubt", Verdict.IN_DOUBT))
    await dead.close()
    clock.forward(seconds=61)
    other = open_one("other")
    assert await other.adopt_orphans(lambda _rail, _account, _authorized: False, clock_right=True) == []
    assert [(await state_of(other, name))[0] for name in ("sent", "in_doubt")] == [State.WRITTEN_OFF] * 2
    await other.close()


async def test_replicas_that_adopt_at_once_share_the_dead_and_never_own_one_row_twice(
    open_one: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresLedger, "ADOPTED_AT_ONCE", 2)
    for number in range(6):
        await (await leave_rows(open_one(f"dead{number}"))).close()
    living = [open_one(f"living{number}") for number in range(4)]
    await asyncio.gather(*(ledger.adopt_orphans(everything) for ledger in living))
    taken = [await ledger.adopt_orphans(everything) for ledger in living]
    names = [row.call_id for rows in taken for row in rows]
    assert len(names) == len(set(names)) == 12
    for ledger, rows in zip(living, taken, strict=True):
        assert {(row.owner, row.claim) for row in rows} <= {(ledger.session, 1)}
    assert (await living[0].audit()).findings == ()
    for ledger in living:
        await ledger.close()


async def test_a_session_that_was_silent_too_long_loses_its_calls_and_goes_on(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    stopped, other = await leave_rows(open_one("stopped")), open_one("other")
    expire(cluster, database, "stopped")
    assert [row.call_id for row in await other.adopt_orphans(everything)] == ["stopped in_doubt", "stopped sent"]
    assert not await stopped.send("stopped reserved")
    assert isinstance(await stopped.resend("stopped sent", 0, [meter()]), NotYours)
    assert isinstance(await stopped.reserve(reservation("stopped", call_id="new")), Admitted)
    assert await stopped.adopt_orphans(everything, {"new"}) == []
    await stopped.close()
    await other.close()


@pytest.mark.parametrize(
    "said",
    [
        Conclusion("stopped sent", Verdict.NOT_CHARGED, claim=0),
        Conclusion("stopped sent", Verdict.IN_DOUBT, claim=0),
        Conclusion("stopped sent", Verdict.PENDING, claim=0),
        Conclusion("stopped sent", Verdict.CHARGED, MicroUSDC(10), claim=0, proven=False),
    ],
    ids=lambda said: f"{said.verdict} {said.proven}",
)
async def test_who_lost_its_lease_is_believed_about_nothing_but_a_proven_charge(
    open_one: Opener, cluster: Cluster, database: str, said: Conclusion
) -> None:
    stopped, heir = await leave_rows(open_one("stopped")), open_one("heir")
    expire(cluster, database, "stopped")
    await heir.adopt_orphans(everything)
    with pytest.raises(LedgerError, match="was taken over"):
        await stopped.conclude_now(said)
    assert await state_of(heir, "stopped sent") == (State.IN_DOUBT, "heir", 1)
    await stopped.conclude_now(Conclusion("stopped sent", Verdict.CHARGED, MicroUSDC(7), claim=0))
    assert await state_of(heir, "stopped sent") == (State.RECONCILED_CHARGED, "heir", 1)
    assert [one.used for one in await heir.readings([meter()])] == [17]
    assert (await heir.audit()).findings == ()
    await stopped.close()
    await heir.close()


async def test_a_row_that_comes_back_to_its_first_owner_has_another_claim(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    first, heir = await leave_rows(open_one("first")), open_one("heir")
    expire(cluster, database, "first")
    await heir.adopt_orphans(everything)
    await heir.close()
    await first.adopt_orphans(everything)
    assert await state_of(first, "first sent") == (State.IN_DOUBT, "first", 2)
    # A task of the first owner that slept through all of it still has the claim it began with.
    with pytest.raises(LedgerError, match="was taken over"):
        await first.conclude_now(Conclusion("first sent", Verdict.NOT_CHARGED, claim=0))
    await first.conclude_now(Conclusion("first sent", Verdict.NOT_CHARGED, claim=2))
    await first.close()


async def test_who_says_in_time_that_it_lives_keeps_its_calls(
    open_one: Opener, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, heir = await leave_rows(open_one("slow")), open_one("heir")
    expire(cluster, database, "slow")
    ask = heir._server.read

    def wake(reading: Callable[..., object], *rest: object) -> object:
        """Between seeing that it is silent and taking its calls over, it speaks again."""
        found = ask(reading, *rest)
        cluster.execute("UPDATE jecp_mcp.session SET seen = jecp_mcp.lease_ms() WHERE id = 'slow'", database)
        return found

    monkeypatch.setattr(heir._server, "read", wake)
    assert await heir.adopt_orphans(everything) == []
    assert await state_of(slow, "slow sent") == (State.SENT, "slow", 0)
    await slow.close()
    await heir.close()


async def test_a_session_in_use_is_refused_to_a_second_process(open_one: Opener) -> None:
    first, second = open_one("same"), open_one("same")
    await first.reserve(reservation("same"))
    with pytest.raises(LedgerError, match="is another process"):
        await second.reserve(reservation("same"))
    await second.close()
    await first.close()


async def test_nothing_of_the_dead_is_left(open_one: Opener, cluster: Cluster, database: str) -> None:
    await (await leave_rows(open_one("dead"))).close()
    living = open_one("living")
    await living.adopt_orphans(everything)
    assert cluster.execute("SELECT id FROM jecp_mcp.session", database) == [("living",)]
    await living.close()


async def test_a_process_that_lives_says_so_again_and_again(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    living = open_server(database, "living")
    await living.reserve(reservation("living"))
    expire(cluster, database, "living")
    async with asyncio.timeout(60):
        while cluster.execute("SELECT seen < jecp_mcp.lease_ms() - 60000 FROM jecp_mcp.session", database)[0][0]:
            await asyncio.sleep(0.01)
    await living.close()


async def test_a_session_whose_row_is_gone_is_dead_all_the_same(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    await (await leave_rows(open_one("dead"))).close()
    cluster.execute("DELETE FROM jecp_mcp.session", database)
    living = open_one("living")
    assert len(await living.adopt_orphans(everything)) == 2
    await living.close()


async def test_a_call_is_due_when_its_payee_is_to_be_asked_again_and_not_before(
    open_one: Opener, clock: ServerClock
) -> None:
    ledger = open_one("session")
    for name, seconds in (("later", 120), ("soon", 60)):
        await ledger.reserve(reservation("session", call_id=name))
        at = UnixMs(START + seconds * 1000)
        ledger.conclude(Conclusion(name, Verdict.PENDING, claim=0, look_again_at=at))
    assert await ledger.next_look() == START + 60_000
    assert await ledger.adopt_orphans(everything) == []
    clock.forward(seconds=60)
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == ["soon"]
    clock.forward(seconds=60)
    assert [row.call_id for row in await ledger.adopt_orphans(everything)] == ["soon", "later"]
    assert await state_of(ledger, "soon") == (State.SENT, "session", 0)
    for name in ("soon", "later"):
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(1), claim=0))
    assert await ledger.next_look() is None
    await ledger.close()

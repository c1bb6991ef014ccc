"""A limit that is new counts what its window already holds, whoever bought it under whatever other limits."""

import asyncio
from typing import Any

import pytest

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.caps import CapSet, meters_for
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter, OverLimit
from jecp_mcp.mandate.sqlite import ledger as sqlite
from jecp_mcp.mandate.sqlite import store
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.windows import WINDOW_MS, Window
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings.patterns import matches
from tests.unit.mandate.reservations import START, HandClock, meter, reservation

OLD = meter(Window.DAY, key="the old limit")


async def used(ledger: SqliteLedger, *meters: Meter) -> list[int]:
    return [reading.used for reading in await ledger.readings(meters)]


@pytest.mark.anyio
@pytest.mark.parametrize("before", [(), (OLD,)])
async def test_it_refuses_what_would_pass_it_together_with_what_was_spent_before(
    ledger: SqliteLedger, before: tuple[Meter, ...]
) -> None:
    await ledger.reserve(reservation(ledger.session, 80, meters=before))
    new = meter(Window.HOUR, 100)
    over = await ledger.reserve(reservation(ledger.session, 21, meters=[new]))
    assert isinstance(over, OverLimit)
    assert (over.used, over.resets_at) == (80, START + 60_000 + 3_600_000)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 20, meters=[new])), Admitted)
    assert await used(ledger, new) == [100]


@pytest.mark.anyio
async def test_what_becomes_of_a_call_from_before_moves_it_too(ledger: SqliteLedger) -> None:
    for name in ("released", "settled", "refunded", "free"):
        await ledger.reserve(reservation(ledger.session, 100, meters=[OLD], call_id=name))
    ledger.conclude(Conclusion("refunded", Verdict.CHARGED, MicroUSDC(90)))
    new = meter(Window.TOTAL)
    await ledger.reserve(reservation(ledger.session, 1, meters=[new]))
    assert await used(ledger, new) == [391]
    ledger.conclude(Conclusion("released", Verdict.NOT_CHARGED))
    ledger.conclude(Conclusion("settled", Verdict.CHARGED, MicroUSDC(70)))
    ledger.conclude(Conclusion("free", Verdict.IN_DOUBT))
    ledger.conclude(Conclusion("free", Verdict.NOT_CHARGED))
    await ledger.refund("refunded", MicroUSDC(80), "told")
    assert await used(ledger, new, OLD) == [81, 81]


@pytest.mark.anyio
async def test_a_call_that_was_free_when_the_limit_came_counts_when_it_is_charged(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, 0, meters=[OLD], call_id="no hold"))
    new = meter(Window.TOTAL)
    await ledger.reserve(reservation(ledger.session, 1, meters=[new]))
    ledger.conclude(Conclusion("no hold", Verdict.CHARGED, MicroUSDC(7)))
    assert await used(ledger, new, OLD) == [8, 8]


@pytest.mark.anyio
@pytest.mark.parametrize("window", list(WINDOW_MS))
async def test_what_had_left_the_window_is_not_counted(ledger: SqliteLedger, clock: HandClock, window: Window) -> None:
    await ledger.reserve(reservation(ledger.session, 5))
    clock.forward(ms=WINDOW_MS[window])
    await ledger.reserve(reservation(ledger.session, 7))
    clock.forward(ms=WINDOW_MS[window])
    assert await used(ledger, meter(window)) == [7]
    await ledger.reserve(reservation(ledger.session, 1, meters=[meter(window)]))
    assert await used(ledger, meter(window), meter(Window.TOTAL)) == [8, 13]


@pytest.mark.anyio
async def test_it_counts_its_own_principal_and_nobody_else(ledger: SqliteLedger) -> None:
    for principal, amount in (("ann", 1), ("bob", 20), ("local", 300)):
        await ledger.reserve(reservation(ledger.session, amount, principal=principal))
    found = [meter(Window.TOTAL, principal=name) for name in ("ann", "bob", "local", "nobody")]
    assert await used(ledger, *found) == [1, 20, 300, 0]
    await ledger.reserve(reservation(ledger.session, 4_000, principal="bob", meters=[found[1]]))
    assert await used(ledger, *found) == [1, 4_020, 300, 0]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pattern", "counted"),
    [
        (None, 11),
        ("docs/*", 11),
        ("docs/pdf", 11),
        ("docs/pdf:make", 1),
        ("*:read", 10),
        ("Docs/*", 0),
        ("docs_pdf_read", 10),
        ("*", 11),
        ("docs/pdf:[mr]*", 11),
        ("pdf", 0),
    ],
)
async def test_its_pattern_fits_the_same_calls_as_the_mandates(
    ledger: SqliteLedger, pattern: str | None, counted: int
) -> None:
    for action, amount in (("make", 1), ("read", 10)):
        tool = f"docs_pdf_{action}"
        await ledger.reserve(reservation(ledger.session, amount, action=action, tool=tool))
        if pattern is not None:
            bought = Offer("docs/pdf", action, "docs", Price(MicroUSDC(amount)))
            caps = (CapSet(pattern, None, ((Window.TOTAL, MicroUSDC(1)),)),)
            applies = bool(meters_for(caps, names_of(bought, tool), "local", "s"))
            assert applies is (str(amount) in {"11": "1 10", "1": "1", "10": "10", "0": ""}[str(counted)].split())
    new = meter(Window.TOTAL, pattern=pattern)
    assert await used(ledger, new) == [counted]
    await ledger.reserve(reservation(ledger.session, 100, meters=[new]))
    applies = pattern is None or matches(pattern, ("docs/pdf:make", "docs/pdf", "docs_pdf_make"))
    assert await used(ledger, new) == [counted + 100 * applies]


@pytest.mark.anyio
async def test_a_process_sessions_limit_begins_with_nothing(ledger: SqliteLedger, clock: HandClock) -> None:
    await ledger.reserve(reservation(ledger.session, 5))
    mine = meter(Window.SESSION, key="this session")
    assert await used(ledger, mine) == [0]
    await ledger.reserve(reservation(ledger.session, 7, meters=[mine]))
    assert await used(ledger, mine) == [7]


@pytest.mark.anyio
async def test_a_reading_of_a_limit_nobody_met_says_when_the_oldest_amount_leaves(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.reserve(reservation(ledger.session, 0))
    clock.forward(seconds=600)
    await ledger.reserve(reservation(ledger.session, 6))
    hour, total, none = await ledger.readings(
        [meter(Window.HOUR), meter(Window.TOTAL), meter(Window.DAY, principal="nobody")]
    )
    assert (hour.used, hour.resets_at) == (6, START + 600_000 + 60_000 + 3_600_000)
    assert (total.used, total.resets_at) == (6, None)
    assert (none.used, none.resets_at) == (0, None)


@pytest.mark.anyio
async def test_a_batch_that_brings_a_limit_and_calls_to_it_counts_them_once(ledger: SqliteLedger) -> None:
    new = meter(Window.DAY, 100)
    wanted = [reservation(ledger.session, 7, meters=[new] if number % 2 else []) for number in range(10)]
    admissions = await asyncio.gather(*(ledger.reserve(one) for one in wanted))
    assert all(isinstance(one, Admitted) for one in admissions)
    counted = [reading.used for reading in await ledger.readings([new])]
    # Those without the limit count when they came before the first that has it.
    assert counted[0] % 7 == 0
    assert 35 <= counted[0] <= 70
    assert (await ledger.audit()).findings == ()


@pytest.mark.anyio
async def test_a_batch_may_move_more_meters_than_one_statement_can(ledger: SqliteLedger) -> None:
    wanted = [
        reservation(
            ledger.session,
            1,
            principal=f"p{number}",
            meters=[meter(Window.TOTAL, key=f"{number} {index}", principal=f"p{number}") for index in range(45)],
        )
        for number in range(300)
    ]
    admissions = await asyncio.gather(*(ledger.reserve(one) for one in wanted))
    assert all(isinstance(one, Admitted) for one in admissions)
    assert await used(ledger, *wanted[-1].meters, *wanted[7].meters) == [1] * 90


@pytest.mark.anyio
@pytest.mark.parametrize("window", [Window.HOUR, Window.DAY, Window.MONTH, Window.TOTAL])
@pytest.mark.parametrize("pattern", [None, "docs/*"])
async def test_a_limit_removed_and_set_again_knows_what_was_spent_between(
    ledger: SqliteLedger, window: Window, pattern: str | None
) -> None:
    cap = meter(window, 20_000, pattern=pattern)
    await ledger.reserve(reservation(ledger.session, 5_000, meters=[cap]))
    for _ in range(21):
        await ledger.reserve(reservation(ledger.session, 5_000, meters=[OLD]))
    assert await used(ledger, cap) == [110_000]
    over = await ledger.reserve(reservation(ledger.session, 1, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert over.used == 110_000


@pytest.mark.anyio
async def test_a_limit_that_must_count_many_calls_counts_them_in_steps_and_denies_meanwhile(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(25):
        await ledger.reserve(reservation(ledger.session, 10, call_id=f"before {name}"))
    monkeypatch.setattr(store, "FEED_AT_ONCE", 4)
    new = meter(Window.TOTAL, 260)
    assert isinstance(await ledger.reserve(reservation(ledger.session, 11, meters=[new])), OverLimit)
    steps = [event for event in await ledger.events() if event.event == "feed"]
    assert [event.facts["upto"] for event in steps] == [4, 8, 12, 16, 20, 24]
    assert isinstance(await ledger.reserve(reservation(ledger.session, 10, meters=[new])), Admitted)
    assert await used(ledger, new) == [260]


@pytest.mark.anyio
async def test_a_call_is_sent_again_only_when_a_new_limit_has_counted_all_that_came_before(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        await ledger.reserve(reservation(ledger.session, 10, call_id=f"{number}"))
    ledger.conclude(Conclusion("0", Verdict.IN_DOUBT))
    monkeypatch.setattr(store, "FEED_AT_ONCE", 4)
    new = meter(Window.TOTAL, 90)
    assert isinstance(await ledger.resend("0", 0, [new]), Admitted)
    assert [event.facts["upto"] for event in await ledger.events() if event.event == "feed"] == [4, 8]
    assert await used(ledger, new) == [90]


@pytest.mark.anyio
async def test_a_limit_of_another_principal_is_refused(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="counts the calls of somebody, not of local"):
        await ledger.reserve(reservation(ledger.session, meters=[meter(principal="somebody")]))
    assert (await ledger.totals()).calls == 0


@pytest.mark.anyio
async def test_a_limit_that_has_much_to_add_up_is_read_beside_the_loop(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await ledger.reserve(reservation(ledger.session, 10))
    apart: list[object] = []
    read_apart = ledger._file.read_apart

    def read(reading: Any) -> Any:
        apart.append(reading)
        return read_apart(reading)

    monkeypatch.setattr(ledger._file, "read_apart", read)
    for most, expected in ((4, 0), (3, 1)):
        monkeypatch.setattr(sqlite, "FEED_AT_ONCE", most)
        assert [one.used for one in await ledger.readings([meter(Window.TOTAL)])] == [40]
        assert len(apart) == expected

"""A statement's sums, against calls made up by hand and by chance."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.statement import By, Line, StatementBuilder
from jecp_mcp.mandate.states import State, counted_amount
from jecp_mcp.money import MicroUSDC

ROW = CallRow(
    number=1,
    call_id="call",
    principal="ann",
    team=None,
    session="s",
    owner="s",
    claim=0,
    rail="jecp",
    account="https://hub.example agent",
    tool="docs_pdf_make",
    payee="docs",
    source="https://hub.example",
    offer="docs/pdf:make",
    names=("docs/pdf:make",),
    version=None,
    fingerprint="f",
    kind="exact",
    terms="",
    state=State.SETTLED,
    quoted=MicroUSDC(5_000),
    held=MicroUSDC(5_000),
    charged=MicroUSDC(4_000),
    refunded=MicroUSDC(0),
    balance_after=None,
    reference=None,
    evidence=None,
    attempts=1,
    created_at=parse_iso("2026-10-31T23:59:59.999Z"),
    sent_at=parse_iso("2026-10-31T23:59:59.999Z"),
    look_again_at=None,
    provable_until=None,
    ended_at=None,
    answered=False,
    delivered=False,
    mark=None,
    request=b"",
    answer=None,
)


def line(row: CallRow) -> Line:
    adding = StatementBuilder(By.TOOL)
    adding.add([row])
    return adding.statement().total


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.SETTLED, Line(calls=1, charged=4_000, refunded=1_000)),
        (State.RECONCILED_CHARGED, Line(calls=1, charged=4_000, refunded=1_000)),
        (State.RESERVED, Line(calls=1, held=5_000)),
        (State.SENT, Line(calls=1, held=5_000)),
        (State.IN_DOUBT, Line(calls=1, held=5_000, in_doubt=5_000)),
        (State.WRITTEN_OFF, Line(calls=1, held=5_000, in_doubt=5_000)),
        (State.RELEASED, Line(calls=1, uncharged=1)),
        (State.RECONCILED_FREE, Line(calls=1, uncharged=1)),
    ],
)
def test_every_state_has_its_column(state: State, expected: Line) -> None:
    assert line(replace(ROW, state=state, refunded=MicroUSDC(1_000))) == expected


def test_what_was_refunded_is_taken_off_the_net() -> None:
    assert line(replace(ROW, refunded=MicroUSDC(1_500))).net == 2_500


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        (By.TOOL, ["docs_pdf_make"]),
        (By.PROVIDER, ["docs"]),
        (By.PRINCIPAL, ["ann", "bob"]),
        (By.ACTION, ["docs/pdf:make"]),
        (By.DAY, ["2026-10-31", "2026-11-01"]),
        (By.MONTH, ["2026-10", "2026-11"]),
    ],
)
def test_a_line_stands_for_what_was_asked_for_in_utc(by: By, keys: list[str]) -> None:
    adding = StatementBuilder(by)
    adding.add([replace(ROW, principal="bob", created_at=UnixMs(ROW.created_at + 1)), ROW])
    assert list(adding.statement().lines) == keys


def test_a_period_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    at = ROW.created_at
    for since, until, calls in ((at, at + 1, 1), (at + 1, None, 0), (None, at, 0), (None, None, 1)):
        adding = StatementBuilder(
            By.DAY, None if since is None else UnixMs(since), None if until is None else UnixMs(until)
        )
        adding.add([ROW])
        assert adding.statement().total.calls == calls


rows = st.builds(
    lambda state, held, charged, refunded, at: replace(
        ROW,
        state=state,
        held=MicroUSDC(held),
        charged=MicroUSDC(charged),
        refunded=MicroUSDC(min(refunded, charged)),
        created_at=UnixMs(at),
    ),
    st.sampled_from(State),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 4_000_000_000_000),
)


@given(st.lists(rows, max_size=30), st.sampled_from(By))
def test_the_total_is_what_the_limits_count(calls: list[CallRow], by: By) -> None:
    adding = StatementBuilder(by)
    adding.add(calls[:7])
    adding.add(calls[7:])
    made = adding.statement()
    assert made.total.net + made.total.held == sum(
        counted_amount(row.state, row.held, row.charged, row.refunded) for row in calls
    )
    assert sum(made.lines.values(), Line()) == made.total

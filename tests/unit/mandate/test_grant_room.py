"""How much room the agreements of one principal have, and what goes to make some."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import TooManyQuestions, TooManyWait
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.grant_rules import MOST_GRANT_BYTES, MOST_GRANTS, GrantRules
from jecp_mcp.mandate.grants import MOST_QUESTIONS, Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.working_set import Changes, Events, StoredGrant, WorkingSet
from tests.unit.mandate.reservations import START


def stored_grant(number: int, state: GrantState = GrantState.GRANTED, *, size: int = 2, left: int = 1) -> StoredGrant:
    return StoredGrant(GrantKind.PREPARED, f"kept {number}", state, size, START + left)


def dropped_by(
    stored: Iterable[StoredGrant],
    *,
    kind: GrantKind = GrantKind.PREPARED,
    state: GrantState = GrantState.GRANTED,
    size: int = 2,
    lapsed: Iterable[GrantRef] = (),
) -> list[str]:
    """The ids of what goes when a new one of `size` bytes is written beside what is stored, of which some lapsed."""
    loaded, changes = WorkingSet(0, chain.GENESIS, 0, lambda _meter: ()), Changes()
    loaded.stored_grants, loaded.lapsed = list(stored), list(lapsed)
    rules = GrantRules(loaded, changes, Events(loaded, changes, "session", START))
    rules.write(Grant(kind, "new", "local", "print", state, b"x" * size, START, UnixMs(START + 60_000)), START)
    return [ref.grant_id for ref in changes.dropped_grants]


@pytest.mark.parametrize(
    ("kind", "what"), [(GrantKind.PREPARED, "prepared calls"), (GrantKind.APPROVAL, "questions to a person")]
)
def test_so_many_wait_and_no_more_and_whoever_asks_is_told_when_one_expires(kind: GrantKind, what: str) -> None:
    assert dropped_by((stored_grant(number) for number in range(MOST_GRANTS - 1)), kind=kind) == []
    with pytest.raises(TooManyWait) as caught:
        dropped_by((stored_grant(number) for number in range(MOST_GRANTS)), kind=kind)
    assert str(caught.value) == (
        f"200 {what} of 400 bytes wait already, and with 2 bytes more there would be over 200 or 16777216 bytes; "
        f"execute or answer some, or wait until they expire; the first expires at {iso(UnixMs(START + 1))}"
    )


def test_so_many_bytes_wait_and_no_more() -> None:
    assert dropped_by([stored_grant(1, size=MOST_GRANT_BYTES - 2)]) == []
    with pytest.raises(TooManyWait):
        dropped_by([stored_grant(1, size=MOST_GRANT_BYTES - 1)])
    with pytest.raises(TooManyWait, match=r"^0 prepared calls of 0 bytes wait .* wait until they expire$"):
        dropped_by([], size=MOST_GRANT_BYTES + 1)


@pytest.mark.parametrize(
    "dead",
    [
        stored_grant(0, left=0),
        *(stored_grant(0, state) for state in (GrantState.USED, GrantState.DENIED, GrantState.SUPERSEDED)),
    ],
)
def test_what_nothing_can_come_of_makes_room_where_room_is_wanted(dead: StoredGrant) -> None:
    waiting = [stored_grant(number) for number in range(1, MOST_GRANTS)]
    assert dropped_by([dead, *waiting[1:]]) == []
    assert dropped_by([dead, *waiting]) == ["kept 0"]
    # The oldest first, and no more of them than the room takes.
    older = dead._replace(grant_id="older")
    assert dropped_by([older, dead, *waiting[1:]]) == ["older"]
    assert dropped_by([older, dead, *waiting]) == ["kept 0", "older"]
    full = stored_grant(1, size=MOST_GRANT_BYTES - 4)
    assert dropped_by([older, dead, full]) == ["older"]
    assert dropped_by([older, full], size=3) == ["older"]


def test_a_person_has_so_many_questions_of_one_principal_and_no_more() -> None:
    asked = [stored_grant(number, GrantState.ASKED) for number in range(MOST_QUESTIONS)]
    others = [stored_grant(100), stored_grant(101, GrantState.ASKED, left=0)]
    assert dropped_by([*asked[1:], *others], kind=GrantKind.APPROVAL, state=GrantState.ASKED) == []
    assert dropped_by(asked, kind=GrantKind.APPROVAL) == []
    with pytest.raises(TooManyQuestions, match=r"^20 questions wait for a person already$"):
        dropped_by(asked, kind=GrantKind.APPROVAL, state=GrantState.ASKED)


def test_what_lapsed_takes_no_room_and_what_waits_beside_it_does() -> None:
    waiting = [stored_grant(number) for number in range(MOST_GRANTS)]
    gone = stored_grant(1_000, left=0)
    assert dropped_by([gone, *waiting[1:]], lapsed=[gone.ref]) == ["kept 1000"]
    with pytest.raises(TooManyWait):
        dropped_by([gone, *waiting], lapsed=[gone.ref])

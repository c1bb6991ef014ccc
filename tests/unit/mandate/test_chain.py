"""The chain: every digest depends on everything before it, and on every byte of its own event."""

from dataclasses import fields, replace

import pytest

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.records import Reservation
from jecp_mcp.mandate.states import State
from tests.unit.mandate.reservations import reservation

PARTS = (3, 5, "settle", 2, (State.SENT, State.SETTLED, 7, 6, 1), "s", "said", {"attempts": 1})
BODY = chain.write(*PARTS)


def test_one_event_has_one_digest() -> None:
    assert chain.digest(chain.GENESIS, BODY) == chain.digest(chain.GENESIS, chain.write(*PARTS))


@pytest.mark.parametrize("index", range(len(PARTS)))
def test_every_part_of_an_event_stands_in_its_bytes(index: int) -> None:
    other = {
        4: (State.SENT, State.SETTLED, 7, 6, 2),
        7: {"attempts": 2},
    }.get(index, None if index in {3, 6} else f"{PARTS[index]}1")
    assert chain.write(*PARTS[:index], other, *PARTS[index + 1 :]) != BODY


def test_the_digest_before_changes_it_too() -> None:
    assert chain.digest(b"f" * 32, BODY) != chain.digest(chain.GENESIS, BODY)


@pytest.mark.parametrize("index", range(len(BODY)))
def test_every_byte_of_an_event_changes_its_digest(index: int) -> None:
    changed = BODY[:index] + bytes([BODY[index] ^ 1]) + BODY[index + 1 :]
    assert chain.digest(chain.GENESIS, changed) != chain.digest(chain.GENESIS, BODY)


def test_what_was_written_is_read_back() -> None:
    event = chain.read(BODY, b"\x01" * 32, "c")
    assert (event.number, event.at, event.event, event.call, event.call_id) == (3, 5, "settle", 2, "c")
    assert (event.before, event.after, event.held, event.charged, event.refunded) == (
        State.SENT,
        State.SETTLED,
        7,
        6,
        1,
    )
    assert (event.session, event.evidence, event.facts, event.digest) == ("s", "said", {"attempts": 1}, "01" * 32)


def test_the_instant_of_an_event_is_read_without_the_rest_of_it() -> None:
    assert chain.instant(BODY) == chain.read(BODY, b"").at == PARTS[1]
    assert chain.instant(chain.write(1, 0, *PARTS[2:])) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null", b"[1,,3]", b'[1,"2",3]'])
def test_bytes_that_tell_no_instant_are_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        chain.instant(body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null", b"[1,2,3]", BODY[:-2] + b"5]"])
def test_bytes_nobody_wrote_are_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        chain.read(body, b"")


NOT_FOR_GOOD = {"hold", "meters", "request", "send", "uses"}
"""What a reservation says that stands in its event, or in no column."""


def identity(of: Reservation) -> object:
    return chain.reservation(of, None)["identity"]


@pytest.mark.parametrize("name", [one.name for one in fields(reservation("s")) if one.name not in NOT_FOR_GOOD])
def test_every_part_of_a_calls_identity_changes_its_digest(name: str) -> None:
    wanted = reservation("s", call_id="c")
    other = ("another",) if name == "names" else 7 if name in {"quoted", "provable_until"} else "another"
    assert identity(replace(wanted, **{name: other})) != identity(wanted)


def test_facts_leave_out_what_was_not_written() -> None:
    assert chain.facts(attempts=None, balance_after=5, answer="d") == {"balance_after": 5, "answer": "d"}

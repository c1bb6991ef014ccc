"""The chain: every digest depends on everything before it, and on every part of its own event."""

from dataclasses import fields, replace

import pytest

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.ledger import EventRow
from jecp_mcp.mandate.states import State
from tests.unit.mandate.reservations import reservation

EVENT = EventRow(3, "c", 5, "settle", State.SENT, State.SETTLED, 7, 6, 1, "s", "said", "{}", "")
IDENTITY = chain.identity_of(reservation("s", call_id="c"))


def test_one_event_has_one_digest() -> None:
    assert chain.digest_of(chain.GENESIS, EVENT, IDENTITY) == chain.digest_of(chain.GENESIS, replace(EVENT), IDENTITY)


@pytest.mark.parametrize("name", [one.name for one in fields(EventRow) if one.name != "digest"])
def test_every_part_of_an_event_changes_its_digest(name: str) -> None:
    value = getattr(EVENT, name)
    other = State.SENT if value is State.SETTLED else None if isinstance(value, str) else value + 1
    assert chain.digest_of(chain.GENESIS, replace(EVENT, **{name: other}), IDENTITY) != chain.digest_of(
        chain.GENESIS, EVENT, IDENTITY
    )


@pytest.mark.parametrize("index", range(len(IDENTITY)))
def test_every_part_of_a_calls_identity_changes_the_digest(index: int) -> None:
    changed = (*IDENTITY[:index], "another", *IDENTITY[index + 1 :])
    assert chain.digest_of(chain.GENESIS, EVENT, changed) != chain.digest_of(chain.GENESIS, EVENT, IDENTITY)


def test_the_digest_before_changes_it_too() -> None:
    assert chain.digest_of("f" * 64, EVENT, IDENTITY) != chain.digest_of(chain.GENESIS, EVENT, IDENTITY)


def test_no_two_splits_of_the_same_text_share_a_digest() -> None:
    one = replace(EVENT, session="ab", evidence="c")
    other = replace(EVENT, session="a", evidence="bc")
    assert chain.digest_of(chain.GENESIS, one, ()) != chain.digest_of(chain.GENESIS, other, ())


def test_facts_leave_out_what_was_not_written_and_are_read_back() -> None:
    facts = chain.facts(attempts=None, balance_after=5, answer="d")
    assert facts == '{"balance_after":5,"answer":"d"}'
    assert chain.read_facts(replace(EVENT, facts=facts)) == {"balance_after": 5, "answer": "d"}


@pytest.mark.parametrize("facts", ["", "{", "[]", "5", "null"])
def test_facts_nobody_wrote_are_an_error(facts: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        chain.read_facts(replace(EVENT, facts=facts))


def test_the_facts_of_a_reservation_are_written_as_any_others() -> None:
    for meters in ("", "7", "7,12"):
        digest = chain.body_digest(b"{}")
        assert chain.reserve_facts(b"{}", meters) == chain.facts(request=digest, meters=meters or None)

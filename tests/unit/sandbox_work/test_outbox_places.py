"""Whose webhooks are sent at once, kept while paused and refused: over the books alone, without an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jecp_mcp.ajp_server.signals import Bell
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.webhooks.outbox import KEPT_MS, MOST_PLACES, MOST_TESTS, Outbox
from jecp_mcp.sandbox.webhooks.subscriptions import Subscriptions


class Books:
    def __init__(self) -> None:
        self.database = HubDatabase(None)
        self.subscriptions = Subscriptions(self.database)
        self.outbox = Outbox(self.database, self.subscriptions, Bell())

    def subscribe(self, subscriber: str, number: int = 0) -> str:
        url = f"https://{subscriber}.example/{number}"
        return self.subscriptions.create(subscriber, url, (), 0).subscription_id


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books()
    yield made
    made.database.close()


def test_one_subscriber_has_three_places_however_many_of_its_endpoints_wait(books: Books) -> None:
    slow = [books.subscribe("slow", number) for number in range(20)]
    for one in slow:
        books.outbox.publish_test(one, 0)
    other = books.subscribe("other")
    books.outbox.publish_test(other, 0)
    first = books.outbox.due(0, 16, {})
    assert [one.subscription_id for one in first] == [*slow[:MOST_PLACES], other]
    # With its places taken it gets no other, and there is nothing to hurry for.
    busy = {one.subscription_id: one.subscriber for one in first}
    assert books.outbox.due(0, 16, busy) == []
    assert books.outbox.next_due(busy) is None
    del busy[slow[1]]
    assert [one.subscription_id for one in books.outbox.due(0, 16, busy)] == [slow[1]]
    assert books.outbox.next_due(busy) == 0


def test_so_many_test_events_wait_for_an_endpoint_and_no_more(books: Books) -> None:
    one, other = books.subscribe("a"), books.subscribe("a", 1)
    for _ in range(MOST_TESTS):
        books.outbox.publish_test(one, 0)
    with pytest.raises(Refused) as refused:
        books.outbox.publish_test(one, 0)
    assert (refused.value.code, refused.value.retry_after) == ("RATE_LIMITED", 60)
    books.outbox.publish_test(other, 0)
    [first] = [each for each in books.outbox.due(0, 16, {}) if each.subscription_id == one]
    books.outbox.note_success(first, 0)
    books.outbox.publish_test(one, 0)


def test_what_happens_while_an_endpoint_is_paused_waits_for_it_for_thirty_days(books: Books) -> None:
    one, other = books.subscribe("a"), books.subscribe("b")
    books.subscriptions.update(one, "a", status="paused")
    books.outbox.publish("a", "invocation.completed", {}, 1_000)
    assert books.outbox.due(1_000, 16, {}) == []
    books.subscriptions.update(one, "a", status="active")
    assert [each.subscription_id for each in books.outbox.due(1_000, 16, {})] == [one]
    books.subscriptions.update(one, "a", status="paused")
    for at in (KEPT_MS, KEPT_MS + 1_000):
        books.outbox.publish_test(other, at)
        [told] = books.outbox.due(at, 16, {})
        assert len(books.outbox.deliveries("a")) == 1
        books.outbox.note_success(told, at)
    assert books.outbox.deliveries("a") == []


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 10**30])
def test_a_dead_letter_of_whatever_number_is_there_or_is_not(books: Books, number: int) -> None:
    with pytest.raises(Refused, match="no dead letter"):
        books.outbox.revive(number, "a", 0)

"""What Hubs answer about webhook subscriptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.hub_answer import HubAnswer
from jecp_mcp.wire.jecp.subscriptions import (
    Subscription,
    parse_subscription,
    parse_subscriptions,
    parse_test,
    subscription_body,
)

ONE = {
    "subscription_id": "sub_1",
    "endpoint_url": "https://a.example/",
    "events": ["x", 7],
    "failures_consecutive": True,
}


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_subscription_is_read_plain_and_wrapped_and_by_its_id_alone() -> None:
    read = parse_subscription(HubAnswer(raw({"subscription": {**ONE, "hmac_secret": "c2VjcmV0"}}), 201))
    assert isinstance(read, Subscription)
    assert (read.endpoint_url, read.events, read.hmac_secret) == ("https://a.example/", ("x",), "c2VjcmV0")
    assert read.failures is None
    assert "c2VjcmV0" not in str(read.raw)
    assert read.raw["endpoint_url"] == "https://a.example/"
    assert (
        parse_subscription(HubAnswer(raw({"jecp": "1.0", "subscription_id": "sub_1", "deleted": True}), 200))
        is not None
    )


def test_an_entry_that_cannot_be_read_hides_no_other() -> None:
    listed = parse_subscriptions(HubAnswer(raw({"subscriptions": [ONE, {}, 7]}), 200))
    assert not isinstance(listed, Refusal)
    assert [one.subscription_id for one in listed] == ["sub_1"]


def test_what_is_no_answer_is_said_without_its_words() -> None:
    for parse in (parse_subscription, parse_subscriptions, parse_test):
        for body in (b"[]", b"<html>", raw({"hmac_secret": "s3cret"})):
            with pytest.raises(WireError) as wrong:
                parse(HubAnswer(body, 200))
            assert "s3cret" not in str(wrong.value)
        refused = parse(HubAnswer(raw({"error": {"code": "NOT_FOUND", "message": "none"}}), 404))
        assert isinstance(refused, Refusal)


def test_only_what_is_given_is_asked_for() -> None:
    assert json.loads(subscription_body("https://a.example/", ())) == {
        "endpoint_url": "https://a.example/",
        "events": [],
    }
    assert json.loads(subscription_body(status="paused")) == {"status": "paused"}

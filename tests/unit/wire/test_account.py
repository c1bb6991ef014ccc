import json
from typing import Any

import pytest

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp import account
from jecp_mcp.wire.jecp.hub_answer import HubAnswer

AGENT, KEY = "acme_ag_0123456789abcdef", "acme_ak_0123456789abcdef0123"


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "wrap", [lambda body: body, lambda body: {"jecp": "1.0", "agent": body}, lambda body: {"data": body}]
)
def test_a_new_agent_is_read_and_its_key_stays_out_of_sight(wrap: Any) -> None:
    body = wrap({"agent_id": AGENT, "api_key": KEY, "name": "n", "free_calls_remaining": 100, "endpoints": {}})
    found = account.parse_registration(HubAnswer(raw(body), 201))
    assert found == account.Registration(AGENT, KEY, "n", 100)
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    "body", [{}, {"agent_id": AGENT}, {"agent_id": "x", "api_key": KEY}, {"agent_id": AGENT, "api_key": KEY + "\n"}, []]
)
def test_an_answer_without_an_agent_is_refused_without_quoting_it(body: Any) -> None:
    with pytest.raises(WireError) as caught:
        account.parse_registration(HubAnswer(raw(body), 200))
    assert KEY not in str(caught.value)


def test_a_checkout_page_is_read_in_either_spelling() -> None:
    assert account.parse_topup(
        HubAnswer(raw({"url": "https://checkout.stripe.com/c/1", "sessionId": "cs_1"}), 200)
    ) == account.TopupSession("https://checkout.stripe.com/c/1", "cs_1")
    assert account.parse_topup(
        HubAnswer(raw({"checkout_url": "https://h/c", "session_id": "s", "amount_usd": 5}), 200)
    ) == account.TopupSession("https://h/c", "s", account.MicroUSDC(5_000_000))
    with pytest.raises(WireError):
        account.parse_topup(HubAnswer(raw({"url": ""}), 200))


def test_a_refund_and_a_list_of_refunds_are_read() -> None:
    body = {"jecp": "1.0", "refund_id": "rf_1", "status": "requested", "transaction_id": "t", "amount_usdc": 0.005, "reason": "r",
            "requested_at": "2026-11-21T00:00:00Z", "estimated_resolution": "2026-11-28T00:00:00Z", "resolved_at": None}  # fmt: skip
    refund = account.parse_refund(HubAnswer(raw(body), 201))
    assert isinstance(refund, account.Refund)
    assert (refund.refund_id, refund.status, refund.amount, refund.resolved_at) == ("rf_1", "requested", 5_000, None)
    listed = account.parse_refunds(HubAnswer(raw({"refunds": [body, {"id": "rf_2", "status": "denied"}]}), 200))
    assert isinstance(listed, tuple)
    assert [item.refund_id for item in listed] == ["rf_1", "rf_2"]
    for bad in ({}, {"refunds": [1]}, {"refunds": [{}]}):
        with pytest.raises(WireError):
            account.parse_refunds(HubAnswer(raw(bad), 200))


def test_a_refund_that_was_denied_or_failed_as_a_refund_is_not_mistaken_for_an_error() -> None:
    assert isinstance(account.parse_refund(HubAnswer(raw({"refund_id": "r", "status": "denied"}), 200)), account.Refund)


@pytest.mark.parametrize(
    "parse", [account.parse_registration, account.parse_topup, account.parse_refund, account.parse_refunds]
)
def test_the_hubs_error_is_a_refusal_and_anything_else_a_wire_error(parse: Any) -> None:
    failed = raw({"jecp": "1.0", "status": "failed", "error": {"code": "RATE_LIMITED", "message": "m"}})
    refusal = parse(HubAnswer(failed, 429, {"retry-after": "60"}))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.retry_after_seconds) == ("RATE_LIMITED", 60)
    for body, status in ((b"<html>", 502), (raw({"error": "Bad gateway"}), 502), (raw({}), 404)):
        with pytest.raises(WireError):
            parse(HubAnswer(body, status))


def test_requests_are_the_reference_hubs() -> None:
    assert json.loads(account.register_body("me", description="d")) == {
        "name": "me",
        "agent_type": "mcp",
        "description": "d",
    }
    assert json.loads(account.topup_body(20, "http://127.0.0.1/x")) == {"amount": 20, "returnTo": "http://127.0.0.1/x"}
    assert json.loads(account.refund_body("t", "broken", "https://e")) == {
        "transaction_id": "t",
        "reason": "broken",
        "evidence_url": "https://e",
    }


GOOD = {"refund_id": "rf_1", "status": "approved", "transaction_id": "tx_1", "amount_usdc": 0.005}


@pytest.mark.parametrize(
    "bad",
    [
        "7", "null", '"text"', "[]", "{}", '{"refund_id":"rf_2"}', '{"status":"denied"}', '{"refund_id":7,"status":"denied"}',
        '{"refund_id":"rf_2","status":NaN}', "9" * 5_000, "[" * 500 + "]" * 500, '{"refund_id":' + "[" * 500 + "]" * 500 + "}",
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_read_hides_no_other_refund(bad: str) -> None:
    good = json.dumps(GOOD)
    listed = account.parse_refunds(
        HubAnswer(f'{{"refunds":[{good},{bad},{good.replace("rf_1", "rf_3")}]}}'.encode(), 200)
    )
    assert isinstance(listed, tuple)
    assert [one.refund_id for one in listed] == ["rf_1", "rf_3"]


@pytest.mark.parametrize(("said", "back"), [("0.0045", 4_050), ("0.00000123", 0), ('"a lot"', None)])
def test_what_came_back_is_rounded_down(said: str, back: int | None) -> None:
    refund = account.parse_refund(
        HubAnswer(f'{{"refund_id":"r","status":"approved","amount_usdc":{said}}}'.encode(), 200)
    )
    assert isinstance(refund, account.Refund)
    assert refund.returned == back

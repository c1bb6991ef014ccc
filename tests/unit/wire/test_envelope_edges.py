"""Where an envelope ends: what still is one, what is at its bounds, and what of it is kept."""

import json
from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.calls.stored import dump_answer, load_answer
from jecp_mcp.clock import parse_iso
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.jecp import envelope

NOW = parse_iso("2026-11-21T09:30:00Z")


def read(body: dict[str, Any], status: int = 200, **headers: str) -> Answer | Refusal:
    return envelope.parse_answer(json.dumps(body).encode(), headers, status, now=NOW)


def test_a_failed_status_is_a_refusal_even_beside_a_result_and_without_an_error() -> None:
    found = read({"jecp": "1.0", "status": "failed", "result": {"half": 1}})
    assert isinstance(found, Refusal)
    assert found.code == "UNSPECIFIED"


def test_an_error_without_a_status_is_a_refusal_and_one_beside_a_success_is_not() -> None:
    error = {"code": "RATE_LIMITED", "message": "slow down"}
    assert isinstance(read({"error": error, "result": 1, "jecp": "1.0"}), Refusal)
    assert isinstance(read({"status": "success", "result": 1, "error": error}), Answer)


@pytest.mark.parametrize("said", ["completed", "success"])
def test_a_status_that_says_success_needs_nothing_but_a_result(said: str) -> None:
    found = read({"status": said, "result": {"n": 1}})
    assert isinstance(found, Answer)
    assert found.output == {"n": 1}


@pytest.mark.parametrize("mark", [{"jecp": "1.0"}, {"billing": {"charged": True}}])
def test_a_result_without_a_status_needs_a_mark_of_the_protocol(mark: dict[str, Any]) -> None:
    found = read({"result": 1, **mark})
    assert isinstance(found, Answer)
    assert found.output == 1
    for other in ({"result": 1, "status": "working"}, {"resul": 1, **mark}):
        with pytest.raises(WireError, match="the answer is no JECP envelope: neither a result nor an error"):
            read(other)


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"status": "success"}, 200, "the answer says it succeeded and carries no result"),
        ({"status": "success", "result": 1, "jecp": "1.0"}, 400, "no JECP error, though it came with HTTP 400"),
        ({"status": "success", "result": 1, "code": 7}, 500, "though it came with HTTP 500"),
    ],
)
def test_what_is_no_envelope_is_said_to_be_none(body: dict[str, Any], status: int, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read(body, status)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"jecp": "1.0", "status": "failed", "error": {"code": "RATE_LIMITED"}}, 429), ({"code": "RATE_LIMITED"}, 400)],
)
def test_a_refusal_keeps_its_status_and_the_headers_wait_whichever_form_it_has(
    body: dict[str, Any], status: int
) -> None:
    found = read(body, status, **{"Retry-After": "Sat, 21 Nov 2026 09:31:00 GMT"})
    assert isinstance(found, Refusal)
    assert (found.code, found.http_status, found.retry_after_seconds) == ("RATE_LIMITED", status, 60)


@pytest.mark.parametrize(
    ("said", "result", "output"),
    [
        ("completed", {"output": 1}, 1),
        ("success", {"output": 1}, {"output": 1}),
        ("success", {"output": 1, "capability": "c", "action": "a"}, 1),
        ("success", {"output": 1, "capability": "c"}, {"output": 1, "capability": "c"}),
        ("success", {"output": 1, "action": "a"}, {"output": 1, "action": "a"}),
        ("completed", {"capability": "c", "action": "a"}, {"capability": "c", "action": "a"}),
        ("completed", [1], [1]),
    ],
)
def test_an_output_is_unwrapped_only_where_the_dialect_wraps_it(said: str, result: Any, output: Any) -> None:
    found = read({"jecp": "1.0", "status": said, "result": result})
    assert isinstance(found, Answer)
    assert found.output == output


@pytest.mark.parametrize(
    ("provider", "execution", "read_as"),
    [
        ({"namespace": "acme", "version": "1.0.0"}, {"provider": "other"}, ("acme", "1.0.0")),
        ("acme", {"provider": "other"}, ("acme", None)),
        (None, {"provider": "acme"}, ("acme", None)),
        ({"namespace": 7, "version": 1}, {}, (None, None)),
        (None, "nonsense", (None, None)),
    ],
)
def test_the_provider_is_read_from_either_dialect(provider: Any, execution: Any, read_as: tuple[Any, Any]) -> None:
    found = read({"status": "success", "result": 1, "provider": provider, "execution": execution})
    assert isinstance(found, Answer)
    assert (found.provider, found.version) == read_as


@pytest.mark.parametrize(("said", "kept"), [(12, 12), (True, None), (1.5, None), ("12", None), (None, None)])
def test_a_duration_is_whole_milliseconds_or_unknown(said: Any, kept: int | None) -> None:
    found = read({"status": "success", "result": 1, "execution": {"duration_ms": said}})
    assert isinstance(found, Answer)
    assert found.duration_ms == kept


@pytest.mark.parametrize(
    ("billing", "wallet", "balance"),
    [({"balance_after": 1}, 2, 1_000_000), ({}, 2, 2_000_000), ({"balance_after": None}, None, None), ({}, None, None)],
)
def test_the_balance_is_billings_or_else_the_wallets(billing: dict[str, Any], wallet: Any, balance: int | None) -> None:
    found = read({"status": "success", "result": 1, "billing": billing, "wallet_balance_after": wallet})
    assert isinstance(found, Answer)
    assert found.billing.balance_after == balance


def test_the_least_amount_is_a_charge() -> None:
    found = read({"status": "success", "result": 1, "billing": {"cost_usdc": "0.000001"}})
    assert isinstance(found, Answer)
    assert (found.billing.charged, found.billing.amount) == (True, 1)


def test_an_input_as_large_as_the_protocol_allows_is_written_and_one_byte_more_is_not() -> None:
    room = envelope.MAX_INPUT_BYTES - len('{"x":""}')
    envelope.request_body("call-1", "a/b", "c", None, {"x": "y" * room})
    with pytest.raises(WireError, match=f"larger than {envelope.MAX_INPUT_BYTES} bytes"):
        envelope.request_body("call-1", "a/b", "c", None, {"x": "y" * (room + 1)})


@pytest.mark.requirement("WIRE-action-1")
def test_a_malformed_action_is_named_by_its_beginning() -> None:
    with pytest.raises(WireError) as caught:
        envelope.request_body("call-1", "a/b", "X" * 200, None, {})
    assert str(caught.value) == f"'{'X' * 80}' is not an action id"


def test_a_provenance_hash_goes_into_the_mandate() -> None:
    body = envelope.request_body("call-1", "a/b", "c", None, {})
    sent = envelope.with_mandate(body, agent_id="a", api_key="k", budget=MicroUSDC(1), provenance_hash="v2:1:ff:00")
    assert json.loads(sent)["mandate"] == {
        "agent_id": "a", "api_key": "k", "budget_usdc": 0.000001, "provenance_hash": "v2:1:ff:00",
    }  # fmt: skip


def wrapped(output: Any) -> Answer:
    found = read({"jecp": "1.0", "status": "completed", "result": {"output": output}, "billing": {"charged": True}})
    assert isinstance(found, Answer)
    return found


def test_an_unwrapped_output_and_its_billing_are_kept_once() -> None:
    found = wrapped("x" * 10_000)
    stored = dump_answer(found)
    assert len(stored) < 11_000
    assert b"billing_raw" not in stored
    assert load_answer(stored) == found


def test_an_output_that_was_changed_since_it_came_is_kept_beside_what_came() -> None:
    raw = {"status": "completed", "result": {"output": "before"}}
    made = Answer("i", "after", Billing(True, MicroUSDC(1), raw={"a": Decimal("0.1")}), raw=raw)
    assert load_answer(dump_answer(made)) == made


def test_the_deepest_answer_that_is_read_can_be_kept() -> None:
    found = wrapped(1)
    deep: Any = 1
    for _ in range(jsontext.MAX_DEPTH):
        deep = [deep]
        try:
            found = wrapped(deep)
        except WireError:
            break
    else:
        pytest.fail("nothing is too deep")
    assert load_answer(dump_answer(found)) == found


def test_an_answer_without_billing_comes_back_with_none() -> None:
    made = Answer("i", 1, Billing(), raw={"result": 1})
    stored = dump_answer(made)
    assert b"billing_raw" not in stored
    found = load_answer(stored)
    assert found == made
    assert found.billing.raw == NOTHING


def test_a_stored_answer_of_another_form_is_named() -> None:
    with pytest.raises(WireError, match="unknown form 2"):
        load_answer(b'{"v":2}')


MANY = b"[" + b"1," * jsontext.MAX_MARKS + b"1]"
BILL = b'"billing":{"charged":true,"amount_usdc":"0.01","transaction_id":"t_1"}'


@pytest.mark.parametrize("result", [MANY, b'{"output":' + MANY + b',"capability":"a/b","action":"c"}'])
def test_of_an_answer_with_too_many_parts_the_charge_is_read_all_the_same(result: bytes) -> None:
    body = b'{"jecp":"1.0","id":"c_12345","status":"completed","result":' + result + b"," + BILL + b"}"
    found = envelope.parse_answer(body, {}, 200, now=NOW)
    assert isinstance(found, Answer)
    assert (found.billing.charged, found.billing.amount) == (True, MicroUSDC(10_000))
    assert found.billing.reference == "t_1"
    assert list(found.output) == ["output_unreadable"]
    assert load_answer(dump_answer(found)) == found


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"failed","error":{"code":"X","details":' + MANY + b"}," + BILL + b"}",
        b'{"status":"failed","more":' + MANY + b"}",
        b'{"status":"success","result":1,"billing":' + MANY + b"}",
        b'{"status":"success","more":' + MANY + b"}",
        MANY,
    ],
    ids=["error", "failed", "billing", "no result", "no object"],
)
def test_where_the_charge_may_be_in_what_was_not_read_nothing_is_proven(body: bytes) -> None:
    with pytest.raises(WireError):
        envelope.parse_answer(body, {}, 200, now=NOW)


@pytest.mark.parametrize(
    "outline",
    [
        {"result": None, "error": {}},
        {"result": None, "status": "failed"},
        {"output": None, "status": "failed"},
        {"status": "success"},
        {},
    ],
)
def test_an_outline_that_may_be_no_success_proves_nothing(outline: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="commas and brackets"):
        envelope.without_output(outline)


@pytest.mark.parametrize("place", ["result", "output"])
def test_an_outline_of_a_success_says_that_its_output_was_not_read(place: str) -> None:
    outline = {"status": "success", "billing": {"charged": True}, place: None}
    read_so_far = envelope.without_output(outline)
    assert f"more than {jsontext.MAX_MARKS} commas and brackets" in read_so_far.pop(place)["output_unreadable"]
    assert read_so_far == {"status": "success", "billing": {"charged": True}}
    assert envelope.without_output({**outline, place: "short"}) == {**outline, place: "short"}
    with pytest.raises(WireError, match="about the charge was too long"):
        envelope.without_output({**outline, "billing": None})

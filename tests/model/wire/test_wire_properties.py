"""Properties of the wire on any input: nothing is lost, nothing but `WireError` is raised, money stays exact."""

import itertools
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jecp_mcp import jsontext
from jecp_mcp.calls.stored import dump_answer, load_answer
from jecp_mcp.catalog.stored_offers import dump_offer, load_offer
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.wire.jecp import account, catalog, envelope
from jecp_mcp.wire.jecp.artifacts import artifact_of
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.guide import AgentGuide, parse_guide
from jecp_mcp.wire.jecp.hub_answer import HubAnswer
from jecp_mcp.wire.jecp.next_actions import parse_next_action
from jecp_mcp.wire.jecp.stream import CallStream, Event, EventSplitter

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9)
LEAVES = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | DECIMALS | TEXT
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)
BIG = 10_000_000


def read(data: bytes) -> Any:
    return jsontext.loads(data, max_bytes=BIG)


def fault_of(reader: Callable[[bytes], Any], data: bytes) -> str:
    """What the reader says is wrong; anything it raises but `WireError` fails the test."""
    try:
        reader(data)
    except WireError as fault:
        return str(fault)
    return ""


def like(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose keys are the protocol's and whose values are anything: near misses, which random JSON never is."""
    return st.dictionaries(st.sampled_from(names), JSON, max_size=8)


CODE = st.sampled_from([*CODES, "BRAND_NEW", ""]) | JSON
ERROR = like(
    "code", "message", "details", "retry_after_seconds", "documentation_url", "next_action"
) | st.fixed_dictionaries({"code": CODE})
RESULT = JSON | st.fixed_dictionaries({"output": JSON}, optional={"capability": JSON, "action": JSON})
BILLING = JSON | like("charged", "amount_usdc", "cost_usdc", "method", "balance_after", "transaction_id")
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "jecp": JSON, "id": JSON, "status": st.sampled_from(["completed", "success", "failed", "working"]) | JSON, "result": RESULT,
        "error": ERROR | JSON, "billing": BILLING, "provider": JSON | like("namespace", "version"), "execution": JSON | like("provider", "duration_ms"),
        "next_action": JSON | like("type", "headers", "retry_after_seconds"), "code": CODE, "message": JSON, "wallet_balance_after": JSON,
    },
)  # fmt: skip
PRICING = JSON | like("base", "currency", "model", "payment_methods")
ACTION = JSON | st.fixed_dictionaries(
    {"id": st.sampled_from(["run", "a-b", "BAD"]) | JSON},
    optional={
        "price_usdc": JSON, "pricing": PRICING, "description": JSON, "input_schema": JSON, "examples": JSON, "streaming": JSON,
        "trust_tier_required": JSON, "sla": JSON | like("timeout_ms"), "side_effects": JSON, "deprecation": JSON | like("status", "sunset_at"),
        "unknown": JSON,
    },
)  # fmt: skip
CAPABILITY = JSON | st.fixed_dictionaries(
    {"id": st.sampled_from(["docs/pdf", "docs/pdf@1.2.3", "builtin"]) | JSON},
    optional={
        "actions": st.lists(ACTION, max_size=4) | JSON, "manifest": JSON | st.fixed_dictionaries({"actions": st.lists(ACTION, max_size=3)}),
        "version": JSON | st.sampled_from(["1.0.0", "2.0.0"]), "tags": JSON, "pricing": PRICING, "rate_limit_rpm": JSON, "deprecation": JSON,
    },
)  # fmt: skip
PAGE = st.fixed_dictionaries(
    {},
    optional={
        "capabilities": st.lists(CAPABILITY, max_size=4) | JSON, "third_party_capabilities": st.lists(CAPABILITY, max_size=4) | JSON,
        "next_cursor": JSON, "has_more": JSON, "total": JSON,
    },
)  # fmt: skip


@given(JSON)
def test_what_is_written_is_read_back_equal_and_writes_the_same_again(value: Any) -> None:
    written = jsontext.dumps(value)
    assert read(written) == value
    assert jsontext.dumps(read(written)) == written


@given(JSON)
def test_plain_json_is_what_any_reader_can_take(value: Any) -> None:
    text = json.dumps(jsontext.plain(value), allow_nan=False)
    assert json.loads(text) == jsontext.plain(value)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 100_000)
@example(b'"\\ud800"')
def test_arbitrary_bytes_are_a_value_or_a_wire_error_everywhere(data: bytes) -> None:
    readers = (
        read, lambda body: envelope.parse_answer(body, {}, 200), lambda body: envelope.parse_answer(body, {}, 502), catalog.parse_page, parse_guide,
        load_answer, lambda body: load_offer(body, ""), lambda body: account.parse_registration(HubAnswer(body, 200)), lambda body: account.parse_topup(HubAnswer(body, 402)),
    )  # fmt: skip
    for reader in readers:
        assert len(fault_of(reader, data)) < 500


@given(
    ENVELOPE,
    st.sampled_from([200, 400, 402, 429, 500]),
    st.dictionaries(st.sampled_from(["Retry-After", "Sunset", "Link", "deprecation"]), TEXT),
)
def test_any_envelope_is_an_answer_a_refusal_or_a_wire_error_and_loses_nothing(
    body: dict[str, Any], status: int, headers: dict[str, str]
) -> None:
    try:
        found = envelope.parse_answer(jsontext.dumps(body), headers, status, now=UnixMs(0))
    except WireError:
        return
    assert found.raw == body
    if isinstance(found, Answer):
        assert status < 400
        assert load_answer(dump_answer(found)) == found
        artifact_of(found.output)
    else:
        assert isinstance(found, Refusal)
        assert found.retry_after_seconds is None or 0 <= found.retry_after_seconds <= 86_400
        parse_next_action(found.next_action)


@given(OBJECTS | ENVELOPE, st.none() | st.integers(100, 599))
def test_any_object_is_a_refusal_or_a_wire_error(body: dict[str, Any], status: int | None) -> None:
    try:
        refusal = parse_refusal(body, status=status)
    except WireError:
        return
    assert refusal.raw == body
    assert refusal.code


@given(JSON | like("type", "ui", "allowed_amounts_usd", "retry_after_seconds", "fallback", "hint"))
def test_any_next_action_is_kept_whole(raw: Any) -> None:
    action = parse_next_action(raw)
    assert (action is None) == (not isinstance(raw, dict))
    assert action is None or action.raw == raw


@settings(max_examples=60)
@given(PAGE)
def test_any_page_is_actions_and_reasons_or_a_wire_error(page: dict[str, Any]) -> None:
    try:
        found = catalog.parse_page(jsontext.dumps(page))
    except WireError:
        return
    keys = [action.key for action in found.actions]
    assert len(keys) == len(set(keys))
    assert all(reason for _, reason in found.quarantined)
    assert all(action.price.amount is not None or action.price.problem for action in found.actions)
    assert [load_offer(dump_offer(action)[0], "") for action in found.actions] == list(found.actions)


@given(OBJECTS | like("endpoints", "trust_policy", "provenance_required_for", "idempotency"))
@pytest.mark.requirement("DISCOVERY-3-2")
def test_any_object_is_a_guide(body: dict[str, Any]) -> None:
    guide = parse_guide(jsontext.dumps(body))
    assert isinstance(guide, AgentGuide)
    assert all(path.startswith("/") for path in guide.paths.values())
    assert guide.idempotency_window_seconds > 0


@given(st.integers(0, 10**12))
def test_money_on_the_wire_is_exact_to_the_millionth(micro: int) -> None:
    for amount in (format_usdc(micro), json.dumps(format_usdc(micro))):
        body = f'{{"jecp":"1.0","status":"success","result":1,"billing":{{"charged":true,"amount_usdc":{amount}}}}}'
        found = envelope.parse_answer(body.encode(), {}, 200)
        assert isinstance(found, Answer)
        assert found.billing.amount == micro
        page = f'{{"capabilities":[{{"id":"a/b","actions":[{{"id":"c","price_usdc":{amount}}}]}}]}}'
        assert catalog.parse_page(page.encode()).actions[0].price.amount == micro


@given(st.integers(0, 10**9), st.integers(1, 10**40), st.integers(1, 3))
def test_an_amount_finer_than_a_millionth_is_never_rounded_into_one(micro: int, tail: int, zeros: int) -> None:
    whole, fraction = divmod(micro, 10**6)
    amount = f"{whole}.{fraction:06d}{'0' * zeros}{tail}"
    page = f'{{"capabilities":[{{"id":"a/b","actions":[{{"id":"c","price_usdc":{amount}}}]}}]}}'
    assert catalog.parse_page(page.encode()).actions[0].price.amount is None


@given(OBJECTS, st.integers(0, 10**9), TEXT)
def test_a_replay_rebuilds_the_identical_bytes(arguments: dict[str, Any], budget: int, key: str) -> None:
    def build() -> tuple[bytes, bytes]:
        body = envelope.request_body("call-1", "docs/pdf", "render", "1.0.0", arguments)
        return body, envelope.with_mandate(body, agent_id="acme_ag_x", api_key=key, budget=MicroUSDC(budget))

    body, sent = build()
    assert build() == (body, sent)
    assert sent.startswith(body[:-1])
    whole = read(sent)
    assert whole["input"] == arguments
    assert whole["mandate"]["budget_usdc"] * 10**6 == Decimal(budget)
    assert whole["mandate"]["api_key"] == key


LINES = st.sampled_from(
    [b"event: chunk", b"data: {}", b"data:", b"data: a\xc3\xa9b", b": comment", b"", b"", b"id: 1", b"\xff", b"event"]
)
STREAM = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=25).map(
    lambda rows: b"".join(a + b for a, b in rows)
)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def events_of(chunks: list[bytes], bound: int) -> tuple[list[Event], str | None]:
    splitter, events = EventSplitter(max_event_bytes=bound), []
    for chunk in chunks:
        try:
            events += splitter.feed(chunk)
        except WireError:
            break
    return events, splitter.fault


@pytest.mark.parametrize("bound", [8, 10_000])
@given(data=STREAM, cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_events_are_the_same_however_the_bytes_were_cut(bound: int, data: bytes, cuts: list[int]) -> None:
    whole = events_of([data], bound)
    assert events_of(chunked(data, cuts), bound) == whole
    assert events_of([bytes([byte]) for byte in data], bound) == whole


CALL_EVENT = st.tuples(
    st.sampled_from(["open", "chunk", "meter", "status", "result", "done", "completed", "error", "cancelled", "other"]),
    ENVELOPE | like("delta", "index", "tokens", "reason", "output", "progress", "error", "code"),
)  # fmt: skip


@given(st.lists(CALL_EVENT, max_size=6), st.lists(st.integers(0, 1000), max_size=5))
@pytest.mark.requirement("WIRE-4.3-3")
def test_any_stream_has_one_ending_the_same_however_it_was_cut(events: list[tuple[str, Any]], cuts: list[int]) -> None:
    data = b"".join(b"event: " + name.encode() + b"\ndata: " + jsontext.dumps(body) + b"\n\n" for name, body in events)

    def run(chunks: list[bytes]) -> tuple[list[Any], Any]:
        calls, said = CallStream(), []
        for chunk in chunks:
            try:
                said += calls.feed(chunk)
            except WireError:
                break
        return said, calls.end()

    assert run(chunked(data, cuts)) == run([data])

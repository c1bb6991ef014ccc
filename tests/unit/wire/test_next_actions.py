from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.wire.jecp.errors import CODES
from jecp_mcp.wire.jecp.next_actions import (
    KNOWN_TYPES,
    PAIRED,
    action_for,
    paired_type,
    parse_next_action,
)


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ("renew_mandate", "refresh_mandate"),
        ("wait", "retry_after"),
        ("lookup_schema", "see_manifest"),
        ("brand_new", "brand_new"),
    ],
)
def test_types_fold_to_one_spelling_and_unknown_ones_stay(said: str, canonical: str) -> None:
    action = parse_next_action({"type": said})
    assert action is not None
    assert (action.type, action.wire_type, action.source) == (canonical, said, "hub")


def test_every_field_finds_its_place_and_the_rest_is_kept_whole() -> None:
    raw: dict[str, Any] = {
        "type": "topup", "ui": "https://h/t", "api": "https://h/api", "method": "POST", "headers": ["X-Agent-ID"],
        "body_example": {"amount": 5}, "allowed_amounts_usd": [5, Decimal("20.5")], "hint": "h", "description": "d",
        "spec": "s", "url": "u", "schema_url": "su", "retry_after_seconds": 3, "current_tier": "bronze",
        "required_tier": "gold", "fallback": {"a": 1}, "alternative": "x/y", "extensions": {"e": 1}, "new": [1],
    }  # fmt: skip
    action = parse_next_action(raw)
    assert action is not None
    assert action.allowed_amounts_usd == (5, Decimal("20.5"))
    assert (action.headers, action.retry_after_seconds, action.fallback) == (("X-Agent-ID",), 3, {"a": 1})
    assert (action.body_example, action.alternative, action.extensions) == ({"amount": 5}, "x/y", {"e": 1})
    assert action.extra == {"new": [1]}
    assert action.raw == raw


def test_a_field_of_the_wrong_kind_is_neither_used_nor_lost() -> None:
    wrong = {"type": 7, "ui": ["x"], "headers": [1], "retry_after_seconds": "soon", "fallback": "x"}
    action = parse_next_action(wrong)
    assert action is not None
    assert (action.type, action.ui, action.headers, action.retry_after_seconds, action.fallback) == (
        "",
        None,
        (),
        None,
        None,
    )
    assert action.extra == wrong
    assert parse_next_action("topup") is None
    assert parse_next_action(None) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("WALLET_INSUFFICIENT_BALANCE", "topup"), ("INSUFFICIENT_BUDGET", "increase_mandate"), ("INVALID_AGENT", "register"),
        ("RATE_LIMITED", "retry_after"), ("UNKNOWN_ACTION", "see_manifest"), ("NOT_STREAMABLE", "drop_streaming_accept"),
        ("BRAND_NEW", None), ("INTERNAL_ERROR", None),
    ],
)  # fmt: skip
def test_a_missing_next_action_is_paired_from_the_code_and_marked_as_ours(code: str, kind: str | None) -> None:
    action = action_for(Refusal(code, "m", retry_after_seconds=4))
    assert paired_type(code) == kind
    if kind is None:
        assert action is None
    else:
        assert action is not None
        assert (action.type, action.wire_type, action.source, action.retry_after_seconds) == (kind, "", "bridge", 4)


def test_what_the_hub_said_goes_before_the_pairing() -> None:
    action = action_for(Refusal("INSUFFICIENT_BALANCE", "m", next_action={"type": "x402_settle"}))
    assert action is not None
    assert (action.type, action.source) == ("x402_settle", "hub")


def test_the_pairing_speaks_of_known_codes_and_types_only() -> None:
    assert set(PAIRED) <= set(CODES)
    assert set(PAIRED.values()) <= KNOWN_TYPES


def test_an_action_without_a_type_is_named_from_the_code_and_keeps_what_else_was_said() -> None:
    said = {"hint": "h", "new": 1}
    action = action_for(Refusal("RATE_LIMITED", "m", next_action=said))
    assert action is not None
    assert (action.type, action.source, action.raw, action.extra) == ("retry_after", "bridge", said, {"new": 1})
    unknown = action_for(Refusal("BRAND_NEW", "m", next_action=said))
    assert unknown is not None
    assert (unknown.type, unknown.wire_type, unknown.source, unknown.hint) == ("", "", "hub", "h")


@pytest.mark.parametrize(("said", "read"), [(0, 0), (1, 1), (-1, None), (True, None)])
def test_a_wait_of_no_seconds_is_a_wait(said: object, read: int | None) -> None:
    action = parse_next_action({"type": "wait", "retry_after_seconds": said})
    assert action is not None
    assert action.retry_after_seconds == read
    assert ("retry_after_seconds" in action.extra) is (read is None)

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.next_actions import (
    PAIRED,
    HubAction,
    paired_type,
    parse_next_action,
)
from tests import hub_actions


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
    assert action.type == canonical


def test_every_field_finds_its_place_and_the_rest_is_kept_whole() -> None:
    raw: dict[str, Any] = {
        "type": "topup", "ui": "https://h/t", "api": "https://h/api", "method": "POST", "headers": ["X-Agent-ID"],
        "body_example": {"amount": 5}, "allowed_amounts_usd": [5, Decimal("20.5")], "hint": "h", "description": "d",
        "spec": "s", "url": "u", "schema_url": "su", "retry_after_seconds": 3, "current_tier": "bronze",
        "required_tier": "gold", "fallback": {"a": 1}, "alternative": "x/y", "extensions": {"e": 1}, "new": [1],
    }  # fmt: skip
    assert parse_next_action(raw) == HubAction(
        "topup", "https://h/t", (5, Decimal("20.5")), "u", 3, "bronze", "gold", {"a": 1}, "x/y", raw=raw
    )


def test_a_field_of_the_wrong_kind_is_neither_used_nor_lost() -> None:
    wrong = {"type": 7, "ui": ["x"], "allowed_amounts_usd": 5, "retry_after_seconds": "soon", "fallback": "x"}
    assert parse_next_action(wrong) == HubAction("", raw=wrong)
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
def test_a_missing_next_action_is_paired_from_the_code(code: str, kind: str | None) -> None:
    assert paired_type(code) == kind


def test_the_pairing_speaks_of_known_codes_and_types_only() -> None:
    assert set(PAIRED) <= set(CODES)
    assert set(PAIRED.values()) <= hub_actions.TYPES


@pytest.mark.parametrize(("said", "read"), [(0, 0), (1, 1), (-1, None), (True, None)])
def test_a_wait_of_no_seconds_is_a_wait(said: object, read: int | None) -> None:
    action = parse_next_action({"type": "wait", "retry_after_seconds": said})
    assert action is not None
    assert action.retry_after_seconds == read

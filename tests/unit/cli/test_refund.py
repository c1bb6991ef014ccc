"""What a person is told of a refund."""

from __future__ import annotations

import pytest

from jecp_mcp.cli.refund import _words


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        ({"amount_usdc": "0.05", "returns_usdc": "0.045"}, "0.005, its fee for a refund"),
        ({"amount_usdc": "0.05", "returns_usdc": "0.05"}, None),
        ({"amount_usdc": "0.05"}, None),
        ({"returns_usdc": "0.05"}, None),
    ],
)
def test_what_does_not_come_back_is_named(one: dict[str, str], kept: str | None) -> None:
    assert _words(one)["the Hub keeps"] == kept

"""Who will pay, said before anything is bought, of every rail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jecp_mcp.cli.assembly import _paid_by
from jecp_mcp.rails.wiring import RAILS
from jecp_mcp.tools.publishing.pricing import paid_with
from jecp_mcp.tools.receipts import OWED


@pytest.mark.parametrize("rail", [None, *sorted({*RAILS, *OWED})])
def test_what_no_wallet_pays_is_said_before_and_nothing_else_is(rail: str | None) -> None:
    selling: Any = SimpleNamespace(selling=lambda _: None if rail is None else SimpleNamespace(name=rail))
    said = paid_with(_paid_by(selling, None)).get("paid_with", "")  # type: ignore[arg-type]
    assert ("no wallet pays" in said) == (rail in OWED)
    assert rail in OWED or said == ""

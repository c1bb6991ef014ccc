"""What the console's pages say of what is in the books."""

from __future__ import annotations

import pytest

from jecp_mcp.pages import ReaderTime
from jecp_mcp.sandbox.console.layout import Viewer
from jecp_mcp.sandbox.console.records import Page, Transaction
from jecp_mcp.sandbox.console.views import transactions


@pytest.mark.parametrize(
    ("method", "amount", "said"),
    [("wallet", 10_000, "$0.01"), ("x402", 10_000, "$0.01"), ("free_call", 0, "free")],
)
def test_a_sale_is_free_only_where_it_was(method: str, amount: int, said: str) -> None:
    sold = Transaction(1, "t1", "a1", "A", "call_1", "x/y", "z", method, amount, 0, 0, 0, 0, 0, None)
    shown = transactions(Page([sold], None), None, None, Viewer("token", ReaderTime.here(0)))
    assert f'<td class="price" data-label="Charged"><div>{said}' in shown

"""What one reads of the ledger: the caller's own calls, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.purchases import LOCAL, Principal
from tests.unit.calls.test_pipeline import ACTION, always_charged, buying, opened, settled

pytestmark = pytest.mark.anyio


async def test_what_a_call_was_given_and_its_receipts_are_read_by_its_caller_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, _, ledger):
        end = await calls.pay(buying(a=1), Caller(LOCAL))
        row = await settled(ledger, end)
        mine, another = calls.reader(LOCAL), calls.reader(Principal("somebody else"))
        assert await mine.call(row.call_id) == row
        assert await another.call(row.call_id) is None
        assert mine.arguments_of(row) == {"a": 1}
        assert [await one.receipts(ACTION, among=5) for one in (mine, another)] == [(1, 1), (0, 0)]
        assert mine.paying(ACTION) == ("jecp", "hub agent")
        refused = replace(end, call_id=None)
        assert await mine.with_copy_number(refused, labelled=True) is refused

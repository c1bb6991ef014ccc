"""A charge whose amount is not the payee's own figure is known for one, also from the ledger alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import UNREAD, Outcome, Refunded, Verdict
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from tests.unit.calls.test_pipeline import buying, opened

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("unread", [True, False])
async def test_the_end_says_so_now_and_later_and_after_a_refund(tmp_path: Path, unread: bool) -> None:
    async def failing(request: StoredRequest, _replay: bool) -> Outcome:
        refusal = Refusal("PROVIDER_ERROR", "No.")
        evidence = f"refused, and yet charged{UNREAD if unread else ''}"
        return Outcome(Verdict.CHARGED, request.hold, None, refusal, evidence, 1, "tx_1", unread)

    async with opened(tmp_path, failing) as (calls, rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        assert (end.charge, end.estimated) == (Charge.YES, unread)
        assert end.call_id is not None
        await ledger.flush()
        rail.paid_back = [Refunded("tx_1", MicroUSDC(1), "refunded: r_1")]
        for back in (0, 1):
            stands = await calls.resolve(end.call_id)
            assert stands is not None
            assert stands.refusal is not None
            assert (stands.estimated, "how much cannot be read" in stands.refusal.message) == (unread, unread)
            assert await calls.note_refunds() == 1 - back


async def test_it_is_still_known_when_the_evidence_goes_on(tmp_path: Path) -> None:
    async def answered(request: StoredRequest, _replay: bool) -> Outcome:
        answer = Answer(request.call_id, {}, Billing(charged=True, reference="tx_1"))
        return Outcome(Verdict.CHARGED, request.hold, answer, None, f"answered, charged{UNREAD}", 1, "tx_1", True)

    async with opened(tmp_path, answered) as (calls, _rail, ledger):
        for n in (1, 2):
            end = await calls.pay(buying(n=n), Caller(LOCAL))
            assert end.call_id is not None
            await ledger.flush()
            row = await ledger.row(end.call_id)
            assert row is not None
            assert row.evidence is not None
            assert row.evidence.endswith("another call's" if n == 2 else UNREAD)
            stands = await calls.resolve(end.call_id)
            assert stands is not None
            assert (end.estimated, stands.estimated) == (True, True)

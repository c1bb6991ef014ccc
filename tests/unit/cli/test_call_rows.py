"""What a call of the ledger says to programs of the answer that it had."""

from pathlib import Path

import pytest

from jecp_mcp.calls.refusals import standing
from jecp_mcp.cli.call_rows import call_json
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import reservation


@pytest.mark.anyio
async def test_an_answer_is_kept_or_was_dropped_or_never_came(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", most_kept=10_000)
    for name, answer in (("first", b"x" * 9_000), ("silent", None), ("second", b"x" * 9_000)):
        await ledger.reserve(reservation(ledger.session, call_id=name))
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(5_000), answer=answer))
        ledger.note_delivery(name)
    await ledger.trim()
    rows = await ledger.rows()
    assert {row.call_id: call_json(row)["answer"] for row in rows} == {
        "first": "dropped",
        "silent": None,
        "second": "kept",
    }
    dropped, silent = await ledger.row("first"), await ledger.row("silent")
    assert dropped is not None
    assert silent is not None
    assert "its answer was dropped since (ledger.keep_bodies_days and keep_bodies_mb)" in standing(dropped).message
    assert "dropped" not in standing(silent).message
    await ledger.close()

"""Copies of one call: told by what their fingerprints have in common, open ones found, and counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import Conclusion
from tests.unit.mandate.reservations import reservation

pytestmark = pytest.mark.anyio


async def bought(ledger: Ledger, call_id: str, fingerprint: str, verdict: Verdict | None = None) -> None:
    await ledger.reserve(reservation(ledger.session, 10, call_id=call_id, fingerprint=fingerprint))
    if verdict is not None:
        ledger.conclude(Conclusion(call_id, verdict, attempts=1))


async def test_the_open_copies_of_a_call_are_found_and_no_other_calls(ledger: Ledger) -> None:
    for call_id, fingerprint in [("bare", "ab"), ("two", "ab.2"), ("long", "abc"), ("near", "ab0"), ("other", "a")]:
        await bought(ledger, call_id, fingerprint)
    await bought(ledger, "lost", "ab.3", Verdict.IN_DOUBT)
    await bought(ledger, "free", "ab.4", Verdict.NOT_CHARGED)
    await bought(ledger, "paid", "ab.5", Verdict.CHARGED)
    found = await ledger.open_copies("ab")
    assert {row.call_id for row in found} == {"bare", "two", "lost"}
    assert {row.call_id for row in await ledger.open_copies("ab", wait=False)} == {"bare", "two", "lost"}
    assert not await ledger.open_copies("b")


async def test_a_copy_has_the_number_of_those_before_it_that_may_have_been_bought(ledger: Ledger) -> None:
    await bought(ledger, "other", "abc", Verdict.CHARGED)
    await bought(ledger, "first", "ab", Verdict.CHARGED)
    await bought(ledger, "free", "ab.1", Verdict.NOT_CHARGED)
    await bought(ledger, "lost", "ab.2", Verdict.IN_DOUBT)
    await bought(ledger, "last", "ab.3")
    await bought(ledger, "bare", "ab")
    await ledger.flush()
    asked = ("first", "lost", "last", "bare", "other", "nobody")
    numbers = {call_id: await ledger.copy_number(call_id) for call_id in asked}
    assert numbers == {"first": 1, "lost": 2, "last": 3, "bare": 4, "other": 1, "nobody": 0}


async def test_the_receipts_of_a_payee_are_counted_among_the_latest_calls(ledger: Ledger) -> None:
    for at, (payee, verdict, reference) in enumerate(
        [
            ("shop", Verdict.CHARGED, "old"),
            ("shop", Verdict.CHARGED, None),
            ("other", Verdict.CHARGED, None),
            ("shop", Verdict.NOT_CHARGED, None),
            ("shop", Verdict.CHARGED, "0x1"),
        ]
    ):
        await ledger.reserve(replace(reservation(ledger.session, 10, call_id=f"call_{at}"), payee=payee))
        ledger.conclude(Conclusion(f"call_{at}", verdict, charged=10, reference=reference, attempts=1))
    one = (await ledger.rows(limit=1))[0]
    told = [await ledger.receipts(one.principal, one.source, "shop", among=among) for among in (4, 5)]
    assert told == [(2, 1), (3, 2)]
    assert await ledger.receipts("nobody", one.source, "shop", among=5) == (0, 0)

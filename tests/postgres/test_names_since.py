"""A source or payee that is called otherwise since, by the ledger in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from tests.unit.mandate.test_names_since import CASES, counts_programs, is_counted_on

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Opener = Callable[[str], PostgresLedger]


@pytest.mark.parametrize("case", CASES)
async def test_a_limit_counts_what_was_spent_under_the_name_before(open_one: Opener, case: str) -> None:
    await is_counted_on(lambda: open_one("s"), case)


async def test_a_limit_that_names_a_tool_counts_what_programs_buy(open_one: Opener) -> None:
    await counts_programs(lambda: open_one("s"))

"""A ledger on a real server, with a clock the test moves."""

from collections.abc import AsyncIterator

import pytest

from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from tests.postgres.fixtures import (
    ServerClock,
    behind,
    cluster,
    database,
    impatient,
    open_one,
    open_server,
    proxy,
    server_clock,
)

__all__ = ["behind", "cluster", "database", "impatient", "open_one", "proxy", "server_clock"]


@pytest.fixture
def clock(server_clock: ServerClock) -> ServerClock:
    return server_clock


@pytest.fixture
async def ledger(database: str, clock: ServerClock) -> AsyncIterator[PostgresLedger]:
    opened = open_server(database, "session")
    yield opened
    await opened.close()

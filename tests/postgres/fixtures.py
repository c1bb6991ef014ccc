"""Fixtures of a ledger in PostgreSQL, for these tests and for every test that runs against both kinds of ledger.

A folder's conftest.py takes what it needs: ``from tests.postgres.fixtures import cluster, database, server_clock``.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from pydantic import SecretStr

from jecp_mcp.mandate.postgres import server
from jecp_mcp.mandate.postgres.connection import Connection
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from tests.postgres.cluster import Cluster, new_cluster
from tests.postgres.proxy import Proxy
from tests.unit.mandate.reservations import START, HandClock

_HAND = f"""
CREATE TABLE public.hand(at bigint NOT NULL);
INSERT INTO public.hand VALUES ({START});
CREATE OR REPLACE FUNCTION jecp_mcp.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT at FROM public.hand $$;
"""


class ServerClock(HandClock):
    """A clock that moves only when told, and the server's with it."""

    def __init__(self, url: str) -> None:
        Connection.open(url).close()
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_HAND)
        super().__init__()

    @property
    def at(self) -> int:
        return self._at

    @at.setter
    def at(self, at: int) -> None:
        self._at = at
        self._connection.execute("UPDATE public.hand SET at = %s", (at,))

    def close(self) -> None:
        self._connection.close()


def open_server(url: str, session: str) -> PostgresLedger:
    """The ledger of a process session."""
    return PostgresLedger(SecretStr(url), session)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server."""
    made = new_cluster()
    yield made
    made.remove()


@pytest.fixture
def database(cluster: Cluster) -> str:
    """The address of an empty database."""
    return cluster.emptied()


@pytest.fixture
def server_clock(database: str) -> Iterator[ServerClock]:
    """The clock of the ledger in `database`."""
    made = ServerClock(database)
    yield made
    made.close()


@pytest.fixture
def open_one(database: str) -> Callable[[str], PostgresLedger]:
    """Opens the ledger in `database` for a session."""
    return lambda session: open_server(database, session)


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """A line to the server of `database` that the test can break."""
    made = Proxy(database)
    yield made
    made.close()


@pytest.fixture
async def behind(proxy: Proxy) -> AsyncIterator[PostgresLedger]:
    """The ledger at the end of that line."""
    opened = open_server(proxy.url, "behind")
    await opened.totals()
    yield opened
    proxy.open()
    await opened.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a server."""
    monkeypatch.setattr(server, "LONGEST_WAIT", 0.2)

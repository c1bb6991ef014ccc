"""kill -9 at every point of a paid call and of its recovery: never two charges, and in the end the Hub's very books."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import httpx2
import pytest

from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.cli.hub_process import private_hub
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import OPEN, State
from tests.crash.calls import paying
from tests.crash.calls.paying import PRICE, Account
from tests.crash.mandate.points import spread

pytestmark = pytest.mark.anyio

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.crash.calls.paying"])

EXECUTED = "http11.receive_response_headers.complete"
"""The Hub has answered, and nobody here has read what."""
NOT_SENT = "connection.connect_tcp.started"
"""The reservation is durable, and no byte has left."""


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder in memory, where there is one: a kill leaves the system's own copies of files as they are."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


class Market:
    """A sandbox Hub in a process of its own, and a new agent for every life."""

    def __init__(self, url: str, http: httpx2.AsyncClient, room: Path) -> None:
        self.url, self.http, self.room = url, http, room
        self.deaths = 0
        self.points: dict[str, int] = {}

    async def agent(self) -> Account:
        made = (await self.http.post("/api/agents/register", json={"name": "dying"})).raise_for_status().json()
        account = Account(self.url, made["agent_id"], made["api_key"])
        wallet = {"balance_usdc": "10", "rate_limit_rpm": 1_000_000}
        (await self.http.post("/sandbox/wallet", json=wallet, headers=keys(account))).raise_for_status()
        return account

    async def books(self, account: Account) -> dict[str, int]:
        """What the Hub has charged, by call id."""
        answer = await self.http.get("/sandbox/books", headers=keys(account))
        transactions = answer.raise_for_status().json()["transactions"]
        charged = {one["call_id"]: one["amount_micro"] for one in transactions}
        assert len(charged) == len(transactions), "the Hub charged a call twice"
        return charged

    def live(self, folder: Path, account: Account, deed: str, last: int | str) -> tuple[str | None, list[str]]:
        """One process's life: where it died (None when it did not), and the calls whose answers it had."""
        ours, theirs = CHILDREN.Pipe(duplex=False)
        child = CHILDREN.Process(target=paying.live, args=(folder, account, deed, last, theirs))
        child.start()
        theirs.close()
        answered, at, passed = [], None, None
        while True:
            try:
                word, value = ours.recv()
            except EOFError:
                break
            if word == "answered":
                answered.append(value)
            elif word == "died":
                at = value
            else:
                passed = value
        child.join(60)
        ours.close()
        assert child.exitcode == (0 if at is None else -signal.SIGKILL), (deed, last, at)
        child.close()
        self.deaths += at is not None
        if passed is not None:
            self.points[deed] = passed
        return at, answered

    async def begin(self, deed: str) -> tuple[Path, Account, list[str]]:
        """A folder and an agent; for a recovery, with two calls of dead processes: one executed, one never sent."""
        folder, account, answered = self.room / "life", await self.agent(), []
        folder.mkdir()
        if deed == "recover":
            for point in (EXECUTED, NOT_SENT):
                at, some = self.live(folder, account, "pay", point)
                assert at == point
                answered += some
        return folder, account, answered

    async def life(self, deed: str, last: int) -> None:
        """Let a process die at this point, and see what the next one makes of it."""
        folder, account, answered = await self.begin(deed)
        at, some = self.live(folder, account, deed, last)
        await self.check(folder, account, [*answered, *some], at)
        shutil.rmtree(folder)

    async def check(self, folder: Path, account: Account, answered: list[str], at: str | None) -> None:
        ledger = open_ledger(folder / "ledger.db")
        totals = await ledger.totals()
        assert sum((await self.books(account)).values()) <= totals.charged + totals.held, at
        assert (await ledger.audit()).findings == (), at
        await ledger.close()
        with anyio.fail_after(60):
            async with paying.pipeline(folder, account) as (calls, ledger):
                await calls.recover()
                await ledger.flush()
                while open_rows := await ledger.rows(states=OPEN):
                    for row in open_rows:
                        await calls.resolve(row.call_id)
                    await ledger.flush()
                rows = await ledger.rows()
                report = await ledger.audit()
        charged = await self.books(account)
        assert {row.call_id: row.charged for row in rows if row.charged} == charged, at
        assert all(row.state in {State.SETTLED, State.RECONCILED_CHARGED} for row in rows if row.call_id in charged), at
        assert all(row.held == PRICE for row in rows), at
        assert set(answered) <= set(charged), at
        assert report.findings == (), at
        connection = apsw.Connection(str(folder / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
        assert connection.execute("PRAGMA integrity_check").get == "ok", at
        connection.close()


def keys(account: Account) -> dict[str, Any]:
    return {"X-Agent-ID": account.agent_id, "X-API-Key": account.api_key}


@pytest.fixture(scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    folder = tmp_path_factory.mktemp("hub")
    async with (
        private_hub(folder / "hub.sqlite") as hub,
        httpx2.AsyncClient(base_url=hub.url, headers={"X-Sandbox-Key": hub.control_key}) as http,
    ):
        yield hub.url, http


@pytest.fixture
def place(hub: tuple[str, httpx2.AsyncClient], room: Path) -> Market:
    return Market(*hub, room)


async def count(place: Market, deed: str) -> int:
    await place.life(deed, 0)
    return place.points[deed]


@pytest.mark.parametrize("deed", ["pay", "recover"])
@pytest.mark.slow
async def test_whatever_a_killed_process_left_ends_as_the_hubs_books_say(place: Market, deed: str) -> None:
    for last in spread(await count(place, deed), 7):
        await place.life(deed, last)
    assert place.deaths >= 6


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("connection.connect_tcp.started", marks=pytest.mark.slow),
        pytest.param("http11.send_request_headers.started", marks=pytest.mark.slow),
        "http11.send_request_body.complete",
        pytest.param("http11.receive_response_headers.complete", marks=pytest.mark.slow),
        "http11.receive_response_body.complete",
        pytest.param("before the conclusion", marks=pytest.mark.slow),
        "after the conclusion, which is not written yet",
    ],
)
async def test_a_process_killed_between_the_reservation_and_the_conclusion_pays_once(place: Market, point: str) -> None:
    folder, account, _ = await place.begin("pay")
    at, answered = place.live(folder, account, "pay", point)
    assert (at, answered) == (point, [])
    if "receive" in point or "conclusion" in point:
        assert len(await place.books(account)) == 1
    await place.check(folder, account, answered, at)
    assert len(await place.books(account)) == 1


@pytest.mark.slow
async def test_a_killed_process_leaves_a_call_that_no_new_label_buys_again_before_it_is_found_out(
    place: Market,
) -> None:
    folder, account, _ = await place.begin("pay")
    place.live(folder, account, "pay", EXECUTED)
    wish = Purchase("text_stats_count", paying.ACTION, {"text": paying.TEXTS[0]}, label="2")
    async with paying.pipeline(folder, account) as (calls, ledger):
        (lost,) = await ledger.rows()
        refused = await calls.pay(wish, Caller(LOCAL))
        assert (refused.call_id, refused.charge) == (lost.call_id, Charge.UNKNOWN)
        assert len(await place.books(account)) == 1
        found = await calls.resolve(lost.call_id)
        assert found is not None
        assert found.charge is Charge.YES
        copy = await calls.pay(wish, Caller(LOCAL))
        await ledger.flush()
        assert await ledger.copy_number(str(copy.call_id)) == 2
    assert set(await place.books(account)) == {lost.call_id, copy.call_id}


@pytest.mark.slow
@pytest.mark.parametrize("deed", ["pay", "recover"])
async def test_every_point_of_a_paid_call_and_of_its_recovery_can_be_the_last(place: Market, deed: str) -> None:
    most = await count(place, deed)
    for last in range(1, most + 1):
        await place.life(deed, last)
    print(f"{deed}: {place.deaths} kills")
    assert place.deaths >= most

"""A full pool makes its own requests wait, and no other's."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import httpx2
import pytest

from jecp_mcp.sandbox import bulkhead
from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.bulkhead import SIZES, STARTS_IN_A_TURN, Pool, PoolName
from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.sandbox.conftest import error
from tests.contract.sandbox.test_webhooks import client_of

pytestmark = pytest.mark.anyio

REQUESTS: dict[PoolName, tuple[str, str]] = {
    "invoke": ("POST", "/v1/jecp"),
    "read": ("GET", "/v1/refunds"),
    "provider": ("PATCH", "/v1/subscriptions/none"),
}


async def ask(http: httpx2.AsyncClient, name: PoolName) -> httpx2.Response:
    call = {
        "jecp": "1.0",
        "id": uuid.uuid4().hex,
        "capability": "text-stats",
        "action": "count",
        "input": {"text": "x"},
    }
    method, path = REQUESTS[name]
    return await http.request(method, path, json=call if name == "invoke" else {})


@pytest.mark.slow
@pytest.mark.parametrize("full", SIZES)
@pytest.mark.requirement("OPERATIONS-BULKHEAD-2", "OPERATIONS-BULKHEAD-4")
async def test_a_full_pool_starves_no_other_and_says_so(full: PoolName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulkhead, "MOST_WAITING", 1)
    app = build_app(SandboxConfig())
    pool = hub_of(app).bulkhead.pools[full]
    answered: list[int] = []
    async with app.router.lifespan_context(app), client_of(app) as http:
        places = [pool.place() for _ in range(pool.size)]
        for place in places:
            await place.__aenter__()

        async def wait_for_a_place() -> None:
            answered.append((await ask(http, full)).status_code)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_for_a_place)
                while not pool.view()["waiting"]:
                    await anyio.lowlevel.checkpoint()
                refused = await ask(http, full)
                assert error(refused, "SERVICE_DEGRADED", 503)["error"]["details"]["retry_after_seconds"] == 1
                health = (await http.get("/health")).json()
                assert health["status"] == "ok"
                for name in SIZES:
                    shown = health["pools"][name]
                    here = name == full
                    assert shown == {
                        "status": "saturated" if here else "ok",
                        "size": SIZES[name],
                        "idle": 0 if here else SIZES[name],
                        "waiting": int(here),
                    }
                    if not here:
                        assert (await ask(http, name)).status_code in {200, 404}
                assert answered == []
                await places.pop().__aexit__(None, None, None)
        assert answered in ([200], [404])
        for place in places:
            await place.__aexit__(None, None, None)
        assert pool.view()["idle"] == pool.size


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("name", SIZES)
async def test_a_surge_leaves_every_turn_of_the_loop_to_others_too(name: PoolName, beside: bool) -> None:
    """However many are ready at once, only so many begin before whoever else is ready gets on: one, beside others."""
    pools, most = bulkhead.Bulkhead().pools, 1 if beside else STARTS_IN_A_TURN[name]
    loop, pool, turn = asyncio.get_running_loop(), pools[name], 0
    began: list[int] = []
    wanted = 3 * STARTS_IN_A_TURN[name]

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(began) < wanted:
            loop.call_soon(count)

    async def work() -> None:
        async with pool.place():
            began.append(turn)

    count()
    with anyio.fail_after(60):
        async with AsyncExitStack() as others, anyio.create_task_group() as group:
            if beside:
                await others.enter_async_context(pools["read" if name == "invoke" else "invoke"].place())
            for _ in range(wanted):
                group.start_soon(work)
    assert len(began) == wanted
    assert max(Counter(began).values()) <= most


async def test_who_is_stopped_while_it_waits_for_its_turn_holds_no_place() -> None:
    pool = Pool("read")
    async with pool.place():
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with pool.place():
                raise AssertionError("it was to be stopped")
    assert pool.view() == {"status": "ok", "size": pool.size, "idle": pool.size, "waiting": 0}

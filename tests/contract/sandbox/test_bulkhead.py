"""A full pool makes its own requests wait, and no other's."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from jecp_mcp.provider import Provider
from jecp_mcp.sandbox import bulkhead
from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.bulkhead import A_FEW, BESIDE_OTHERS_SECONDS, SIZES, Bulkhead, Pool, PoolName
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.providers.conftest import Endpoint, endpoint, manifest
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


async def begin_and_end(pool: Pool, many: int) -> tuple[list[int], list[int]]:
    """In which turn of the loop each of so many began that were ready at once, and in which it had ended.

    As many as have a place end at once, too.
    """
    loop, turn, all_began = asyncio.get_running_loop(), 0, anyio.Event()
    began: list[int] = []
    ended: list[int] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(ended) < many:
            loop.call_soon(count)

    async def work() -> None:
        async with pool.place():
            began.append(turn)
            if len(began) >= min(many, pool.size):
                all_began.set()
            await all_began.wait()
        ended.append(turn)

    count()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(many):
                group.start_soon(work)
    return began, ended


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("beside", [False, True])
async def test_a_surge_leaves_every_turn_of_the_loop_to_others_too(name: PoolName, beside: bool) -> None:
    """However many are ready at once, a few begin or end before whoever else is ready gets on: one, beside others."""
    pools, many = Bulkhead(HubDatabase(None)).pools, SIZES["read"]
    async with AsyncExitStack() as others:
        if beside:
            await others.enter_async_context(pools["read" if name == "invoke" else "invoke"].place())
        began, ended = await begin_and_end(pools[name], many)
    assert len(began) == len(ended) == many
    # The first few and the last are no crowd.
    steps = began[A_FEW:] + ended[:-A_FEW] if beside else began
    assert max(Counter(steps).values()) == (1 if beside else A_FEW)
    assert max(Counter(ended).values()) <= A_FEW


@pytest.mark.parametrize("name", SIZES)
async def test_a_few_begin_in_the_same_turn(name: PoolName) -> None:
    began, ended = await begin_and_end(Bulkhead(HubDatabase(None)).pools[name], A_FEW)
    assert (len(set(began)), len(set(ended))) == (1, 1)


@pytest.mark.parametrize("name", SIZES)
async def test_beside_others_a_surge_leaves_half_of_the_time(name: PoolName) -> None:
    pools, many = Bulkhead(HubDatabase(None)).pools, 8 * A_FEW
    began = asyncio.get_running_loop().time()
    async with pools["read" if name == "invoke" else "invoke"].place():
        await begin_and_end(pools[name], many)
    # What it may make up for, and the few first and last, which are no crowd, need not be waited for.
    assert asyncio.get_running_loop().time() - began >= (many - 4 * A_FEW) * BESIDE_OTHERS_SECONDS[name]


@pytest.mark.parametrize("name", SIZES)
async def test_what_a_surge_did_alone_is_not_held_against_it(name: PoolName) -> None:
    pools = Bulkhead(HubDatabase(None)).pools
    await begin_and_end(pools[name], 8 * A_FEW)
    async with AsyncExitStack() as places:
        await places.enter_async_context(pools["read" if name == "invoke" else "invoke"].place())
        for _ in range(A_FEW + 1):
            await places.enter_async_context(pools[name].place())
        assert pools[name].crowded
        assert pools[name].pause() <= A_FEW * BESIDE_OTHERS_SECONDS[name]


@pytest.mark.slow
@pytest.mark.parametrize("full", SIZES)
async def test_requests_that_wait_in_every_place_of_a_pool_starve_no_other(full: PoolName) -> None:
    app = build_app(SandboxConfig(loopback=True))
    hub, answered = hub_of(app), list[int]()
    with endpoint() as point:
        async with app.router.lifespan_context(app), client_of(app) as http, anyio.create_task_group() as group:
            auth = await seller_of_words(http, point)

            async def wait_in_place(number: int) -> None:
                # Each keeps its place while it waits for somebody else.
                match full:
                    case "invoke":
                        answer = await buy_words(http)
                    case "read":
                        answer = await http.get("/v1/refunds")
                    case "provider":
                        made = manifest("words", point.url, version=f"2.0.{number}")
                        answer = await http.post("/v1/manifests", json=made, headers=auth)
                answered.append(answer.status_code)

            match full:
                case "invoke":
                    point.goes_on.clear()
                case "provider":
                    point.looked_after.clear()
                case "read":
                    key = {"X-Sandbox-Key": hub.config.control_key}
                    fault = {"match": "/v1/refunds", "fault": "delay:600", "times": SIZES[full]}
                    (await http.post("/sandbox/faults", json=fault, headers=key)).raise_for_status()
            for number in range(SIZES[full]):
                group.start_soon(wait_in_place, number)
            with anyio.fail_after(60):
                while (await http.get("/health")).json()["pools"][full]["status"] != "saturated":
                    await anyio.lowlevel.checkpoint()
                if full != "invoke":
                    assert (await ask(http, "invoke")).status_code == 200
                    assert (await buy_words(http)).status_code == 200
                if full != "read":
                    assert (await http.get("/v1/capabilities")).status_code == 200
                    assert (await ask(http, "read")).status_code == 200
                if full != "provider":
                    # Its health is asked for at the very address at which the calls wait.
                    made = manifest("words", point.url, version="1.0.1")
                    assert (await http.post("/v1/manifests", json=made, headers=auth)).status_code == 201
                    assert (await ask(http, "provider")).status_code == 404
            assert answered == []
            point.goes_on.set()
            point.looked_after.set()
            if full == "read":
                group.cancel_scope.cancel()
        assert answered == [] if full == "read" else set(answered) == {200 if full == "invoke" else 201}
        assert len(answered) == (0 if full == "read" else SIZES[full])


async def seller_of_words(http: httpx2.AsyncClient, point: Endpoint) -> dict[str, str]:
    """Have an endpoint sell; the headers of its provider."""
    body = {"namespace": "words", "display_name": "Words", "owner_email": "a@words.example", "country": "JP"}
    made = (await http.post("/v1/providers/register", json={**body, "endpoint_url": point.url})).json()
    auth = {"Authorization": f"Bearer {made['provider_api_key']}"}
    await http.post("/v1/providers/verify-dns", json={}, headers=auth)
    link = await http.post("/v1/providers/connect-stripe", json={}, headers=auth)
    assert (await http.post(link.json()["onboarding_url"])).status_code == 303
    (await http.post("/v1/manifests", json=manifest("words", point.url), headers=auth)).raise_for_status()
    point.provider = Provider(made["hmac_secret"], manifest("words", point.url))

    @point.provider.action("count")
    def count(call: Any) -> Any:
        return {"words": len(call.input["text"].split())}

    return auth


async def buy_words(http: httpx2.AsyncClient) -> httpx2.Response:
    call = {"jecp": "1.0", "id": uuid.uuid4().hex, "capability": "words/words", "action": "count"}
    return await http.post("/v1/invoke", json={**call, "input": {"text": "one two"}})


async def test_who_is_stopped_while_it_waits_for_its_turn_holds_no_place() -> None:
    pool = Bulkhead(HubDatabase(None)).pools["read"]
    async with pool.place():
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with pool.place():
                raise AssertionError("it was to be stopped")
    assert pool.view() == {"status": "ok", "size": pool.size, "idle": pool.size, "waiting": 0}

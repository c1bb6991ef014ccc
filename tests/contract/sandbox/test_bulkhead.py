"""A full pool makes its own requests wait, and no other's."""

from __future__ import annotations

import uuid

import anyio
import anyio.lowlevel
import httpx2
import pytest

from jecp_mcp.sandbox import bulkhead
from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.bulkhead import SIZES, PoolName
from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.sandbox.conftest import error
from tests.contract.sandbox.test_webhooks import client_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

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


@pytest.mark.parametrize("full", SIZES)
@pytest.mark.requirement("OPERATIONS-BULKHEAD-2", "OPERATIONS-BULKHEAD-4")
async def test_a_full_pool_starves_no_other_and_says_so(full: PoolName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulkhead, "MOST_WAITING", 1)
    app = build_app(SandboxConfig())
    pool = hub_of(app).bulkhead.pools[full]
    answered: list[int] = []
    async with app.router.lifespan_context(app), client_of(app) as http:
        for _ in range(pool.size):
            await pool.enter()

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
                pool.leave()
        assert answered in ([200], [404])
        for _ in range(pool.size - 1):
            pool.leave()
        assert pool.view()["idle"] == pool.size

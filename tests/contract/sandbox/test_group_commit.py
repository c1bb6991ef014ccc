"""What was answered is on the disk; calls at the same time share the wait for it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest

from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.run import SandboxConfig
from tests.contract.sandbox.conftest import error
from tests.contract.sandbox.test_webhooks import client_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALLS = 16


async def call(http: httpx2.AsyncClient, call_id: str) -> httpx2.Response:
    asked = {"jecp": "1.0", "id": call_id, "capability": "text-stats", "action": "count", "input": {"text": "x"}}
    return await http.post("/v1/jecp", json=asked)


async def books(http: httpx2.AsyncClient) -> dict[str, Any]:
    return dict((await http.get("/sandbox/books")).json())


async def test_calls_at_the_same_time_are_committed_together() -> None:
    app = build_app(SandboxConfig())
    commits: list[int] = []
    async with app.router.lifespan_context(app), client_of(app) as http:
        await call(http, "warm-up-1")
        hub_of(app).database._db.set_commit_hook(lambda: bool(commits.append(1)))
        async with anyio.create_task_group() as group:
            for number in range(CALLS):
                group.start_soon(call, http, f"call-{number:04}")
        assert len((await books(http))["transactions"]) == CALLS + 1
        assert 1 <= len(commits) <= CALLS // 2


async def test_what_cannot_be_committed_is_not_answered_and_not_sold() -> None:
    app = build_app(SandboxConfig())
    async with app.router.lifespan_context(app), client_of(app) as http:
        http._transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        await call(http, "warm-up-1")
        database = hub_of(app).database
        database._db.set_commit_hook(lambda: True)
        error(await call(http, "call-0001"), "INTERNAL_ERROR", 500)
        database._db.set_commit_hook(None)
        assert [row["call_id"] for row in (await books(http))["transactions"]] == ["warm-up-1"]
        assert (await call(http, "call-0001")).status_code == 200
        assert [row["call_id"] for row in (await books(http))["transactions"]] == ["warm-up-1", "call-0001"]

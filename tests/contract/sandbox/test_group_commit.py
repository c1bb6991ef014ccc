"""What was answered is on the disk; calls at the same time share the wait for it."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest

from jecp_mcp.sandbox import background
from jecp_mcp.sandbox.app import build_app, hub_of
from jecp_mcp.sandbox.run import SandboxConfig
from jecp_mcp.sandbox.webhooks import dispatcher
from tests.contract.providers.conftest import COUNTS, endpoint, manifest
from tests.contract.sandbox.conftest import error
from tests.contract.sandbox.receiver import receiver
from tests.contract.sandbox.test_webhooks import client_of, ended

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


async def test_whoever_needs_no_books_is_answered_while_the_disk_is_waited_for() -> None:
    app = build_app(SandboxConfig())
    async with app.router.lifespan_context(app), client_of(app) as http:
        await call(http, "warm-up-1")
        writing, written, answered = threading.Event(), threading.Event(), []

        def hold() -> bool:
            writing.set()
            written.wait(60)
            return False

        async def ask(call_id: str) -> None:
            answered.append((await call(http, call_id)).status_code)

        hub_of(app).database._db.set_commit_hook(hold)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(ask, "call-0001")
                await anyio.to_thread.run_sync(writing.wait)
                # Nor do those keep the loop from others who come meanwhile and need the books.
                group.start_soon(ask, "call-0002")
                group.start_soon(http.get, "/sandbox/books")
                for path in ("/v1/capabilities", "/.well-known/agent-guide.json", "/llms.txt"):
                    assert (await http.get(path)).status_code == 200
                assert answered == []
                written.set()
        hub_of(app).database._db.set_commit_hook(None)
        assert answered == [200, 200]
        assert len((await books(http))["transactions"]) == 3


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


async def test_nobody_who_waits_gets_a_receipt_for_a_sale_that_could_not_be_kept() -> None:
    app = build_app(SandboxConfig())
    async with app.router.lifespan_context(app), client_of(app) as http:
        http._transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        hub, answers = hub_of(app), []
        hub.fulfilment.workers.submit(int).result()
        begun, goes_on = anyio.Event(), anyio.Event()
        run = hub.fulfilment.run

        async def held(accepted: Any) -> Any:
            begun.set()
            await goes_on.wait()
            return await run(accepted)

        hub.fulfilment.run = held  # type: ignore[method-assign]  # holds the work until the others wait for it

        async def ask() -> None:
            answers.append(await call(http, "call-0001"))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await begun.wait()
            for _ in range(3):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            await hub.database.durable()
            hub.database._db.set_commit_hook(lambda: True)
            goes_on.set()
        hub.database._db.set_commit_hook(None)
        assert len(answers) == 4
        for answer in answers:
            error(answer, "INTERNAL_ERROR", 500)
        assert (await books(http))["transactions"] == []
        assert (await call(http, "call-0001")).status_code == 200


async def test_a_manifest_that_could_not_be_kept_is_not_for_sale() -> None:
    app = build_app(SandboxConfig(loopback=True))
    async with app.router.lifespan_context(app), client_of(app) as http:
        http._transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        hub = hub_of(app)
        with endpoint() as point:
            body = {"namespace": "words", "display_name": "Words", "owner_email": "a@words.example", "country": "JP"}
            made = await http.post("/v1/providers/register", json={**body, "endpoint_url": point.url})
            auth = {"Authorization": f"Bearer {made.json()['provider_api_key']}"}
            await http.post("/v1/providers/verify-dns", json={}, headers=auth)
            link = await http.post("/v1/providers/connect-stripe", json={}, headers=auth)
            free = {**COUNTS, "pricing": {"base": "$0", "currency": "USD", "model": "flat"}}
            given = {"json": manifest("words", point.url, actions=[free]), "headers": auth}
            hub.database._db.set_commit_hook(lambda: True)
            assert (await http.post("/v1/manifests", **given)).status_code == 500
            assert not hub.catalog.has_namespace("words")
            hub.database._db.set_commit_hook(None)
            paid = {"json": manifest("words", point.url), "headers": auth}
            assert (await http.post("/v1/manifests", **paid)).json()["status"] == "submitted"
            hub.database._db.set_commit_hook(lambda: True)
            assert (await http.post(link.json()["onboarding_url"])).status_code == 500
            assert not hub.catalog.has_namespace("words")
            hub.database._db.set_commit_hook(None)
            assert (await http.post(link.json()["onboarding_url"])).status_code == 303
            assert hub.catalog.has_namespace("words")


async def test_a_webhook_whose_success_could_not_be_kept_keeps_its_place_until_it_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (background, dispatcher):
        monkeypatch.setattr(module, "AFTER_FAULT_SECONDS", 0.01)
    app = build_app(SandboxConfig(loopback=True))
    async with app.router.lifespan_context(app), client_of(app) as http:
        hub = hub_of(app)
        with receiver() as told:
            made = await http.post("/v1/subscriptions", json={"endpoint_url": told.url})
            await http.post(f"/v1/subscriptions/{made.json()['subscription_id']}/test")
            hub.database._db.set_commit_hook(lambda: True)
            with anyio.fail_after(60):
                while "what became of a webhook" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
            hub.database._db.set_commit_hook(None)
            await ended(http)


async def test_a_manifest_published_while_its_provider_becomes_payable_is_for_sale() -> None:
    app = build_app(SandboxConfig(loopback=True))
    async with app.router.lifespan_context(app), client_of(app) as http:
        hub = hub_of(app)
        body = {"namespace": "words", "display_name": "Words", "owner_email": "a@words.example", "country": "JP"}
        url = "http://127.0.0.1:9/jecp"
        made = await http.post("/v1/providers/register", json={**body, "endpoint_url": url})
        auth = {"Authorization": f"Bearer {made.json()['provider_api_key']}"}
        await http.post("/v1/providers/verify-dns", json={}, headers=auth)
        link = (await http.post("/v1/providers/connect-stripe", json={}, headers=auth)).json()["onboarding_url"]

        async def healthy_once_onboarded(_endpoint: str) -> bool:
            return (await http.post(link)).status_code == 303

        hub.forwarder.is_healthy = healthy_once_onboarded  # type: ignore[method-assign]  # takes as long as that
        answer = await http.post("/v1/manifests", json=manifest("words", url), headers=auth)
        assert answer.json()["status"] == "active"
        assert hub.catalog.has_namespace("words")

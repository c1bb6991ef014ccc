"""The sandbox Hub as an ASGI application: every endpoint in both dialects' paths.

`build_app` makes it, `jecp_mcp.sandbox.run.serve` serves it. Beside the protocol's endpoints there are those of
`jecp_mcp.sandbox.control_endpoints`, for tests and demonstrations, and pages for a person.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from jecp_mcp.pages import ReaderTime
from jecp_mcp.sandbox import account_endpoints, control_endpoints, discovery, html_pages
from jecp_mcp.sandbox.catalog_pages import CatalogPages
from jecp_mcp.sandbox.config import SandboxConfig
from jecp_mcp.sandbox.console.endpoints import ConsolePages
from jecp_mcp.sandbox.dialect import Dialect, Endpoint
from jecp_mcp.sandbox.endpoints import (
    Handler,
    check_json,
    dialect_of,
    from_own_page,
    html_reply,
    json_reply,
    read_body,
    refusal_for,
    response_of,
    route_endpoint,
)
from jecp_mcp.sandbox.error_answers import Refused, Reply
from jecp_mcp.sandbox.event_stream import EventStream, ReplayedStream
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.middleware import Connections, CorsMiddleware, LegacyAliasMiddleware, LoopbackMiddleware
from jecp_mcp.sandbox.providers import endpoints as provider_endpoints
from jecp_mcp.sandbox.webhooks import endpoints as webhooks

__all__ = ["SandboxConfig", "build_app", "hub_of"]

_RECENT = 10
"""How many calls the front page shows."""


def build_app(config: SandboxConfig, connections: Connections | None = None) -> Starlette:
    """A sandbox Hub.

    Args:
        config: how it runs.
        connections: where the server keeps its open connections, so that a fault can close one; a server that keeps
            none answers such a request with an empty 500.

    Raises:
        SettingsError: the data file or the catalog file cannot be used.
    """
    hub = Hub(config)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as gates, anyio.create_task_group() as group:
            for gate in (hub.call_gate, hub.provider_gate, hub.webhook_gate, *([hub.x402.gate] if hub.x402 else [])):
                await gates.enter_async_context(gate)
            group.start_soon(hub.background.run, hub.clock)
            yield
            group.cancel_scope.cancel()
        hub.close()

    app = _HubApp(
        routes=[
            *_calls(hub),
            *_catalog(hub),
            *_discovery(hub),
            *_accounts(hub),
            *_webhooks(hub),
            *_controls(hub),
            *ConsolePages(hub).routes(),
            *(_route(hub, path, handler, method) for method, path, handler in provider_endpoints.ROUTES),
        ],
        middleware=[
            Middleware(
                LoopbackMiddleware,
                connections={} if connections is None else connections,
                public_url=config.public_url,
            ),
        ],
        exception_handlers={HTTPException: _failing(hub, _no_route), Exception: _failing(hub, _bug)},
        lifespan=lifespan,
    )
    app.state.hub = hub
    return app


class _HubApp(Starlette):
    """An application whose every answer, that to a fault of its own too, has the headers that the protocol demands."""

    def build_middleware_stack(self) -> ASGIApp:
        stack = LegacyAliasMiddleware(super().build_middleware_stack(), hub_of(self).config.dialect)
        return CorsMiddleware(stack)


def hub_of(app: Starlette) -> Hub:
    """The Hub behind an application `build_app` made."""
    hub = app.state.hub
    assert isinstance(hub, Hub)
    return hub


def _route(
    hub: Hub,
    path: str,
    handler: Handler,
    method: str = "GET",
    endpoint: Endpoint = "invoke",
    *,
    with_books: bool = True,
) -> Route:
    pool = hub.bulkhead.assign(method, path)
    return Route(path, route_endpoint(hub, handler, endpoint, pool, with_books=with_books), methods=[method])


def _calls(hub: Hub) -> list[Route]:
    async def sell(hub: Hub, request: Request, dialect: Dialect) -> Reply | Response:
        check_json(request)
        streaming = "text/event-stream" in request.headers.get("accept", "")
        body = await read_body(request)
        answer = await hub.invoke(dialect, request.headers, body, accepts_stream=streaming)
        if isinstance(answer, Reply):
            return answer
        if len(answer) == 3:  # noqa: PLR2004  # a call to stream, its claim and perhaps a fault
            return EventStream(hub, *answer)
        return ReplayedStream(*answer)

    return [
        _route(hub, "/v1/invoke", sell, "POST"),
        _route(hub, "/v1/jecp", sell, "POST", "jecp"),
    ]


def _accounts(hub: Hub) -> list[Route]:
    return [
        *(_route(hub, f"/api/{name}/register", account_endpoints.register, "POST") for name in ("agents", "agent")),
        *(_route(hub, f"/api/{name}/topup", account_endpoints.topup, "POST") for name in ("agents", "agent")),
        _route(hub, "/v1/agents/me/rotate-key", account_endpoints.rotate_key, "POST"),
        _route(hub, "/v1/refunds", account_endpoints.request_refund, "POST"),
        _route(hub, "/v1/refunds", account_endpoints.list_refunds),
        _route(hub, "/v1/refunds/{id}", account_endpoints.show_refund),
        _route(hub, "/topup", account_endpoints.show_topup),
        _route(hub, "/topup", from_own_page(account_endpoints.begin_topup), "POST"),
        _route(hub, "/checkout/{session}", account_endpoints.show_checkout),
        _route(hub, "/checkout/{session}/pay", from_own_page(account_endpoints.pay_checkout), "POST"),
        _route(hub, "/register", account_endpoints.show_register),
        _route(hub, "/register", from_own_page(account_endpoints.register_by_page), "POST"),
    ]


def _webhooks(hub: Hub) -> list[Route]:
    return [
        _route(hub, "/v1/subscriptions", webhooks.subscribe, "POST"),
        _route(hub, "/v1/subscriptions", webhooks.list_subscriptions),
        _route(hub, "/v1/subscriptions/{id}", webhooks.change_subscription, "PATCH"),
        _route(hub, "/v1/subscriptions/{id}", webhooks.delete_subscription, "DELETE"),
        _route(hub, "/v1/subscriptions/{id}/test", webhooks.test_subscription, "POST"),
        _route(hub, "/sandbox/deliveries", webhooks.list_deliveries),
        _route(hub, "/sandbox/deliveries/{id:int}", webhooks.deliver_again, "POST"),
    ]


def _controls(hub: Hub) -> list[Route]:
    with_key = control_endpoints.require_key
    return [
        _route(hub, "/sandbox/faults", with_key(control_endpoints.add_fault), "POST"),
        _route(hub, "/sandbox/faults", with_key(control_endpoints.clear_faults), "DELETE"),
        _route(hub, "/sandbox/catalog", with_key(control_endpoints.change_catalog), "POST"),
        _route(hub, "/sandbox/wallet", with_key(control_endpoints.set_wallet), "POST"),
        _route(hub, "/sandbox/clock", with_key(control_endpoints.advance_clock), "POST"),
        _route(hub, "/sandbox/x402", with_key(control_endpoints.switch_x402), "POST"),
        _route(hub, "/sandbox/books", control_endpoints.show_books),
        _route(hub, "/sandbox/refunds/{id}", with_key(control_endpoints.resolve_refund), "POST"),
    ]


def _catalog(hub: Hub) -> list[Route]:
    pages = CatalogPages(hub.catalog, hub.config.dialect, hub.sales.calls_by_capability())

    async def page(_hub: Hub, request: Request, _dialect: Dialect) -> Reply:
        return pages.page(request.query_params, request.headers.get("if-none-match"))

    async def single(_hub: Hub, request: Request, dialect: Dialect) -> Reply:
        return pages.single(request.path_params["id"], dialect, request.headers.get("if-none-match"))

    return [
        _route(hub, "/v1/capabilities", page, with_books=False),
        _route(hub, "/v1/capabilities/{id:path}", single, with_books=False),
    ]


def _discovery(hub: Hub) -> list[Route]:
    started = time.monotonic()
    installed = Path(sys.executable).with_name("jecp-mcp")
    command = str(installed) if installed.exists() else installed.name

    async def guide(hub: Hub, _request: Request, dialect: Dialect) -> Reply:
        cached = "public, max-age=300, must-revalidate"
        shown = discovery.agent_guide(hub.config, hub.catalog, hub.x402_switch.accepted, dialect)
        return json_reply(shown, cache_control=cached)

    async def card(_hub: Hub, _request: Request, dialect: Dialect) -> Reply:
        return json_reply(discovery.agent_card(dialect), cache_control="public, max-age=3600")

    async def llms(hub: Hub, _request: Request, dialect: Dialect) -> Reply:
        headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "public, max-age=3600"}
        return Reply(200, discovery.llms_txt(hub.catalog, dialect), headers)

    async def health(hub: Hub, _request: Request, _dialect: Dialect) -> Reply:
        state, healthy = discovery.health(hub, uptime_seconds=int(time.monotonic() - started))
        return json_reply(state, 200 if healthy else 503, "no-cache")

    async def front(hub: Hub, _request: Request, dialect: Dialect) -> Reply:
        agent = hub.agents.get(hub.agent_id)
        assert agent is not None
        return html_reply(
            html_pages.front_page(
                html_pages.Front(
                    origin=dialect.origin,
                    dialect=hub.config.dialect,
                    command=command,
                    data=hub.config.data,
                    agent=agent,
                    listings=hub.catalog.current(),
                    recent=hub.payments.recent_calls(_RECENT),
                    time=ReaderTime.here(hub.clock.now()),
                )
            )
        )

    return [
        _route(hub, "/.well-known/agent-guide.json", guide, with_books=False),
        _route(hub, "/.well-known/agent.json", card, with_books=False),
        _route(hub, "/llms.txt", llms, with_books=False),
        _route(hub, "/health", health),
        _route(hub, "/", front),
    ]


def _failing(hub: Hub, refuse: Callable[[Exception], Refused]) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, exc: Exception) -> Response:
        return response_of(refusal_for(request, refuse(exc), dialect_of(hub, request)))

    return answer


def _no_route(exc: Exception) -> Refused:
    status = exc.status_code if isinstance(exc, HTTPException) else 404
    if status == 405:  # noqa: PLR2004  # HTTP Method Not Allowed
        return Refused("METHOD_NOT_ALLOWED", "This endpoint does not take that method.")
    return Refused("NOT_FOUND", "This Hub has no such endpoint.", status=status)


def _bug(_exc: Exception) -> Refused:
    # What went wrong stays in the log: an answer must not show the inside (JECP 03-errors §3.7).
    return Refused("INTERNAL_ERROR", "The Hub failed; the same id can be sent again.")

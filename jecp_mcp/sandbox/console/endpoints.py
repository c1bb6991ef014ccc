"""The console's endpoints: the key first, then pages of it by links alone.

Whoever gives the start's key is let in, by a cookie and by a token in each link (`jecp_mcp.browser_sessions`). Only
plain requests to a loopback address are answered, also where a proxy leads to the Hub.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jecp_mcp.browser_sessions import PROXY_HEADERS, SESSION_SECONDS, BrowserSessions
from jecp_mcp.pages import ReaderTime
from jecp_mcp.sandbox.console import views
from jecp_mcp.sandbox.console.layout import HEADERS, PATH, VIEWS, Viewer, console_page, key_page, section
from jecp_mcp.sandbox.console.records import ConsoleRecords, number_of, requests_before
from jecp_mcp.sandbox.discovery import pools
from jecp_mcp.sandbox.endpoints import read_form
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.middleware import LOOPBACK_NAMES, name_of

_COOKIE: Final = "jecp_console"
_ON_A_PAGE: Final = 50
_NEWEST: Final = 5
_List = Callable[[str | None, Mapping[str, str], Viewer], str]
_Detail = Callable[[str, str | None, Viewer], str | None]


class ConsolePages:
    """The console of a Hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._records = hub, ConsoleRecords(hub.database)
        self._sessions = BrowserSessions(hub.clock)
        self._lists: dict[str, _List] = {
            "": self._overview,
            "wallets": self._wallets,
            "transactions": self._transactions,
            "requests": self._requests,
            "providers": self._providers,
            "payouts": self._payouts,
            "webhooks": self._webhooks,
            "refunds": self._refunds,
            "pools": self._pools,
        }
        self._details: dict[str, _Detail] = {
            "wallets": self._wallet,
            "transactions": self._transaction,
            "requests": self._request,
            "providers": self._provider,
            "webhooks": self._delivery,
        }

    def routes(self) -> list[Route]:
        """What to serve."""
        return [
            Route(PATH, self.enter, methods=["POST"]),
            Route(PATH, self.show, methods=["GET"]),
            Route(f"{PATH}/{{view}}", self.show, methods=["GET"]),
            Route(f"{PATH}/{{view}}/{{name}}", self.show, methods=["GET"]),
        ]

    async def enter(self, request: Request) -> Response:
        """Let in whoever gives the key."""
        if not _is_direct(request) or request.headers.get("origin") != f"http://{request.headers['host']}":
            return _page(key_page("Open this page by its address on this machine."), 403)
        try:
            given = (await read_form(request)).get("key", "").strip()
        except Refused as refused:
            return _page(key_page(refused.message), 400)
        if not hmac.compare_digest(given.encode(), self._hub.config.control_key.encode()):
            return _page(key_page("That is not the key."), 403)
        secret = self._sessions.open()
        response = Response(None, 303, {"location": f"{PATH}?session={self._sessions.token(secret)}", **HEADERS})
        response.set_cookie(_COOKIE, secret, max_age=int(SESSION_SECONDS), path=PATH, httponly=True, samesite="strict")
        return response

    async def show(self, request: Request) -> Response:
        """A page, or the question for the key."""
        token = request.query_params.get("session", "")
        if not _is_direct(request):
            return _page(key_page("Open this page by its address on this machine."), 403)
        if not token:
            return _page(key_page())
        if not self._sessions.admits(request.cookies.get(_COOKIE), token):
            return _page(key_page("Give the key once more, and leave cookies on."), 403)
        await self._hub.database.durable()
        await self._hub.database.free()
        viewer = Viewer(token, ReaderTime.here(self._hub.clock.now()))
        view, name = request.path_params.get("view", ""), request.path_params.get("name")
        content = self._shown(view, name, request.query_params, viewer)
        if content is None:
            missing = section("missing", "Not found", "<p>There is no such thing, or it is kept no longer.</p>")
            return _page(console_page("Not found", view, missing, viewer), 404)
        body = console_page(VIEWS[view], view, content, viewer)
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(None, 304, {"etag": etag, "cache-control": "no-store"})
        return _page(body, etag=etag)

    def _shown(self, view: str, name: str | None, query: Mapping[str, str], viewer: Viewer) -> str | None:
        """A page's content, HTML; None where there is nothing of that name."""
        if view not in VIEWS:
            return None
        if name is None:
            return self._lists[view](query.get("before"), query, viewer)
        show = self._details.get(view)
        return None if show is None else show(name, query.get("before"), viewer)

    # -- lists -------------------------------------------------------------------------------------------------------

    def _overview(self, _before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        hub, records = self._hub, self._records
        test_wallet = records.wallet(hub.agent_id)
        assert test_wallet is not None
        return views.overview(
            views.Overview(
                totals=records.totals(),
                test_wallet=test_wallet,
                api_key=hub.api_key,
                wallets=records.wallets(None, _NEWEST).rows,
                transactions=records.transactions(None, None, _NEWEST).rows,
                requests=requests_before(hub.requests, None, _NEWEST).rows,
                pools=pools(hub),
            ),
            viewer,
        )

    def _wallets(self, before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        return views.wallets(self._records.wallets(before, _ON_A_PAGE), before, viewer)

    def _transactions(self, before: str | None, query: Mapping[str, str], viewer: Viewer) -> str:
        agent_id = query.get("agent")
        return views.transactions(self._records.transactions(agent_id, before, _ON_A_PAGE), agent_id, before, viewer)

    def _requests(self, before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        return views.requests(requests_before(self._hub.requests, before, _ON_A_PAGE), before, viewer)

    def _providers(self, before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        return views.providers(self._records.providers(before, _ON_A_PAGE), before, viewer)

    def _payouts(self, before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        return views.payouts(self._records.payouts(before, _ON_A_PAGE), before, viewer)

    def _webhooks(self, before: str | None, query: Mapping[str, str], viewer: Viewer) -> str:
        dead = query.get("status") == "dead"
        return views.webhooks(self._records.deliveries(before, _ON_A_PAGE, dead=dead), before, viewer, dead=dead)

    def _refunds(self, before: str | None, _query: Mapping[str, str], viewer: Viewer) -> str:
        return views.refunds(self._records.refunds(before, _ON_A_PAGE), before, viewer)

    def _pools(self, _before: str | None, _query: Mapping[str, str], _viewer: Viewer) -> str:
        return views.pools(pools(self._hub), self._hub.bulkhead.assignments)

    # -- one of a list -----------------------------------------------------------------------------------------------

    def _wallet(self, agent_id: str, before: str | None, viewer: Viewer) -> str | None:
        found = self._records.wallet(agent_id)
        credited = self._records.credits(agent_id, before, _ON_A_PAGE)
        return None if found is None else views.wallet(found, credited, before, viewer)

    def _transaction(self, transaction_id: str, _before: str | None, viewer: Viewer) -> str | None:
        found = self._records.transaction(transaction_id)
        if found is None:
            return None
        answer = self._records.answer(found.agent_id, found.call_id)
        return views.transaction(found, self._records.earned(transaction_id), answer, viewer)

    def _request(self, number: str, _before: str | None, viewer: Viewer) -> str | None:
        found = self._hub.requests.get(number_of(number))
        return None if found is None else views.request(found, viewer)

    def _provider(self, namespace: str, before: str | None, viewer: Viewer) -> str | None:
        found = self._records.provider(namespace)
        if found is None:
            return None
        return views.provider(found, self._records.entries(found.provider_id, before, _ON_A_PAGE), before, viewer)

    def _delivery(self, number: str, _before: str | None, viewer: Viewer) -> str | None:
        found = self._records.delivery(number)
        return None if found is None else views.delivery(*found, viewer)


def _is_direct(request: Request) -> bool:
    headers = request.headers
    return name_of(headers.get("host", "")) in LOOPBACK_NAMES and not any(name in headers for name in PROXY_HEADERS)


def _page(body: bytes, status: int = 200, **headers: str) -> Response:
    return Response(body, status, {**HEADERS, **headers})

"""The page on which a person answers what the host could not ask, beside the HTTP transports.

Whoever opens it must give the PIN that the operator was shown on stderr when the server started: an agent can reach
this address too, and must not be able to approve its own spending. Its 78 random bits cannot be guessed, so wrong PINs
lock nothing: a lock would let any local process keep the operator out. Only plain requests to the loopback address are
answered, so neither another site in the person's browser nor a proxy can reach it.

The session's cookie alone shows and answers nothing (`jecp_mcp.browser_sessions`): each form carries its token, which
is given only to whoever sends the PIN or the token itself. A script keeps that token in the browser's storage for this
very origin, so that the PIN is asked for once a session; without scripts it is asked for by every link.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from jecp_mcp import invisible, pages
from jecp_mcp.browser_sessions import PROXY_HEADERS, SESSION_SECONDS, BrowserSessions
from jecp_mcp.calls import display
from jecp_mcp.calls.approval import new_code
from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.pages import ReaderTime
from jecp_mcp.server import approvals_html as html
from jecp_mcp.server.front_page import error_response
from jecp_mcp.tools import approval_queue

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

PATH: Final = "/approvals"
_COOKIE: Final = "jecp_approvals"
_ON_A_PAGE: Final = 10
_MOST_BYTES: Final = 4_096
_MOST_CODE: Final = 64
_DIGITS: Final = 6
"""The longest number of a page."""
_HEADERS: Final = pages.headers(html.SCRIPT)


class Gate(BrowserSessions):
    """Who may see and answer: whoever gave the PIN, for a while."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.pin: Final = f"{new_code()}-{new_code()}"

    def let_in(self, pin: str) -> str | None:
        """A new session's secret for the right PIN; None for a wrong one."""
        given, wanted = (text.upper().replace(" ", "").replace("-", "") for text in (pin, self.pin))
        return self.open() if hmac.compare_digest(given.encode(), wanted.encode()) else None


class ApprovalsPage:
    """Lists what waits, and takes the answers."""

    def __init__(self, ledger: Ledger, gate: Gate, port: int, clock: Clock) -> None:
        """Serve the questions of `ledger` on loopback addresses at `port`."""
        self._ledger = ledger
        self._clock = clock
        self._gate = gate
        names = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]
        self._hosts = frozenset(names)
        self._origins = frozenset(f"http://{name}" for name in names)

    def routes(self) -> list[Route]:
        """What to serve beside the transport."""
        from starlette.routing import Route

        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.enter, methods=["POST"]),
            Route(f"{PATH}/{{code}}", self.show, methods=["GET"]),
            Route(f"{PATH}/{{code}}", self.answer, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The question for the PIN, and nothing else: a plain look carries no token."""
        if not self._is_direct(request):
            return error_response(request.headers.get("accept"), 403, "Refused.", _HEADERS)
        return _page(html.pin_page(code=request.path_params.get("code", "")[:_MOST_CODE]))

    async def enter(self, request: Request) -> Response:
        """Take the PIN and let the browser in, or a token; list a page, or show all of one question."""
        given = await self._form(request)
        if given is None:
            return _refusal(403)
        if "token" in given:
            return await self._open(request.cookies.get(_COOKIE), given["token"], given)
        secret = self._gate.let_in(given.get("pin", ""))
        if secret is None:
            return _page(html.pin_page(html.WRONG_PIN, given.get("code", ""), refused=True), 403)
        response = await self._open(secret, self._gate.token(secret) or "", given)
        response.set_cookie(_COOKIE, secret, max_age=int(SESSION_SECONDS), path=PATH, httponly=True, samesite="strict")
        return response

    async def _open(self, secret: str | None, token: str, given: Mapping[str, str]) -> Response:
        if "code" in given:
            return await self._show_whole(secret, token, given["code"])
        return await self._list(secret, token, page=_page_of(given))

    async def answer(self, request: Request) -> Response:
        """Take the answer to one question."""
        given, secret = await self._form(request), request.cookies.get(_COOKIE)
        if given is None:
            return _refusal(403)
        token = given.get("token", "")
        if not self._gate.admits(secret, token):
            return _page(html.pin_page(html.PIN_FIRST, request.path_params["code"], refused=True), 403)
        granted = {"approve": True, "deny": False}.get(given.get("answer", ""))
        if granted is None:
            return _refusal(400)
        try:
            grant = await approval_queue.find(self._ledger, request.path_params["code"])
            answered = await approval_queue.answer(self._ledger, grant, granted, by="a person on the approvals page")
        except (approval_queue.NotAnswered, LedgerError) as exc:
            return await self._list(secret, token, f"Nothing was answered: {exc}.", page=_page_of(given))
        said = html.answer_sentence(approval_queue.readable_question(answered), self._time())
        return await self._list(secret, token, said, page=_page_of(given))

    async def _list(self, secret: str | None, token: str, said: str = "", *, page: int = 1) -> Response:
        if not self._gate.admits(secret, token):
            return _page(html.pin_page(html.PIN_FIRST, refused=True), 403)
        session = html.Session(token, self._time())
        try:
            found, page = await approval_queue.open_questions(self._ledger, page, _ON_A_PAGE)
        except LedgerError as exc:
            return _page(html.listing([], session, f"The ledger cannot be read: {exc}."), 503)
        place = html.PagePosition(page, (page - 1) * _ON_A_PAGE, found.total)
        shown = [approval_queue.readable_question(one) for one in found.grants]
        return _page(html.listing(shown, session, said, place))

    async def _show_whole(self, secret: str | None, token: str, code: str) -> Response:
        """One question with all its arguments, however long they are."""
        if not self._gate.admits(secret, token):
            return _page(html.pin_page(html.PIN_FIRST, code, refused=True), 403)
        try:
            shown = approval_queue.readable_question(await approval_queue.find(self._ledger, code))
        except (approval_queue.NotAnswered, LedgerError) as exc:
            return await self._list(secret, token, f"Nothing was answered: {exc}.")
        return _page(html.whole_question(shown, html.Session(token, self._time())))

    def _time(self) -> ReaderTime:
        return ReaderTime.here(self._clock.now())

    def _is_direct(self, request: Request) -> bool:
        headers = request.headers
        return headers.get("host", "").lower() in self._hosts and not any(name in headers for name in PROXY_HEADERS)

    async def _form(self, request: Request) -> Mapping[str, str] | None:
        """The fields of a form that this page sent; None where anything else may have sent it."""
        if not self._is_direct(request) or request.headers.get("origin") not in self._origins:
            return None
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return None
        try:
            fields = parse_qs(body.decode("ascii"), max_num_fields=8)
        except ValueError:
            return None
        return {name: values[0] for name, values in fields.items()}


def _page_of(given: Mapping[str, str]) -> int:
    """Which page a form was on."""
    number = given.get("page", "")
    return int(number) if number.isdecimal() and len(number) <= _DIGITS and int(number) else 1


def _page(text: str, status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(display.visible(text, invisible.escape), status, headers=dict(_HEADERS))


def _refusal(status: int) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("Refused.", status, headers=dict(_HEADERS))

"""The page on which a person answers what the host could not ask, beside the HTTP transports.

Whoever opens it must give the PIN that the operator was shown on stderr when the server started: an agent can reach
this address too, and must not be able to approve its own spending. Only plain requests to the loopback address are
answered, so neither another site in the person's browser nor a proxy can reach it. It needs no script.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from jecp_mcp.calls.approval import new_code
from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.server import approvals_html as html
from jecp_mcp.tools import pending

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

PATH: Final = "/approvals"
MOST_TRIES: Final = 5
"""How many wrong PINs in a row are taken."""
LOCKED_SECONDS: Final = 900.0
"""How long no PIN is taken after that."""
SESSION_SECONDS: Final = 8 * 3_600.0
"""How long a browser stays let in."""

_COOKIE: Final = "jecp_approvals"
_MOST_SESSIONS: Final = 16
_MOST_BYTES: Final = 4_096
_PROXIED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{html.STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """Who may see and answer: whoever gave the PIN, for a while."""

    def __init__(self, clock: Clock, pin: str | None = None) -> None:
        self.pin: Final = pin or new_code()
        self._clock = clock
        self._wrong = 0
        self._locked_until = 0.0
        self._sessions: dict[str, float] = {}

    @property
    def locked(self) -> bool:
        """Whether too many wrong PINs were given a short while ago."""
        return self._clock.monotonic() < self._locked_until

    def let_in(self, pin: str) -> str | None:
        """A new session's secret for the right PIN; None for a wrong one, or while no PIN is taken."""
        if self.locked:
            return None
        given = pin.strip().upper().replace(" ", "")
        if not hmac.compare_digest(given.encode(), self.pin.encode()):
            self._wrong += 1
            if self._wrong >= MOST_TRIES:
                self._wrong, self._locked_until = 0, self._clock.monotonic() + LOCKED_SECONDS
            return None
        self._wrong = 0
        now = self._clock.monotonic()
        self._sessions = {one: until for one, until in self._sessions.items() if until > now}
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        secret = secrets.token_urlsafe(32)
        self._sessions[secret] = now + SESSION_SECONDS
        return secret

    def knows(self, secret: str | None) -> bool:
        """Whether a session's secret is good."""
        return secret is not None and self._sessions.get(secret, 0.0) > self._clock.monotonic()

    def token(self, secret: str) -> str:
        """What a form of this session must carry, so that no other page can send it."""
        return hmac.new(secret.encode(), b"form", "sha256").hexdigest()


class ApprovalsPage:
    """Lists what waits, and takes the answers."""

    def __init__(self, ledger: Ledger, gate: Gate, port: int) -> None:
        """Serve the questions of `ledger` on loopback addresses at `port`."""
        self._ledger = ledger
        self._gate = gate
        names = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"]
        self._hosts = frozenset(names)
        self._origins = frozenset(f"http://{name}" for name in names)

    def routes(self) -> list[Route]:
        """What to serve beside the transport."""
        from starlette.routing import Route

        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.unlock, methods=["POST"]),
            Route(f"{PATH}/{{code}}", self.answer, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The list of what waits, or the question for the PIN."""
        if not self._plain(request):
            return _refused(403)
        return await self._list(request)

    async def unlock(self, request: Request) -> Response:
        """Take the PIN; the browser that gave it is let in."""
        given = await self._form(request)
        if given is None:
            return _refused(403)
        secret = self._gate.let_in(given.get("pin", ""))
        if secret is None:
            said = html.LOCKED if self._gate.locked else html.WRONG_PIN
            return _page(html.asking_for_pin(said), 429 if self._gate.locked else 403)
        response = _moved()
        response.set_cookie(_COOKIE, secret, max_age=int(SESSION_SECONDS), path=PATH, httponly=True, samesite="strict")
        return response

    async def answer(self, request: Request) -> Response:
        """Take the answer to one question."""
        given, secret = await self._form(request), request.cookies.get(_COOKIE)
        if given is None:
            return _refused(403)
        if secret is None or not self._gate.knows(secret):
            return _page(html.asking_for_pin(html.PIN_FIRST), 403)
        if not hmac.compare_digest(given.get("token", "").encode(), self._gate.token(secret).encode()):
            return _refused(403)
        granted = {"approve": True, "deny": False}.get(given.get("answer", ""))
        if granted is None:
            return _refused(400)
        try:
            slip = await pending.find(self._ledger, request.path_params["code"])
            answered = await pending.answer(self._ledger, slip, granted, by="a person on the approvals page")
        except (pending.NotAnswered, LedgerError) as exc:
            return await self._list(request, f"Nothing was answered: {exc}.")
        return await self._list(request, html.told(pending.shown(answered)))

    async def _list(self, request: Request, said: str = "") -> Response:
        secret = request.cookies.get(_COOKIE)
        if secret is None or not self._gate.knows(secret):
            return _page(html.asking_for_pin(html.LOCKED if self._gate.locked else ""))
        try:
            shown: Sequence[Mapping[str, Any]] = [pending.shown(one) for one in await pending.waiting(self._ledger)]
        except LedgerError as exc:
            return _page(html.listing([], "", f"The ledger cannot be read: {exc}."), 503)
        return _page(html.listing(shown, self._gate.token(secret), said))

    def _plain(self, request: Request) -> bool:
        headers = request.headers
        return headers.get("host", "").lower() in self._hosts and not any(name in headers for name in _PROXIED)

    async def _form(self, request: Request) -> Mapping[str, str] | None:
        """The fields of a form that this page sent; None where anything else may have sent it."""
        if not self._plain(request) or request.headers.get("origin") not in self._origins:
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


def _page(text: str, status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(text, status, headers=dict(_HEADERS))


def _refused(status: int) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("Refused.", status, headers=dict(_HEADERS))


def _moved() -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(PATH, 303, headers=dict(_HEADERS))

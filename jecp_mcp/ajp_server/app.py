"""An agent's endpoints as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jecp_mcp import jsontext
from jecp_mcp.ajp_server.identity import Declared
from jecp_mcp.ajp_server.intake import Intake
from jecp_mcp.ajp_server.refusals import Refused
from jecp_mcp.ajp_server.room import Room
from jecp_mcp.ajp_server.signals import Bell
from jecp_mcp.ajp_server.store import StoreUnavailable

_READ_SECONDS: Final = 30.0
"""How long an offer may take to come in."""
_SEND_SECONDS: Final = 60.0
"""How long a result may take to be read."""
_AT_ONCE: Final = 64
"""How many offers come in at the same time, and how many large results go out."""
_SLICE: Final = 65_536
"""How much of a result is handed on before its reader has taken the rest."""
_AGAIN_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests are met while the agent runs; the bells tell those who wait for work."""

    intake: Intake
    accepted: Bell
    acknowledged: Bell


def agent_app(
    declared: Declared,
    offer_bytes: int,
    running: Callable[[], AbstractAsyncContextManager[None]],
    desk: Callable[[], Desk | None],
) -> Starlette:
    """The application.

    Args:
        declared: who the agent is.
        offer_bytes: the longest offer.
        running: runs the agent while the application is served.
        desk: where requests are met; None while the agent does not run.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with running():
            yield

    reading, sending = Room(_AT_ONCE), Room(_AT_ONCE)

    def open_desk() -> Desk:
        found = desk()
        if found is None:
            raise Refused(503, "this agent does not run: serve it with its lifespan", retry_after=_AGAIN_SECONDS)
        return found

    async def offer(request: Request) -> Response:
        raw = await _body(request, offer_bytes, reading)
        here = open_desk()
        accepted = await here.intake.offer(raw)
        here.accepted.ring()
        return _json(202, accepted)

    async def report(request: Request) -> Response:
        found = open_desk().intake.report(request.path_params["job_id"])
        return _Slices(found, sending) if len(found) > _SLICE else Response(found, 200, _HEADERS)

    async def acknowledge(request: Request) -> Response:
        here, job_id = open_desk(), request.path_params["job_id"]
        if here.intake.acknowledge(job_id):
            here.acknowledged.ring()
        return _json(200, {"settled": True, "job_id": job_id})

    async def declaration(_request: Request) -> Response:
        return _json(200, declared.declaration, {"Cache-Control": "public, max-age=300"})

    routes = [] if declared.declaration_path is None else [Route(declared.declaration_path, declaration)]
    # Clients know both places: the specification's below /jobs, and older guides' at the endpoint itself.
    for path in (f"{declared.path}/jobs", declared.path):
        routes += [
            Route(path or "/", offer, methods=["POST"]),
            Route(f"{path}/{{job_id}}", report),
            Route(f"{path}/{{job_id}}/ack", acknowledge, methods=["POST"]),
        ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            Refused: _refuse,
            StoreUnavailable: _wait,
            HTTPException: _no_route,
            ClientDisconnect: _nobody,
            Exception: _bug,
        },
    )
    app.router.redirect_slashes = False
    return app


_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def _json(status: int, answer: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(jsontext.dumps(answer), status, {**_HEADERS, **(headers or {})})


class _Slices(Response):
    """A large answer, handed on as its reader takes it: readers that take nothing hold no more than a slice each."""

    def __init__(self, body: bytes, sending: Room) -> None:
        super().__init__(body, 200, _HEADERS)
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        with self._sending.place(_SEND_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            whole = memoryview(self.body)
            for start in range(0, len(whole), _SLICE):
                more = start + _SLICE < len(whole)
                part = bytes(whole[start : start + _SLICE])
                await send({"type": "http.response.body", "body": part, "more_body": more})


async def _body(request: Request, most: int, reading: Room) -> bytes:
    body = bytearray()
    with reading.place(_READ_SECONDS) as place:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Refused(413, f"the offer is longer than {most} bytes")
    if place.cancelled_caught:
        raise Refused(408, f"the offer did not come within {_READ_SECONDS:g} s, or while others waited for its place")
    return bytes(body)


async def _refuse(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)
    return _json(exc.status, exc.answer, exc.headers)


async def _wait(_request: Request, _exc: Exception) -> Response:
    refused = Refused(503, "nothing was accepted: the agent cannot write it down", retry_after=_AGAIN_SECONDS)
    return await _refuse(_request, refused)


async def _no_route(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return _json(exc.status_code, {"error": "there is no such endpoint, or not for this method"}, exc.headers)


async def _nobody(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=400)  # the sender left before the offer was whole: nobody reads this


async def _bug(_request: Request, _exc: Exception) -> Response:
    return _json(500, {"error": "the agent failed"})  # what went wrong stays in the log

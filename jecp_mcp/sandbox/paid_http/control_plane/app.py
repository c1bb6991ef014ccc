"""The control plane's endpoints, and what no control plane has: its controls, for tests and demonstrations.

The controls want the key that the sandbox printed at its start, as ``X-Sandbox-Key``:

- ``POST /sandbox/decisions``: ``{"route", "outcome"}``: what the next request for a path of the merchant's, or ``*``,
  comes to: ``deny``, ``review``, ``preflight_failed``, ``inconclusive``, or ``executing`` once.
- ``POST /sandbox/faults``: ``{"mode", "on"?}``: the next ``decisions``, ``tokens`` or ``receipts`` go wrong: ``html``
  and ``problem`` instead of it; ``lost`` and ``lost_page`` after it was done; ``unauthorized`` in its place. ``DELETE``
  forgets these and the outcomes that did not happen yet.
- ``POST /sandbox/tokens``: ``{}`` takes back every token.
- ``POST /sandbox/receipts``: ``{"receipt_id"?, "status", "replacement"?}``: how a receipt stands from now on; without
  an id, how the next one stands from its beginning. ``replacement`` has another one take its place, with that status
  and with the members that it names.
- ``GET /sandbox/decisions``: what was decided under each key, how often each key was asked, and the exchanges.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jecp_mcp.sandbox.fault_injection import DropConnection
from jecp_mcp.sandbox.middleware import Connections, LoopbackMiddleware
from jecp_mcp.sandbox.paid_http.control_plane.plane import OUTCOMES, ControlPlane, Script
from jecp_mcp.sandbox.paid_http.control_plane.requests import problem, read_asked
from jecp_mcp.sandbox.paid_http.control_plane.store import Store
from jecp_mcp.sandbox.paid_http.json_endpoints import BadRequest, Handler, handle, read_json
from jecp_mcp.wire.flow402.receipt import ReceiptStatus
from jecp_mcp.wire.flow402.values import DECISIONS_PATH, RECEIPTS_PATH, SDK_VERSION, TOKENS_PATH, VERSION_HEADER

_PAGE: Final = "<!doctype html><title>Bad gateway</title><h1>A proxy in between has failed</h1>"
_ENDPOINTS: Final = ("decisions", "tokens", "receipts")
_INSTEAD: Final = ("html", "problem", "unauthorized")
_AFTER: Final = ("lost", "lost_page")


class Endpoints:
    """The control plane over HTTP."""

    def __init__(self, plane: ControlPlane, store: Store) -> None:
        self._plane, self._store = plane, store
        self._faults: list[tuple[str, str]] = []
        self._asked: list[str] = []

    async def exchange(self, request: Request) -> Any:
        """``POST /api/sdk/runtime-tokens``."""
        _check_version(request)
        return self._plane.exchange(_bearer(request))

    async def decide(self, request: Request) -> Any:
        """``POST /api/sdk/payment-decisions``."""
        _check_version(request)
        self._plane.admit(_bearer(request))
        asked = read_asked(await read_json(request))
        self._asked.append(asked.key)
        return await self._plane.decide(asked)

    async def receipt(self, request: Request) -> Any:
        """``GET /api/sdk/receipts/{id}``."""
        _check_version(request)
        self._plane.admit(_bearer(request))
        return {"receipt": self._plane.receipt(request.path_params["receipt_id"])}

    def faulty(self, on: str, work: Callable[[Request], Awaitable[Any]]) -> Handler:
        """An endpoint that goes wrong where a fault waits for it."""
        whole = handle(work)

        async def answer(request: Request) -> Response:
            mode = next((mode for mode, where in self._faults if where == on), None)
            if mode is None:
                return await whole(request)
            self._faults.remove((mode, on))
            if mode == "html":
                return Response(_PAGE, 502, media_type="text/html")
            if mode in _INSTEAD:
                said = {"message": "The runtime token is not known."} if mode == "unauthorized" else {"message": "No."}
                return await handle(_raising(BadRequest(401 if mode == "unauthorized" else 403, said)))(request)
            done = await whole(request)
            if mode == "lost":
                raise DropConnection
            return Response(_PAGE, 502, media_type="text/html") if mode == "lost_page" else done

        return answer

    async def script(self, request: Request) -> Any:
        """``POST /sandbox/decisions``."""
        asked = await read_json(request)
        if asked.get("outcome") not in OUTCOMES or not isinstance(asked.get("route"), str):
            raise problem(400, f"outcome must be one of: {', '.join(OUTCOMES)}, and route a path or *")
        self._plane.scripts.append(Script(asked["route"], asked["outcome"]))
        return {"waiting": len(self._plane.scripts)}

    async def fault(self, request: Request) -> Any:
        """``POST /sandbox/faults``."""
        asked = await read_json(request)
        mode, on = asked.get("mode"), asked.get("on", "decisions")
        if mode not in (*_INSTEAD, *_AFTER) or on not in _ENDPOINTS:
            raise problem(400, f"mode must be one of: {', '.join((*_INSTEAD, *_AFTER))}; on: {', '.join(_ENDPOINTS)}")
        self._faults.append((mode, on))
        return {"waiting": len(self._faults)}

    async def put_right(self, _request: Request) -> Any:
        """``DELETE /sandbox/faults``."""
        self._faults.clear()
        self._plane.scripts.clear()
        self._plane.first_statuses.clear()
        return {"waiting": 0}

    async def expire(self, _request: Request) -> Any:
        """``POST /sandbox/tokens``."""
        self._plane.expire_tokens()
        return {}

    async def change(self, request: Request) -> Any:
        """``POST /sandbox/receipts``."""
        asked = await read_json(request)
        if asked.get("status") not in set(ReceiptStatus):
            raise problem(400, f"status must be one of: {', '.join(ReceiptStatus)}")
        receipt_id, replacement = asked.get("receipt_id"), asked.get("replacement")
        if receipt_id is None:
            self._plane.first_statuses.append(asked["status"])
            return {"waiting": len(self._plane.first_statuses)}
        if replacement is not None and not isinstance(replacement, dict):
            raise problem(400, "replacement must be an object, of members of a receipt")
        return {"receipt": self._plane.change_receipt(str(receipt_id), asked["status"], replacement)}

    async def show(self, _request: Request) -> Any:
        """``GET /sandbox/decisions``."""
        known = {
            key: {"paid": one["paid"], "amount": one["amount"], "outcome": (one["decision"] or {}).get("outcome")}
            for key, one in self._store.decisions().items()
        }
        return {"decisions": known, "asked": list(self._asked), "exchanges": self._plane.exchanges}


def control_plane_app(plane: ControlPlane, store: Store, key: str, connections: Connections) -> Starlette:
    """The control plane and its controls."""
    to = Endpoints(plane, store)
    return Starlette(
        routes=[
            Route(TOKENS_PATH, to.faulty("tokens", to.exchange), methods=["POST"]),
            Route(DECISIONS_PATH, to.faulty("decisions", to.decide), methods=["POST"]),
            Route(f"{RECEIPTS_PATH}{{receipt_id}}", to.faulty("receipts", to.receipt)),
            Route("/sandbox/decisions", handle(to.script, key), methods=["POST"]),
            Route("/sandbox/decisions", handle(to.show, key)),
            Route("/sandbox/faults", handle(to.fault, key), methods=["POST"]),
            Route("/sandbox/faults", handle(to.put_right, key), methods=["DELETE"]),
            Route("/sandbox/tokens", handle(to.expire, key), methods=["POST"]),
            Route("/sandbox/receipts", handle(to.change, key), methods=["POST"]),
        ],
        middleware=[Middleware(LoopbackMiddleware, connections=connections)],
    )


def _raising(refused: BadRequest) -> Callable[[Request], Awaitable[Any]]:
    async def work(_request: Request) -> Any:
        raise refused

    return work


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problem(401, "There is no bearer token.")
    return token


def _check_version(request: Request) -> None:
    if request.headers.get(VERSION_HEADER) != SDK_VERSION:
        raise problem(400, "Unsupported SDK version.", version=f"{SDK_VERSION} is supported")

"""The merchant, the facilitator and the chain as ASGI applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from jecp_mcp.errors import WireError
from jecp_mcp.money import format_usdc
from jecp_mcp.sandbox.middleware import Connections, LoopbackMiddleware
from jecp_mcp.sandbox.paid_http.chain.accounts import TREASURY
from jecp_mcp.sandbox.paid_http.chain.chain import Chain, Reverted
from jecp_mcp.sandbox.paid_http.chain.json_rpc import answer_json
from jecp_mcp.sandbox.paid_http.chain.node import Node
from jecp_mcp.sandbox.paid_http.controls import ChainControls, MerchantControls
from jecp_mcp.sandbox.paid_http.facilitator import reasons
from jecp_mcp.sandbox.paid_http.facilitator.facilitator import Facilitator
from jecp_mcp.sandbox.paid_http.json_endpoints import BadRequest, handle, read_body, read_json
from jecp_mcp.sandbox.paid_http.merchant.merchant import Merchant
from jecp_mcp.sandbox.paid_http.merchant.routes import ROUTES, Route
from jecp_mcp.wire.values import mapping
from jecp_mcp.wire.x402.payment import Payment, read_payment_json
from jecp_mcp.wire.x402.settlement import settlement_json
from jecp_mcp.wire.x402.values import address

NODES: Final = 2
FAUCET_VALUE: Final = 25_000_000
"""What the faucet gives an address, once, in millionths: a day of trying things out."""


def merchant_app(merchant: Merchant, key: str, connections: Connections) -> Starlette:
    """The merchant's shop and its controls."""
    controls = MerchantControls(merchant, frozenset(route.path for route in ROUTES))

    def sell(route: Route) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await merchant.answer(route, request)

        return answer

    return _app(
        connections,
        HttpRoute("/", handle(_show_shop)),
        HttpRoute("/offers", handle(_show_offers)),
        *(HttpRoute(route.path, sell(route), methods=[route.product.method]) for route in ROUTES),
        HttpRoute("/sandbox/faults", handle(controls.add_fault, key), methods=["POST"]),
        HttpRoute("/sandbox/faults", handle(controls.clear_faults, key), methods=["DELETE"]),
        HttpRoute("/sandbox/terms", handle(controls.change_terms, key), methods=["POST"]),
        HttpRoute("/sandbox/kept/settle", handle(controls.settle_kept, key), methods=["POST"]),
        HttpRoute("/sandbox/visits", handle(controls.show_visits, key)),
    )


async def _show_shop(_request: Request) -> dict[str, Any]:
    who = "The sandbox's: it takes test money only, by x402. One thing in many ways of asking for money: /offers"
    return {"merchant": who, "routes": _listed(route for route in ROUTES if not route.path.startswith("/offers/"))}


async def _show_offers(_request: Request) -> dict[str, Any]:
    return {"routes": _listed(route for route in ROUTES if route.path.startswith("/offers/"))}


def _listed(routes: Iterable[Route]) -> list[dict[str, str]]:
    return [
        {
            "method": route.product.method,
            "path": route.path,
            "price_usd": "0" if route.style == "free" else format_usdc(route.price),
            "description": route.product.description,
        }
        for route in routes
    ]


def facilitator_app(facilitator: Facilitator, connections: Connections) -> Starlette:
    """The facilitator's three endpoints."""

    async def supported(_request: Request) -> Any:
        return facilitator.supported()

    async def verify(request: Request) -> Any:
        payment, requirements = await _payment(request, {"isValid": False}, "invalidReason", "invalidMessage")
        return facilitator.verify(payment, requirements).json()

    async def settle(request: Request) -> Any:
        unsettled = {"success": False, "transaction": "", "network": ""}
        payment, requirements = await _payment(request, unsettled, "errorReason", "errorMessage")
        return settlement_json(facilitator.settle(payment, requirements))

    return _app(
        connections,
        HttpRoute("/supported", handle(supported)),
        HttpRoute("/verify", handle(verify), methods=["POST"]),
        HttpRoute("/settle", handle(settle), methods=["POST"]),
    )


async def _payment(request: Request, refused: dict[str, Any], reason: str, message: str) -> tuple[Payment, Any]:
    """The payment to look at and what it is for.

    Raises:
        BadRequest: there is none; as the endpoint says it.
    """
    asked = await read_json(request)
    number = asked.get("x402Version")
    if number not in (1, 2) or isinstance(number, bool):
        raise BadRequest(400, {**refused, reason: reasons.INVALID_VERSION})
    try:
        payment = read_payment_json(mapping(asked.get("paymentPayload"), "paymentPayload"), number)
        return payment, mapping(asked.get("paymentRequirements"), "paymentRequirements")
    except WireError as exc:
        raise BadRequest(400, {**refused, reason: reasons.INVALID_PAYLOAD, message: str(exc)}) from exc


def chain_app(chain: Chain, key: str, connections: Connections) -> Starlette:
    """The chain's nodes, its faucet and its controls."""
    nodes = tuple(Node(chain) for _ in range(NODES))
    controls = ChainControls(chain, nodes)

    def ask(node: Node) -> Callable[[Request], Awaitable[Any]]:
        async def answer(request: Request) -> Any:
            return answer_json(node, await read_body(request))

        return answer

    async def give(request: Request) -> Any:
        try:
            to = address((await read_json(request)).get("address"), "address")
            given = (each.transaction.transfer for each in chain.transactions())
            if all((transfer.sender, transfer.to) != (TREASURY, to) for transfer in given):
                chain.give(to, FAUCET_VALUE)
        except (WireError, Reverted) as exc:
            raise BadRequest(400, str(exc)) from exc
        return {"address": to, "balance": str(chain.balance(to))}

    return _app(
        connections,
        *(HttpRoute(f"/node/{number}", handle(ask(node)), methods=["POST"]) for number, node in enumerate(nodes, 1)),
        HttpRoute("/faucet", handle(give), methods=["POST"]),
        HttpRoute("/sandbox/chain", handle(controls.change, key), methods=["POST"]),
        HttpRoute("/sandbox/transfers", handle(controls.show_transfers)),
    )


def _app(connections: Connections, *routes: HttpRoute) -> Starlette:
    return Starlette(routes=routes, middleware=[Middleware(LoopbackMiddleware, connections=connections)])

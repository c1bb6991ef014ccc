"""The merchant: asks to be paid, has the payment verified, does the work, has it settled, delivers.

Money moves only after the work is done, so whoever asks for what cannot be done pays nothing. A payment that carries an
identifier is answered once: the same request under it gets the same answer again, another one is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.sandbox.fault_injection import DropConnection
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.sandbox.paid_http.facilitator.facilitator import Facilitator
from jecp_mcp.sandbox.paid_http.merchant.answers import Answer, json_answer, read_kept
from jecp_mcp.sandbox.paid_http.merchant.challenges import Challenges
from jecp_mcp.sandbox.paid_http.merchant.faults import Fault, FaultQueue
from jecp_mcp.sandbox.paid_http.merchant.products import MOST_BODY_BYTES, NotSold
from jecp_mcp.sandbox.paid_http.merchant.routes import Route
from jecp_mcp.sandbox.paid_http.merchant.sale import Sale
from jecp_mcp.sandbox.paid_http.merchant.wrong_answers import instead, wrong_answer
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.payment import Payment, read_payment
from jecp_mcp.wire.x402.settlement import Settlement

LONGEST_SILENCE_SECONDS: Final = 600.0
MOST_VISITS: Final = 1_000
_SPOKEN: Final[Mapping[int, frozenset[str]]] = {
    1: frozenset({"v1", "both"}),
    2: frozenset({"v2", "both", "mpp and v2"}),
}


class Merchant:
    """The merchant. Use from the chain's thread."""

    def __init__(self, asset: Asset, facilitator: Facilitator, database: Database) -> None:
        self.faults = FaultQueue()
        self.changes: dict[str, dict[str, Any]] = {}
        """What a route asks for by now, where that is not what it asked for at first; see `Challenges.offers`."""
        self.visits: deque[dict[str, Any]] = deque(maxlen=MOST_VISITS)
        """Every request that came, as it came."""
        self.kept: list[Sale] = []
        """The sales that were refused, and can still be settled."""
        self._released = asyncio.Event()
        self._unavailable: set[bytes] = set()
        """The payments of which nothing is said any more, by nonce."""
        self._pending: dict[bytes, str] = {}
        """What was asked for with the payments that wait for their block, by nonce."""
        self._under_way: set[str] = set()
        self._challenges = Challenges(asset)
        self._facilitator, self._database = facilitator, database

    async def answer(self, route: Route, request: Request) -> Response:
        """Answer a request for a route.

        Raises:
            DropConnection: a fault closes the connection.
        """
        try:
            body = await _read_body(request)
            self._remember(request, body)
            payment = read_payment(request.headers)
        except NotSold as refused:
            return _refused(refused).response()
        except WireError as exc:
            return json_answer(400, {"error": "invalid_payload", "message": str(exc)}).response()
        fault = self.faults.take(route.path, "unpaid" if payment is None else "paid")
        if fault is not None:
            return instead(fault).response()
        if route.style == "free":
            return (await self._make(route, request, body)).response()
        if payment is None:
            return self._ask(route, request, "payment is required").response()
        return await self._answer_paid(route, request, body, payment)

    async def _answer_paid(self, route: Route, request: Request, body: bytes, payment: Payment) -> Response:
        if payment.authorization.nonce in self._unavailable:
            return json_answer(503, {"error": "nothing can be said of this payment now"}).response()
        name = payment.identifier if route.identifier != "none" else None
        if name is None and route.identifier == "required":
            return json_answer(400, {"error": "a payment-identifier is required"}).response()
        if name is None:
            return await self._sell(route, request, body, payment)
        kept = self._database.answer(name)
        if kept is not None:
            return await self._answer_again(route, request, body, kept)
        if name in self._under_way:
            again = json_answer(503, {"error": "the same request is under way"})
            return again.with_headers({"retry-after": "1"}).response()
        self._under_way.add(name)
        try:
            return await self._sell(route, request, body, payment)
        finally:
            self._under_way.discard(name)

    async def _answer_again(self, route: Route, request: Request, body: bytes, kept: tuple[str, bytes]) -> Response:
        """Give the answer that was kept; nothing is settled."""
        if kept[0] != _digest(request, body):
            return json_answer(409, {"error": "this payment-identifier was used for another request"}).response()
        answer = read_kept(kept[1])
        fault = self.faults.take(route.path, "sold")
        if fault is None:
            return answer.response()
        await self._hold_back(request, fault)
        return answer.cut() if fault.mode == "cut" else answer.response()

    async def _sell(self, route: Route, request: Request, body: bytes, payment: Payment) -> Response:
        terms, purchase = self._terms(route, request, payment), _digest(request, body)
        wrong = None
        if terms is None:
            wrong = "no_matching_payment_requirements"
        elif self._pending.get(payment.authorization.nonce) != purchase:
            wrong = self._facilitator.verify(payment, terms).reason
        if wrong is None and request.method == "HEAD":
            # Such an answer has no body, so nothing can be delivered, and nothing is taken.
            wrong = "a HEAD request is not sold"
        if wrong is not None or terms is None:
            return self._ask(route, request, wrong or "").response()
        delivery = await self._make(route, request, body)
        if delivery.status != 200:  # noqa: PLR2004  # made
            return delivery.response()
        sale = Sale(route, request, payment, terms, delivery, purchase)
        fault = self.faults.take(route.path, "sold")
        if fault is not None:
            return await self._go_wrong(sale, fault)
        settlement = self._settle(sale)
        answer = delivery if settlement.success else self._ask(route, request, settlement.error_reason or "")
        return answer.with_headers(sale.receipt(settlement)).response()

    def _terms(self, route: Route, request: Request, payment: Payment) -> JSONObject | None:
        """The merchant's own entry that a payment is for; None where it is for none."""
        if route.style not in _SPOKEN[payment.version]:
            return None
        for entry in self._challenges.offers(route, str(request.url), payment.version, self._changed(route)):
            by_name = payment.version == 1 and (entry["scheme"], entry["network"]) == (payment.scheme, payment.network)
            if by_name or entry == payment.accepted:
                return entry
        return None

    def _changed(self, route: Route) -> Mapping[str, Any]:
        return self.changes.get(route.path, {})

    def _ask(self, route: Route, request: Request, error: str) -> Answer:
        written = self._challenges.write(route, str(request.url), self._changed(route), error)
        return Answer(402, written.body, written.headers)

    async def _make(self, route: Route, request: Request, body: bytes) -> Answer:
        """What was asked for; or why it cannot be made."""
        product = route.product
        try:
            asked = product.read(request.query_params.multi_items(), request.headers.get("content-type", ""), body)
            media_type, made = await product.make(asked)
        except NotSold as refused:
            return _refused(refused)
        return Answer(200, made, {"content-type": media_type})

    def _settle(self, sale: Sale, *, mine: bool = True) -> Settlement:
        """Settle, and keep the answer under the payment's identifier: both are written down, or neither."""
        with self._database.atomic():
            settlement = self._facilitator.settle(sale.payment, sale.terms, mine=mine)
            if settlement.success and sale.identifier is not None:
                answer = sale.delivery.with_headers(sale.receipt(settlement))
                self._database.keep_answer(sale.identifier, sale.purchase, answer.kept())
        if settlement.pending:
            self._pending[sale.payment.authorization.nonce] = sale.purchase
        else:
            self._pending.pop(sale.payment.authorization.nonce, None)
        return settlement

    def settle_kept(self) -> list[Settlement]:
        """Settle the sales that were kept, whatever their buyers were told."""
        kept, self.kept = self.kept, []
        return [self._settle(sale) for sale in kept]

    async def _go_wrong(self, sale: Sale, fault: Fault) -> Response:
        """Go wrong as asked.

        Raises:
            DropConnection: the connection is to be closed.
        """
        if fault.mode == "late_settlement":
            self.kept.append(sale)
            return self._ask(sale.route, sale.request, "settlement_failed").response()
        pending = fault.mode == "settlement_pending"
        settlement = self._settle(sale, mine=not pending) if fault.settles else sale.unsettled()
        if fault.settles and not settlement.success:
            answer = self._ask(sale.route, sale.request, settlement.error_reason or "")
            return answer.with_headers(sale.receipt(settlement)).response()
        if fault.mode == "reconcile_unavailable":
            self._unavailable.add(sale.payment.authorization.nonce)
        await self._hold_back(sale.request, fault)
        if fault.mode == "double_402":
            return self._ask(sale.route, sale.request, "payment is required").response()
        answer = wrong_answer(sale, fault, settlement)
        return answer.cut() if fault.mode == "cut" else answer.response()

    async def _hold_back(self, request: Request, fault: Fault) -> None:
        """Do not answer yet, or not at all.

        Raises:
            DropConnection: not at all.
        """
        if fault.mode in {"drop", "reconcile_unavailable"}:
            raise DropConnection
        if fault.mode == "accept_then_timeout":
            await _wait(_left(request), LONGEST_SILENCE_SECONDS)
            raise DropConnection
        if fault.mode == "slow_answer":
            await _wait(self._released.wait(), fault.seconds)

    def recover(self) -> None:
        """Go wrong no more: no fault waits, slow answers come now, kept sales are forgotten."""
        self.faults.clear()
        self.kept.clear()
        self._unavailable.clear()
        self._released.set()
        self._released = asyncio.Event()

    def _remember(self, request: Request, body: bytes) -> None:
        self.visits.append(
            {
                "method": request.method,
                "target": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
                "headers": dict(request.headers),
                "body": body.decode("utf-8", "replace"),
            }
        )


def _refused(refused: NotSold) -> Answer:
    return json_answer(refused.status, {"error": refused.error})


def _digest(request: Request, body: bytes) -> str:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return sha256(asked + body).hexdigest()


async def _left(request: Request) -> None:
    """Wait until the buyer has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _wait(event: Awaitable[object], seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event, seconds)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise NotSold(413, f"the body is longer than {MOST_BODY_BYTES} bytes")
    return bytes(body)

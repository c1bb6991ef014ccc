"""Paying the merchant for somebody else: the control plane's own wallet of test money."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message

from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.chain.chain import Chain
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption
from jecp_mcp.wire.x402.payment import Authorization, Payment, payment_header
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from jecp_mcp.wire.x402.settlement import read_settlement
from jecp_mcp.wire.x402.typed_data import authorization_digest

_VALID_SECONDS: Final = 300
_PURSE: Final = 100_000_000
"""What its wallet is filled up to, in millionths."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The merchant's request that is paid for; header names in lower case."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """What the merchant answered; `transaction` is where the money moved, None where it did not."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    transaction: str | None


class Payer:
    """Pays by x402."""

    def __init__(self, shop: ASGIApp, chain: Chain, asset: Asset, secret: bytes) -> None:
        """Pay `shop`, the merchant's application, from the wallet of `secret`."""
        self._shop = shop
        self._chain = chain
        self._asset = asset
        self._key = PrivateKey(secret)

    def option(self, challenge: Challenge) -> PaymentOption | None:
        """The way to pay that it would take; None where it has none for this challenge."""
        networks = {self._asset.network, self._asset.v1_network}
        return next(
            (
                one
                for one in challenge.options
                if isinstance(one, PaymentOption) and one.scheme == "exact" and one.network in networks
            ),
            None,
        )

    async def pay(self, wanted: Wanted, challenge: Challenge, option: PaymentOption) -> Answered | None:
        """Ask the merchant with a payment; None where its answer is lost."""
        missing = _PURSE - self._chain.balance(self._key.address)
        if missing > 0:
            self._chain.give(self._key.address, missing)
        authorization = Authorization(
            sender=self._key.address,
            to=option.pay_to,
            value=option.amount,
            valid_after=0,
            valid_before=self._chain.now() + _VALID_SECONDS,
            nonce=secrets.token_bytes(32),
        )
        signature = self._key.sign(authorization_digest(self._asset, authorization))
        accepted = option.raw if challenge.version > 1 else {"scheme": option.scheme, "network": option.network}
        payment = Payment(
            challenge.version, authorization, signature, accepted, challenge.resource, challenge.extensions
        )
        name, value = payment_header(payment)
        return await self._sent(wanted, {**wanted.headers, name.lower(): value})

    async def _sent(self, wanted: Wanted, headers: Mapping[str, str]) -> Answered | None:
        parts = urlsplit(wanted.url)
        sent = {**headers, "host": parts.netloc, "content-length": str(len(wanted.body))}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": wanted.method,
            "scheme": parts.scheme,
            "path": parts.path or "/",
            "raw_path": (parts.path or "/").encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), text.encode()) for name, text in sent.items()],
            "client": None,
            "server": (parts.hostname, parts.port),
        }
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": wanted.body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        await self._shop(scope, receive, send)
        if not answer or answer[-1].get("more_body", False) or answer[-1]["type"] != "http.response.body":
            return None
        found = {name.decode(): text.decode() for name, text in answer[0]["headers"]}
        body = b"".join(one.get("body", b"") for one in answer[1:])
        return Answered(int(answer[0]["status"]), found, body, _transaction(found))


def _transaction(headers: Mapping[str, str]) -> str | None:
    try:
        settlement = read_settlement(headers)
    except WireError:
        return None
    return settlement.transaction if settlement is not None and settlement.success else None

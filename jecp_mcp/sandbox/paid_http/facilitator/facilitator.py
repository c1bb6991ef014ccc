"""Whether a payment is good for what a merchant asks, and bringing it to the chain: scheme ``exact`` with EIP-3009.

Nothing a merchant or a payer says is believed: signature, times, nonce and balance are checked against the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.sandbox.paid_http.chain.accounts import RELAY
from jecp_mcp.sandbox.paid_http.chain.chain import Chain, Reverted
from jecp_mcp.sandbox.paid_http.chain.transactions import signed
from jecp_mcp.sandbox.paid_http.facilitator import reasons
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.challenge import PaymentOption, read_option
from jecp_mcp.wire.x402.payment import PAYMENT_IDENTIFIER, Payment
from jecp_mcp.wire.x402.secp256k1 import recover
from jecp_mcp.wire.x402.settlement import SETTLEMENT_PENDING, Settlement
from jecp_mcp.wire.x402.typed_data import authorization_digest

LEAST_VALID_SECONDS: Final = 6
"""How long a payment must still be valid: about as long as its way into a block takes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a payment.

    Attributes:
        reason: why it is not good; None where it is.
        payer: whose it says it is.
    """

    reason: str | None
    payer: str

    def json(self) -> dict[str, Any]:
        """As ``/verify`` answers it."""
        if self.reason is None:
            return {"isValid": True, "payer": self.payer}
        return {"isValid": False, "invalidReason": self.reason, "payer": self.payer}


class Facilitator:
    """Verifies and settles. Use from the chain's thread."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._pending: dict[tuple[str, str], str] = {}
        """The transactions it answered of as pending, by payer and nonce."""

    def supported(self) -> dict[str, Any]:
        """What ``/supported`` answers."""
        asset = self._chain.asset
        kinds = [
            {"x402Version": 2, "scheme": "exact", "network": asset.network},
            {"x402Version": 1, "scheme": "exact", "network": asset.v1_network},
        ]
        return {"kinds": kinds, "extensions": [PAYMENT_IDENTIFIER], "signers": {"eip155:*": [RELAY]}}

    def verify(self, payment: Payment, requirements: JSONObject) -> Verdict:
        """Whether a payment is good for what is asked. Changes nothing.

        Args:
            payment: what came.
            requirements: the merchant's own entry of ``accepts``, in the payment's version.
        """
        payer = payment.authorization.sender
        try:
            option = read_option(0, requirements, payment.version)
        except WireError:
            return Verdict(reasons.INVALID_REQUIREMENTS, payer)
        return Verdict(next(self._problems(payment, option), None), payer)

    def settle(self, payment: Payment, requirements: JSONObject, *, mine: bool = True) -> Settlement:
        """Bring a payment to the chain.

        Args:
            payment: what came.
            requirements: as for `verify`.
            mine: whether its block is waited for; else it is answered as pending while it waits for one.
        """
        key = signed(payment.authorization).key
        network = str(requirements.get("network", ""))
        if key in self._pending:
            found = self._follow(key, payment, network)
            if found is not None:
                return found
        verdict = self.verify(payment, requirements)
        if verdict.reason is not None:
            return Settlement(False, "", network, verdict.payer, error_reason=verdict.reason)
        try:
            transaction = self._chain.send(signed(payment.authorization), mine=mine)
        except Reverted as exc:
            return Settlement(
                False, "", network, verdict.payer, error_reason=reasons.TRANSACTION_FAILED, error_message=str(exc)
            )
        if not mine:
            self._pending[key] = transaction.hash
            return Settlement(False, transaction.hash, network, verdict.payer, error_reason=SETTLEMENT_PENDING)
        return Settlement(True, transaction.hash, network, verdict.payer, payment.authorization.value)

    def _follow(self, key: tuple[str, str], payment: Payment, network: str) -> Settlement | None:
        """What became of a transaction that was pending; None where nothing did and it can be sent again."""
        name = self._pending[key]
        payer, value = payment.authorization.sender, payment.authorization.value
        if any(waiting.hash == name for waiting in self._chain.waiting):
            return Settlement(False, name, network, payer, error_reason=SETTLEMENT_PENDING)
        del self._pending[key]
        mined = [each for each in self._chain.transactions() if each.transaction.hash == name]
        if not mined:
            return None
        if mined[0].succeeded:
            return Settlement(True, name, network, payer, value)
        return Settlement(False, name, network, payer, error_reason=reasons.TRANSACTION_STATE)

    def _problems(self, payment: Payment, option: PaymentOption) -> Iterator[str]:
        """What is wrong with a payment; the first is the reason."""
        asset = self._chain.asset
        if option.scheme != "exact" or payment.scheme != option.scheme:
            yield reasons.UNSUPPORTED_SCHEME
        if option.network != (asset.v1_network if payment.version == 1 else asset.network):
            yield reasons.NETWORK_MISMATCH
        if payment.network != option.network:
            yield reasons.NETWORK_MISMATCH
        if option.asset != asset.address:
            yield reasons.NO_CONTRACT
        if option.extra.get("assetTransferMethod", "eip3009") != "eip3009":
            yield reasons.NOT_EIP3009
        if not all(isinstance(option.extra.get(name), str) for name in ("name", "version")):
            yield reasons.NO_DOMAIN
        if option.extra["name"] != asset.name:
            yield reasons.NAME_MISMATCH
        if option.extra["version"] != asset.version:
            yield reasons.VERSION_MISMATCH
        yield from self._refusals(payment, option)

    def _refusals(self, payment: Payment, option: PaymentOption) -> Iterator[str]:
        """Why the token would not take the transfer that is asked for."""
        authorization, chain = payment.authorization, self._chain
        if authorization.to != option.pay_to:
            yield reasons.RECIPIENT_MISMATCH
        if authorization.value != option.amount:
            yield reasons.VALUE_MISMATCH
        if authorization.valid_before < chain.now() + LEAST_VALID_SECONDS:
            yield reasons.VALID_BEFORE
        if authorization.valid_after >= chain.now():
            yield reasons.VALID_AFTER
        if _signer(payment, chain.asset) != authorization.sender:
            yield reasons.SIGNATURE
        if chain.used(*signed(authorization).key):
            yield reasons.NONCE_USED
        if chain.balance(authorization.sender) < authorization.value:
            yield reasons.BALANCE


def _signer(payment: Payment, asset: Asset) -> str | None:
    try:
        return recover(authorization_digest(asset, payment.authorization), payment.signature)
    except WireError:
        return None

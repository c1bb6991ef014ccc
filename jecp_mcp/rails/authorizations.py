"""What may be signed: for one call one nonce, for what was chosen and agreed to, and never for more than is held.

Every way to pay by an EIP-3009 authorization goes by these rules. They hold twice: when the authorization is written
down, and on what was written down, right before it is signed.
"""

from __future__ import annotations

import hashlib

from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.x402.selection import Choice
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.payment import Authorization
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from jecp_mcp.wire.x402.typed_data import authorization_digest


def nonce_of(call_id: str) -> bytes:
    """The one nonce of a call: as random as its id, and the same whenever it is asked for."""
    return hashlib.sha256(f"x402 {call_id}".encode()).digest()


def authorize(
    call_id: str,
    *,
    payer: str,
    to: str,
    value: int,
    worth: MicroUSDC,
    hold: MicroUSDC,
    valid_after: int,
    valid_before: int,
) -> Authorization:
    """The one authorization of a call, unsigned.

    Args:
        payer, to: whose token it is and who gets it, addresses in lower case.
        value: in the token's smallest units; `worth` is the same in micro-USDC.
        hold: what is held for the call, micro-USDC.
        valid_after, valid_before: Unix seconds.

    Raises:
        WireError: it would move more than is held.
    """
    if worth > hold:
        raise WireError("it would move more than is held for it")
    return Authorization(payer, to, value, valid_after, valid_before, nonce_of(call_id))


def why_not_signed(
    authorization: Authorization, call_id: str, choice: Choice, *, payer: str, hold: MicroUSDC
) -> str | None:
    """Why what was written down must not be signed, by the same rules; None where it may be."""
    option = choice.option
    agreed = (nonce_of(call_id), payer, option.pay_to, option.amount)
    if agreed != (authorization.nonce, authorization.sender, authorization.to, authorization.value):
        return "what would be signed is not what was agreed"
    return "it would move more than is held" if choice.amount > hold else None


def sign(key: PrivateKey, asset: Asset, authorization: Authorization) -> bytes:
    """The signature, 65 bytes: it follows from the key and the authorization, so nobody stores it."""
    return key.sign(authorization_digest(asset, authorization))

"""What an action may be paid with here, by its methods, the operator's setting and the key there is. Pure: no I/O.

JECP 06-x402-integration §7: an action that says nothing is paid from the wallet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.rails.codes import WALLET_MISSING
from jecp_mcp.rails.jecp.codes import PAYMENT_METHOD_OFF
from jecp_mcp.rails.jecp.payload import PaidBy

WALLET: Final = "stripe"
X402: Final = "x402"
_SAID: Final[Mapping[PaidBy, str]] = {
    "wallet": "the Hub's wallet alone",
    "x402": "x402 alone",
    "auto": "the Hub's wallet or x402",
}
_LONGEST_PAYMENT_MS: Final = 660_000
"""How long a payment can be taken at most, by the largest ``paid_http.max_valid_seconds``, and a minute."""


def methods_of(offer: Offer) -> frozenset[str]:
    """The methods that an action takes, in the protocol's words."""
    given = offer.extra.get("payment_methods")
    named = frozenset(one for one in given if isinstance(one, str)) if isinstance(given, list | tuple) else frozenset()
    return named or frozenset({WALLET})


def paid_by(offer: Offer, setting: PaidBy, payer: str) -> PaidBy | Refusal:
    """What a call is paid with, or why it cannot be bought.

    Args:
        setting: the operator's ``hub.payment``.
        payer: the address of the key that signs; ``""`` where there is none.
    """
    methods = methods_of(offer)
    # Hubs have more words than one for their wallet; only by x402 alone is it not meant.
    wallet, x402 = methods != {X402} and setting != "x402", X402 in methods and setting != "wallet"
    if wallet:
        return "auto" if x402 and payer else "wallet"
    if x402:
        return "x402" if payer else _no_key()
    return _off(offer, setting)


def finds_out(authorized: AuthorizedCall, payer: str, now: UnixMs) -> bool:
    """Whether who signs for `payer` can find out about a call for which a payment may be signed.

    Only its own payer can send it again while it is good, and so fetch the answer. Later whoever has the account may
    ask: no other knows more.
    """
    signed_here = bool(payer) and authorized.terms.endswith(f" {payer}")
    return signed_here or now >= authorized.made_at + _LONGEST_PAYMENT_MS


def _no_key() -> Refusal:
    return Refusal(
        WALLET_MISSING,
        "This action is paid by x402, and there is no wallet key on this machine that signs. Nothing was charged.",
        source="bridge",
    )


def _off(offer: Offer, setting: PaidBy) -> Refusal:
    takes = " and ".join(sorted("the Hub's wallet" if one == WALLET else one for one in methods_of(offer)))
    return Refusal(
        PAYMENT_METHOD_OFF,
        f"This action takes {takes[:200]}, and here is paid with {_SAID[setting]}. Nothing was sent and nothing was "
        "charged.",
        details={"payment_methods": sorted(methods_of(offer)), "payment": setting},
        source="bridge",
    )

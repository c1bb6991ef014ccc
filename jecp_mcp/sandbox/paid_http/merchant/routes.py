"""The merchant's routes: what each sells, at what price, and how it asks to be paid. Pure: no I/O.

Three are what an honest merchant has. Those under ``/offers/`` sell one cheap thing, and ask for it in one of the ways
that merchants do: a buyer must pick the offer it can pay, or say why it pays none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from jecp_mcp.sandbox.paid_http.chain.accounts import MERCHANT, RELAY
from jecp_mcp.sandbox.paid_http.merchant.products import ABSTRACT, PDF, QR_CODE, STATISTICS, Product

Style = Literal["v2", "v1", "both", "free", "l402", "mpp", "mpp and v2"]
"""Where the challenge stands: the header alone with a page as body, the body alone, both; or no x402 at all."""

PERMIT2_PROXY: Final = "0x402085c248eea27d92e8b30b2c58ed07f9e20001"
_SOLANA: Final = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
_SOLANA_USDC: Final = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
_SOLANA_PAYEE: Final = "2wKupLR9q6wXYppw8Gr2NvWxKBUqm4PPJKkQfoxHDBg4"


@dataclass(frozen=True, slots=True)
class Terms:
    """One way to pay.

    Attributes:
        network, v1_network, asset: the sandbox's own unless given.
        amount: the route's price unless given, as it is written.
        extra: beside the token's EIP-712 name and version, or in place of them where `own_domain` is false.
    """

    scheme: str = "exact"
    network: str | None = None
    v1_network: str | None = None
    asset: str | None = None
    amount: str | None = None
    pay_to: str = MERCHANT
    timeout_seconds: int = 300
    extra: Mapping[str, Any] = field(default_factory=dict)
    own_domain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    Attributes:
        price: in the token's millionths.
        terms: the ways to pay, in the order they are offered.
        bazaar: whether the challenge says what input is wanted.
        identifier: whether payments may, must or cannot carry an identifier by which they are known again.
        resource: what the challenge says is paid for; the URL asked for unless given.
    """

    path: str
    product: Product
    price: int
    style: Style = "v2"
    terms: tuple[Terms, ...] = (Terms(),)
    bazaar: bool = False
    identifier: Literal["none", "optional", "required"] = "none"
    resource: str | None = None


SOLANA: Final = Terms(
    network=_SOLANA,
    v1_network="solana",
    asset=_SOLANA_USDC,
    pay_to=_SOLANA_PAYEE,
    extra={"feePayer": _SOLANA_PAYEE},
    own_domain=False,
)
BASE: Final = Terms(
    network="eip155:8453",
    v1_network="base",
    asset="0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    extra={"name": "USD Coin", "version": "2"},
    own_domain=False,
)
BASE_SEPOLIA: Final = Terms(
    network="eip155:84532",
    v1_network="base-sepolia",
    asset="0x036CbD53842c5426634e7929541eC2318f3dCF7e",
    extra={"name": "USDC", "version": "2"},
    own_domain=False,
)
UPTO: Final = Terms(scheme="upto", extra={"assetTransferMethod": "permit2", "facilitatorAddress": RELAY})
PERMIT2: Final = Terms(extra={"assetTransferMethod": "permit2", "spender": PERMIT2_PROXY})
ERC7710: Final = Terms(extra={"assetTransferMethod": "erc7710"})
WRONG_NAME: Final = Terms(extra={"name": "USD Coin", "version": "1"}, own_domain=False)
EIGHTEEN_DECIMALS: Final = Terms(
    network="eip155:4326",
    asset="0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7",
    extra={"name": "MegaUSD", "version": "1", "decimals": 6},
    own_domain=False,
)
UNKNOWN_TOKEN: Final = Terms(
    asset="0x1111111111111111111111111111111111111111", extra={"name": "Sandbox USD", "version": "1", "decimals": 18}
)
UPFRONT: Final = Terms(extra={"paymentFlow": "upfront"})
ESCROW: Final = Terms(extra={"paymentFlow": "escrow"})
CHEAP_PRICE: Final = 1_000
DEAR_PRICE: Final = "5000000"


def _offers(name: str, *terms: Terms, style: Style = "v2", **more: Any) -> Route:
    given = {"price": CHEAP_PRICE, "terms": terms or (Terms(),), **more}
    return Route(path=f"/offers/{name}", product=STATISTICS, style=style, **given)


ROUTES: Final = (
    Route(path="/abstract", product=ABSTRACT, price=10_000, style="both", bazaar=True, identifier="optional"),
    Route(path="/qr-code", product=QR_CODE, price=2_000, bazaar=True),
    Route(path="/pdf", product=PDF, price=20_000, style="v1", bazaar=True),
    _offers("free", style="free"),
    _offers("v2"),
    _offers("v1", style="v1"),
    _offers("both", style="both"),
    _offers("solana-first", SOLANA, Terms()),
    _offers("many", SOLANA, UPTO, PERMIT2, WRONG_NAME, Terms(), style="both"),
    _offers("cheap-unsupported-first", SOLANA, Terms(amount=DEAR_PRICE)),
    _offers("cheap-unsupported-last", Terms(amount=DEAR_PRICE), SOLANA),
    _offers("solana-only", SOLANA),
    _offers("mixed-networks", BASE, BASE_SEPOLIA, Terms()),
    _offers("upto", UPTO),
    _offers("permit2", PERMIT2),
    _offers("erc7710", ERC7710),
    _offers("wrong-name", WRONG_NAME),
    _offers("eighteen-decimals", EIGHTEEN_DECIMALS),
    _offers("unknown-token", UNKNOWN_TOKEN),
    _offers("upfront", UPFRONT),
    _offers("escrow", ESCROW),
    _offers("long-window", Terms(timeout_seconds=604_800)),
    _offers("identifier", identifier="optional"),
    _offers("identifier-required", identifier="required"),
    _offers("foreign-resource", resource="https://elsewhere.example/offers/foreign-resource"),
    _offers("l402", style="l402"),
    _offers("mpp", style="mpp"),
    _offers("mpp-and-x402", style="mpp and v2"),
)

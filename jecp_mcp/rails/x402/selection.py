"""Which of a merchant's ways to pay is taken, and why each of the others is not. Pure: no I/O.

Everything is checked on each option by itself, and what is taken is the cheapest that passed: the order in which a
merchant lists them decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jecp_mcp.money import MICRO_PER_USDC, MicroUSDC, format_usdc
from jecp_mcp.rails.paid_http.refusals import Rejected
from jecp_mcp.wire.values import preview
from jecp_mcp.wire.x402.assets import Asset, find_asset, network_of
from jecp_mcp.wire.x402.challenge import Challenge, PaymentOption, UnreadableOption

MOST_PER_CALL: Final = MicroUSDC(1_000 * MICRO_PER_USDC)
"""The most that one request can cost by this rail, micro-USDC."""

_SCHEME: Final = "exact"
_TRANSFER: Final = "eip3009"
_FLOW: Final = "authorization"
_UPFRONT: Final = "upfront"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may be paid with.

    Attributes:
        assets: every token that is known.
        networks: the chains that the operator pays on, dearest first.
        payer: whose money it is, an address in lower case.
        pay_to: the only recipients taken; None takes any.
        upfront: whether money may be taken before the work is done.
    """

    assets: Sequence[Asset]
    networks: Sequence[str]
    payer: str
    pay_to: Sequence[str] | None = None
    upfront: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to pay that passed every check."""

    option: PaymentOption
    asset: Asset

    @property
    def amount(self) -> MicroUSDC:
        """What it costs, micro-USDC."""
        return self.asset.micro(self.option.amount)


def choose(challenge: Challenge, wanted: Wanted) -> tuple[Choice | None, tuple[Rejected, ...]]:
    """The cheapest option that may be used, if any, and every other one with the reason why not."""
    passed: list[Choice] = []
    rejected: list[Rejected] = []
    mixed = _mixes(challenge, wanted.assets)
    for option in challenge.options:
        found = judge(option, challenge.version, wanted)
        if mixed and isinstance(found, Choice):
            found = "the merchant offers test money and money beside each other, so which it means is not clear"
        if isinstance(found, Choice):
            passed.append(found)
        else:
            rejected.append(Rejected(option.index, _label(option, wanted.assets), found))
    if not passed:
        return None, tuple(rejected)
    order = {network: place for place, network in enumerate(wanted.networks)}
    best = min(passed, key=lambda one: (one.amount, order[one.asset.network], one.option.index))
    dearer = [
        Rejected(one.option.index, _label(one.option, wanted.assets), "another one is no dearer")
        for one in passed
        if one is not best
    ]
    return best, tuple(sorted((*rejected, *dearer), key=lambda one: one.index))


def judge(option: PaymentOption | UnreadableOption, version: int, wanted: Wanted) -> Choice | str:
    """The option with its token, or why it may not be used."""
    if isinstance(option, UnreadableOption):
        return option.reason
    if option.scheme != _SCHEME:
        return f"the scheme {preview(option.scheme)} is not paid by this wallet; only {_SCHEME} is"
    network = option.network if version > 1 else network_of(wanted.assets, option.network)
    if network is None or not network.startswith("eip155:"):
        return f"the network {preview(option.network)} is not known to this wallet"
    if network not in wanted.networks:
        return f"the operator does not pay on {network}"
    asset = find_asset(wanted.assets, network, option.asset)
    if asset is None:
        return f"the token {preview(option.asset)} on {network} is not known to this wallet"
    return _unpayable(option, wanted) or _lie(option, asset) or _outside(option, asset, wanted) or Choice(option, asset)


def _unpayable(option: PaymentOption, wanted: Wanted) -> str | None:
    """What of the way in which it is paid is not this wallet's, or not allowed."""
    transfer, flow = option.extra.get("assetTransferMethod", _TRANSFER), option.extra.get("paymentFlow", _FLOW)
    if transfer != _TRANSFER:
        return f"the transfer method {preview(transfer)} is not paid by this wallet; only {_TRANSFER} is"
    if flow == _UPFRONT and not wanted.upfront:
        return "the merchant takes the money before it does the work, which the operator does not allow"
    if flow not in {_FLOW, _UPFRONT} or not isinstance(flow, str):
        return f"the payment flow {preview(flow)} is not paid by this wallet"
    return None


def _lie(option: PaymentOption, asset: Asset) -> str | None:
    """What an option says of its token that is not so."""
    extra = option.extra
    for name, known in (("name", asset.name), ("version", asset.version)):
        if extra.get(name) != known:
            return f"the token's EIP-712 {name} is {known!a}, and the merchant says {preview(extra.get(name))}"
    for name in ("decimals", "precision"):
        if name in extra and extra[name] != asset.decimals:
            return f"the token has {asset.decimals} decimals, and the merchant says {preview(extra[name])}"
    return None


def _outside(option: PaymentOption, asset: Asset, wanted: Wanted) -> str | None:
    """What of its amount or recipient cannot be meant, or is not allowed."""
    if option.amount == 0:
        return "it asks for nothing"
    if asset.micro(option.amount) > MOST_PER_CALL:
        return f"it asks for more than {format_usdc(MOST_PER_CALL)} USDC"
    if option.pay_to in {wanted.payer, asset.address}:
        return "it would pay the payer or the token itself"
    if wanted.pay_to is not None and option.pay_to not in wanted.pay_to:
        return f"the operator does not let {option.pay_to} be paid at this merchant"
    return None


def _mixes(challenge: Challenge, assets: Sequence[Asset]) -> bool:
    """Whether both test money and money are asked for."""
    kinds: set[bool] = set()
    for option in challenge.options:
        if isinstance(option, PaymentOption):
            network = option.network if challenge.version > 1 else network_of(assets, option.network)
            kinds |= {asset.testnet for asset in assets if asset.network == network}
    return len(kinds) > 1


def _label(option: PaymentOption | UnreadableOption, assets: Sequence[Asset]) -> str:
    if isinstance(option, UnreadableOption):
        return "unreadable"
    asset = next((one for one in assets if one.address == option.asset), None)
    token = option.asset[:44] if asset is None else asset.symbol
    return f"{option.scheme[:20]} {option.network[:40]} {token}"

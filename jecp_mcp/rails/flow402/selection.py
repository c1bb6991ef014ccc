"""Which of a merchant's ways to pay a control plane is given, and the most that they can cost. Pure: no I/O.

It is given none that was not looked at here, and of those nothing but fields that were: what it pays is then within
what was held for it, however it reads a challenge.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MICRO_PER_USDC, MicroUSDC, format_usdc
from jecp_mcp.rails.paid_http.refusals import Rejected
from jecp_mcp.wire.flow402.assets import DECIMALS, STABLECOINS, Stablecoin
from jecp_mcp.wire.values import preview
from jecp_mcp.wire.x402.challenge import REQUIRED_HEADER, Challenge, PaymentOption, UnreadableOption

MOST_PER_CALL: Final = MicroUSDC(1_000 * MICRO_PER_USDC)
"""The most that one request can cost by this rail, micro-USDC."""
_SCHEME: Final = "exact"
_AMOUNT: Final[Mapping[int, str]] = {1: "maxAmountRequired", 2: "amount"}
"""The field that a version's price stands in."""
_READ: Final = ("scheme", "network", "asset", "payTo", "maxTimeoutSeconds", "resource")
"""What else of a way to pay was read."""
_TEXTS: Final = ("description", "mimeType")
_EXTRA: Final = ("name", "version", "feePayer", "assetTransferMethod", "paymentFlow", "decimals", "precision")
"""What of `extra` was looked at, or says who pays for gas."""
_RESOURCE: Final = ("url", "description", "mimeType")


@dataclass(frozen=True, slots=True)
class Payable:
    """A way to pay that passed every check."""

    option: PaymentOption
    token: Stablecoin

    @property
    def amount(self) -> MicroUSDC:
        """What it costs, micro-USDC."""
        return MicroUSDC(self.option.amount)


def select(challenge: Challenge, networks: Sequence[str]) -> tuple[tuple[Payable, ...], tuple[Rejected, ...]]:
    """Every way to pay that may be taken, and every other one with the reason why not.

    Args:
        networks: those that the operator pays on.
    """
    passed: list[Payable] = []
    rejected: list[Rejected] = []
    for option in challenge.options:
        found = _judge(option, challenge.version, networks)
        if isinstance(found, Payable):
            passed.append(found)
        else:
            rejected.append(Rejected(option.index, _label(option), found))
    return tuple(passed), tuple(rejected)


def narrowed(challenge: Challenge, taken: Sequence[Payable]) -> tuple[Mapping[str, str], JSONObject | None]:
    """The challenge made anew of the ways to pay that are taken: its headers, and its body where it stands there.

    Raises:
        WireError: it cannot be written.
    """
    made: dict[str, Any] = {"x402Version": challenge.version}
    if challenge.error is not None:
        made["error"] = challenge.error
    resource = _texts(challenge.resource, _RESOURCE)
    if resource:
        made["resource"] = resource
    made["accepts"] = [_entry(one.option, challenge.version) for one in taken]
    if challenge.version > 1:
        return {REQUIRED_HEADER: base64.b64encode(jsontext.dumps(made)).decode("ascii")}, None
    return {"content-type": "application/json"}, made


def _entry(option: PaymentOption, version: int) -> JSONObject:
    """A way to pay as the merchant wrote it, without what was not looked at."""
    raw = option.raw
    entry = {name: raw[name] for name in (*_READ, _AMOUNT[version]) if raw.get(name) is not None}
    extra = {name: value for name, value in option.extra.items() if name in _EXTRA and isinstance(value, (str, int))}
    return entry | _texts(raw, _TEXTS) | ({"extra": extra} if "extra" in raw else {})


def _texts(found: JSONObject, names: Collection[str]) -> dict[str, str]:
    return {name: found[name] for name in names if isinstance(found.get(name), str)}


def _judge(option: PaymentOption | UnreadableOption, version: int, networks: Sequence[str]) -> Payable | str:
    if isinstance(option, UnreadableOption):
        return option.reason
    if option.scheme != _SCHEME:
        return f"the scheme {preview(option.scheme)} has no price before it is paid; only {_SCHEME} has"
    on_network = [one for one in STABLECOINS if option.network == (one.network if version > 1 else one.v1_network)]
    if not on_network:
        return f"the network {preview(option.network)} is not known"
    token = next((one for one in on_network if one.address == option.asset), None)
    if token is None:
        return f"the token {preview(option.asset)} on {on_network[0].network} is not known"
    if token.network not in networks:
        return f"the operator does not pay on {token.network}"
    return _second_amount(option, version) or _outside(option, token) or Payable(option, token)


def _second_amount(option: PaymentOption, version: int) -> str | None:
    other = option.raw.get(_AMOUNT[1 if version > 1 else 2])
    if other is None or other == option.raw[_AMOUNT[version]]:
        return None
    return f"it names a second amount, {preview(other)}, in the field of another version of x402"


def _outside(option: PaymentOption, token: Stablecoin) -> str | None:
    extra = option.extra
    for name, usual in (("assetTransferMethod", "eip3009"), ("paymentFlow", "authorization")):
        if name in extra and extra[name] != usual:
            return f"its {name} is {preview(extra[name])}, which is not passed on"
    for name, known in zip(("name", "version"), token.domain or (), strict=False):
        if name in extra and extra[name] != known:
            return f"the token's {name} is {known!a}, and the merchant says {preview(extra[name])}"
    for name in ("decimals", "precision"):
        if name in extra and extra[name] != DECIMALS:
            return f"the token has {DECIMALS} decimals, and the merchant says {preview(extra[name])}"
    if option.amount == 0:
        return "it asks for nothing"
    if option.amount > MOST_PER_CALL:
        return f"it asks for more than {format_usdc(MOST_PER_CALL)} USDC"
    return None


def _label(option: PaymentOption | UnreadableOption) -> str:
    if isinstance(option, UnreadableOption):
        return "unreadable"
    return f"{option.scheme[:20]} {option.network[:40]} {option.asset[:44]}"

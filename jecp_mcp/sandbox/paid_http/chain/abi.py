"""The token's functions that may be asked without a transaction, as the contract ABI writes them. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jecp_mcp.sandbox.paid_http.chain.accounts import SUPPLY
from jecp_mcp.sandbox.paid_http.chain.chain import Chain
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.typed_data import domain_separator

_WORD = 64
"""Hexadecimal digits of a 32-byte word."""
_SELECTOR = 8

_CONSTANTS: Mapping[str, Callable[[Asset], str]] = {
    "06fdde03": lambda asset: _text(asset.name),  # name()
    "54fd4d50": lambda asset: _text(asset.version),  # version()
    "95d89b41": lambda asset: _text(asset.symbol),  # symbol()
    "313ce567": lambda asset: _number(asset.decimals),  # decimals()
    "18160ddd": lambda _asset: _number(SUPPLY),  # totalSupply()
    "3644e515": lambda asset: f"0x{domain_separator(asset).hex()}",  # DOMAIN_SEPARATOR()
}
_BALANCE_OF = "70a08231"  # balanceOf(address)
_AUTHORIZATION_STATE = "e94a0102"  # authorizationState(address,bytes32)


def call_token(chain: Chain, data: str, number: int, *, denies_use: bool = False) -> str | None:
    """What the token answers.

    Args:
        chain: where it stands.
        data: the function's selector and arguments, hexadecimal with ``0x``.
        number: the block at which it is asked.
        denies_use: answer for a node that knows no use of an authorization.

    Returns:
        The ABI-encoded answer; None where it has no such function or not these arguments.
    """
    selector, words = data[2 : 2 + _SELECTOR].lower(), data[2 + _SELECTOR :].lower()
    if selector in _CONSTANTS:
        return _CONSTANTS[selector](chain.asset)
    if selector == _BALANCE_OF and len(words) == _WORD:
        return _number(chain.balance(_address(words), number))
    if selector == _AUTHORIZATION_STATE and len(words) == 2 * _WORD:
        used = chain.used(_address(words[:_WORD]), f"0x{words[_WORD:]}", number)
        return _number(int(used and not denies_use))
    return None


def _number(value: int) -> str:
    return f"0x{value:064x}"


def _address(word: str) -> str:
    return f"0x{word[-40:]}"


def _text(text: str) -> str:
    data = text.encode()
    padded = data.hex().ljust(-(-len(data) // 32) * _WORD, "0")
    return f"0x{32:064x}{len(data):064x}{padded}"

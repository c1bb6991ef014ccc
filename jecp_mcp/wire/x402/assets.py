"""The tokens this wallet pays with, each with what its EIP-712 domain is made of. Pure: no I/O.

What a merchant says of a token is never believed: it must agree with this table. A token must be worth one USD and keep
EIP-3009's ``transferWithAuthorization``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.x402.values import chain_id

_MICRO_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Asset:
    """One token on one chain.

    Attributes:
        network: the chain's CAIP-2 id, ``eip155:…``.
        v1_network: the chain's name in x402 version 1; ``""`` where it has none.
        address: the contract, in lower case.
        name, version: of its EIP-712 domain; what wallets call it is `symbol`.
        decimals: how many of its smallest units are one USD, as a power of ten; 6 or more.
        testnet: whether it is worth nothing.
    """

    network: str
    v1_network: str
    address: str
    symbol: str
    name: str
    version: str
    decimals: int
    testnet: bool

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        number = chain_id(self.network)
        assert number is not None, "an asset is on an EVM chain"
        return number

    def micro(self, units: int) -> MicroUSDC:
        """What so many of its smallest units are worth in micro-USDC, rounded up."""
        return MicroUSDC(-(-units // 10 ** (self.decimals - _MICRO_DECIMALS)))


def _usdc(network: str, v1_network: str, address: str, name: str, *, testnet: bool = False) -> Asset:
    return Asset(network, v1_network, address.lower(), "USDC", name, "2", 6, testnet)


ASSETS: Final = (
    _usdc("eip155:8453", "base", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"),
    _usdc("eip155:1", "ethereum", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USD Coin"),
    _usdc("eip155:137", "polygon", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", "USD Coin"),
    _usdc("eip155:42161", "", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "USD Coin"),
    _usdc("eip155:43114", "avalanche", "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", "USD Coin"),
    _usdc("eip155:84532", "base-sepolia", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", testnet=True),
    _usdc("eip155:421614", "", "0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d", "USD Coin", testnet=True),
)
"""USDC as its issuer made it, one a chain."""

SANDBOX_ASSET: Final = Asset(
    network="eip155:4024024024021",
    v1_network="jecp-sandbox",
    address="0x4a45435000000000000000000000000000000402",
    symbol="SANDBOX-USD",
    name="Sandbox USD",
    version="1",
    decimals=6,
    testnet=True,
)
"""The sandbox's play money: a chain that is nowhere, no token of `ASSETS`. What is signed for it is worth nothing."""


def find_asset(assets: Iterable[Asset], network: str, address: str) -> Asset | None:
    """The token at a contract of a chain, by its CAIP-2 id and its address in lower case."""
    return next((asset for asset in assets if (asset.network, asset.address) == (network, address)), None)


def network_of(assets: Iterable[Asset], v1_network: str) -> str | None:
    """The CAIP-2 id of a network that x402 version 1 names; None for one without a known token."""
    return next((asset.network for asset in assets if asset.v1_network == v1_network), None)

"""The tokens that a control plane pays with, each worth one USD. Pure: no I/O.

What a merchant says of a token is never believed: it must agree with this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET


@dataclass(frozen=True, slots=True)
class Stablecoin:
    """One token of six decimals on one network.

    Attributes:
        network: the network's CAIP-2 id.
        v1_network: its name in x402 version 1; ``""`` where it has none.
        address: the token there; of an EVM chain in lower case.
        testnet: whether it is worth nothing.
        domain: the name and version that merchants say of a token on an EVM chain; None where there are none.
    """

    network: str
    v1_network: str
    address: str
    symbol: str
    testnet: bool = False
    domain: tuple[str, str] | None = None


STABLECOINS: Final = (
    *(
        Stablecoin(
            one.network, one.v1_network, one.address, one.symbol, testnet=one.testnet, domain=(one.name, one.version)
        )
        for one in (*ASSETS, SANDBOX_ASSET)
    ),
    Stablecoin(
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "solana", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "USDC"
    ),
    Stablecoin(
        "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
        "solana-devnet",
        "4zMMC9srt5Ri5X14GAgXhaHii3GnPAERYPJgZJDncDU",
        "USDC",
        testnet=True,
    ),
)
"""USDC as its issuer made it, one a network, and the sandbox's play money."""
DECIMALS: Final = 6

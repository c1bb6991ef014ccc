"""How a sandbox Hub is set up."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.http_gate import Resolve, resolve
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.dialect import DialectName
from jecp_mcp.sandbox.open_links import OpenLinks
from jecp_mcp.sandbox.providers.txt_records import ResolveTxt
from jecp_mcp.sandbox.x402_payments import Accepted

OPENING_BALANCE = MicroUSDC(20_000_000)
"""Enough for a day of trying: ten times the daily limit that a new mandate has."""

DEFAULT_RATE_LIMITS: Mapping[str, int] = MappingProxyType(
    {"bronze": 60_000, "silver": 120_000, "gold": 300_000, "platinum": 600_000}
)
"""Calls per minute by trust tier: far above a production Hub's, so that tests and benchmarks are not the ones refused.

One agent's limit can be set to any number through ``POST /sandbox/wallet``.
"""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How a sandbox Hub runs.

    Attributes:
        data: the SQLite file that keeps its state; None keeps it in memory.
        dialect: ``reference`` speaks as the Hub at jecp.dev does, ``spec`` as the specification says.
        catalog: a JSON file with further providers' manifests, a list or ``{"manifests": [...]}``.
        opening_balance: the default agent's first test money, micro-USDC.
        free_calls: how many free calls a new agent has.
        rate_limits_rpm: calls per minute by trust tier.
        registrations_rpm: how many agents and providers may register within a minute.
        clock: the time; tests pass one they can turn.
        links: the payment links that this Hub has given.
        loopback: whether what strangers have the Hub call, providers and webhooks, is on this machine alone, by plain
            http too, where no name can be proven: the own resolver then answers what each is asked to publish. Else it
            is on the public network alone, by https.
        public_url: the origin by which others reach the Hub, where a proxy with a certificate stands before it; its
            name is answered to beside loopback's, and every link begins with it.
        resolve: gives the addresses of a name.
        x402: what is taken by x402; None takes nothing so, and no challenge offers it.
        resolve_txt: asks the DNS for TXT records; None asks nobody, but the sandbox's own resolver.
        control_key: what `jecp_mcp.sandbox.control_endpoints` asks for: printed when the Hub starts, another each time.
    """

    data: Path | None = None
    dialect: DialectName = "reference"
    catalog: Path | None = None
    opening_balance: MicroUSDC = OPENING_BALANCE
    free_calls: int = 100
    rate_limits_rpm: Mapping[str, int] = field(default_factory=lambda: DEFAULT_RATE_LIMITS)
    registrations_rpm: int = 3_000
    clock: Clock = field(default_factory=SystemClock)
    links: OpenLinks = field(default_factory=OpenLinks)
    loopback: bool = False
    resolve_txt: ResolveTxt | None = None
    x402: Accepted | None = None
    public_url: str | None = None
    resolve: Resolve = resolve
    control_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

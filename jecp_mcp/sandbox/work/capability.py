"""What the sandbox sells, as data: actions, capabilities and the result of doing one. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import JecpMcpError

Input = Mapping[str, Any]
"""An action's input, already valid against its `input_schema`."""
_SIDE_EFFECTS = ("external_api_call", "stores_data", "modifies_state", "sends_email")
Delta = str | dict[str, Any]
"""One piece of a stream."""


class WorkFailed(JecpMcpError):
    """The work cannot be done on this input; the buyer is not charged.

    Attributes:
        code: what went wrong, such as ``IMAGE_UNREADABLE``.
        message: why, for the buyer.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True, slots=True)
class Work:
    """What was delivered: a JSON `output`, or an `artifact` of bytes with its media type; never both.

    Attributes:
        units: what metered prices count: ``input_tokens``, ``output_tokens``, ``audio_seconds``.
    """

    output: Any = None
    artifact: tuple[str, bytes] | None = None
    units: Mapping[str, int] = field(default_factory=dict)


def whole(pieces: Callable[[Input], Generator[Delta, None, Work]]) -> Callable[[Input], Work]:
    """The same work in one piece."""

    def work(given: Input) -> Work:
        running = pieces(given)
        while True:
            try:
                next(running)
            except StopIteration as end:
                done: Work = end.value
                return done

    return work


@dataclass(frozen=True, slots=True)
class Action:
    """One action for sale.

    Attributes:
        price: the price of a call, or the base of a metered one, in decimal USDC.
        rates: unit rates of a metered price by their manifest key, in decimal USDC.
        output_schema: of the JSON output; for artifacts, of the wrapper the Hub puts round the bytes.
        stream: for streaming actions, the same work piece by piece; the generator returns what `work` returns.
        p95_ms: the latency promised, in milliseconds.
    """

    id: str
    name: str
    description: str
    price: str
    work: Callable[[Input], Work]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    examples: tuple[dict[str, Any], ...]
    stream: Callable[[Input], Generator[Delta, None, Work]] | None = None
    model: str = "per_call"
    rates: Mapping[str, str] = field(default_factory=dict)
    tier: str | None = None
    rpm: int | None = None
    p95_ms: int = 500

    def manifest(self) -> dict[str, Any]:
        """The action as a provider's manifest has it (JECP 04-manifest §5)."""
        entry: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "pricing": {"base": f"${self.price}", "currency": "USDC", "model": self.model, **self.rates},
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "examples": list(self.examples),
            "side_effects": dict.fromkeys(_SIDE_EFFECTS, False),
            "sla": {"latency_p95_ms": self.p95_ms, "timeout_ms": 30_000},
        }
        if self.stream is not None:
            entry["streaming"] = True
        if self.tier is not None:
            entry["trust_tier_required"] = self.tier
        if self.rpm is not None:
            entry["rate_limit_rpm"] = self.rpm
        return entry

    def builtin(self) -> dict[str, Any]:
        """The action as a Hub lists its own; the price is decimal text."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "price_usdc": self.price,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Ending:
    """A version on its way out, or gone: `days` until its sunset from today (negative: ago), UTC midnight.

    Without a `successor` the capability is withdrawn and nothing takes its place.
    """

    status: str
    days: int
    successor: str | None = None

    def manifest(self, now: UnixMs) -> dict[str, str]:
        """The manifest's ``deprecation``. Whole days keep the catalog's ETag still."""
        today = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        at = today + timedelta(days=self.days)
        ending = {"status": self.status, "sunset_at": at.isoformat().replace("+00:00", "Z")}
        return ending if self.successor is None else {**ending, "successor_version": self.successor}


@dataclass(frozen=True, slots=True)
class Capability:
    """One version of a capability; `namespace` is empty for the Hub's own."""

    namespace: str
    capability: str
    version: str
    name: str
    description: str
    tags: tuple[str, ...]
    actions: tuple[Action, ...]
    ending: Ending | None = None

    @property
    def id(self) -> str:
        """``namespace/capability``, or the bare name of a built-in."""
        return f"{self.namespace}/{self.capability}" if self.namespace else self.capability

    def manifest(self, display_name: str, now: UnixMs) -> dict[str, Any]:
        """The provider's full manifest (JECP 04-manifest §5)."""
        entry: dict[str, Any] = {
            "namespace": self.namespace,
            "display_name": display_name,
            "capability": self.capability,
            "version": self.version,
            "description": self.description,
            "tags": list(self.tags),
            "endpoint": f"https://{self.namespace}.example/jecp/{self.capability}",
            "actions": [action.manifest() for action in self.actions],
            "compliance": {"pii_handling": "process_only_no_store"},
        }
        if self.ending is not None:
            entry["deprecation"] = self.ending.manifest(now)
        return entry

    def builtin(self) -> dict[str, Any]:
        """The capability as a Hub lists its own."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "tags": list(self.tags),
            "actions": [action.builtin() for action in self.actions],
        }

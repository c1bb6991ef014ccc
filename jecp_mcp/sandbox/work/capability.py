"""What the sandbox sells, as data: actions, capabilities and the result of doing one. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isgeneratorfunction
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.sandbox.revenue_split import SoldStep
from jecp_mcp.sandbox.work.json_schema import Schema

Input = Mapping[str, Any]
"""An action's input, already valid against its `input_schema`."""
Delta = str | dict[str, Any]
"""One piece of a stream."""
_SIDE_EFFECTS = ("external_api_call", "stores_data", "modifies_state", "sends_email")


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
        steps: what was bought of others for it.
    """

    output: Any = None
    artifact: tuple[str, bytes] | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[SoldStep, ...] = ()


Stream = Generator[Delta, None, Work]
"""Work done piece by piece; the generator returns the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action for sale.

    Attributes:
        price: the price of a call, or the base of one metered by the token, in decimal USDC.
        work: what does it; a generator function streams.
        output_schema: of the JSON output; for artifacts, of the wrapper the Hub puts round the bytes.
        example: an input.
        name: the id in words unless given.
        rates: rates of a price per token by their manifest key, in decimal USDC.
        limits: the trust tier and the calls per minute, by their manifest key.
    """

    id: str
    description: str
    price: str
    work: Callable[[Input], Work | Stream]
    input_schema: Schema
    output_schema: Schema
    example: dict[str, Any]
    name: str = ""
    rates: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def streaming(self) -> bool:
        """Whether the work comes piece by piece."""
        return isgeneratorfunction(self.work)

    def run(self, given: Input) -> Work:
        """Do the work to its end."""
        done = self.work(given)
        while not isinstance(done, Work):
            try:
                next(done)
            except StopIteration as end:
                done = end.value
        return done

    def builtin(self) -> dict[str, Any]:
        """The action as a Hub lists its own; the price is decimal text."""
        return {
            "id": self.id,
            "name": self.name or self.id.replace("-", " ").capitalize(),
            "description": self.description,
            "price_usdc": self.price,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "examples": [{"input": self.example}],
        }

    def manifest(self) -> dict[str, Any]:
        """The action as a provider's manifest has it (JECP 04-manifest §5)."""
        entry = self.builtin()
        model = "per_token" if self.rates else "per_call"
        entry["pricing"] = {"base": f"${entry.pop('price_usdc')}", "currency": "USDC", "model": model, **self.rates}
        entry["side_effects"] = dict.fromkeys(_SIDE_EFFECTS, False)
        entry["sla"] = {"timeout_ms": 30_000}
        if self.streaming:
            entry["streaming"] = True
        return {**entry, **self.limits}


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A version on its way out, or gone: `days` until its sunset from today (negative: ago), UTC midnight.

    Without a `successor` the capability is withdrawn and nothing takes its place.
    """

    status: str
    days: int
    successor: str | None = None

    def manifest(self, now: UnixMs) -> dict[str, str]:
        """The manifest's ``deprecation``. Whole days keep the catalog's ETag still."""
        sunset = datetime.fromtimestamp(now / 1000, UTC).date() + timedelta(days=self.days)
        entry = {"status": self.status, "sunset_at": f"{sunset}T00:00:00Z"}
        return entry if self.successor is None else {**entry, "successor_version": self.successor}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One version of a capability. Its `id` is ``namespace/capability``, or the bare name of a built-in."""

    id: str
    version: str
    name: str
    description: str
    tags: tuple[str, ...]
    actions: tuple[Action, ...]
    deprecation: Deprecation | None = None

    def manifest(self, providers: Mapping[str, str], now: UnixMs) -> dict[str, Any]:
        """The provider's full manifest (JECP 04-manifest §5); `providers` has their names by namespace."""
        namespace, _, capability = self.id.partition("/")
        return {
            "namespace": namespace,
            "display_name": providers[namespace],
            "capability": capability,
            "version": self.version,
            "description": self.description,
            "tags": list(self.tags),
            "endpoint": f"https://{namespace}.example/jecp/{capability}",
            "actions": [action.manifest() for action in self.actions],
            "compliance": {"pii_handling": "process_only_no_store"},
            **({"deprecation": self.deprecation.manifest(now)} if self.deprecation else {}),
        }

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

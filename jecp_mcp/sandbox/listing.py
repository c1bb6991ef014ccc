"""One version of a capability for sale, read from a built-in's entry or a provider's manifest. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.sandbox.pricing import UNIT_OF_RATE, Tariff, read_tariff, usd
from jecp_mcp.wire.json_schemas import schema_validator, violations


@dataclass(slots=True)
class Offer:
    """One action for sale.

    Attributes:
        runs: the work function that does it, as (capability, action); None when only its provider could.
    """

    id: str
    raw: Mapping[str, Any]
    tariff: Tariff
    tier: str
    rate_limit_rpm: int
    streaming: bool
    timeout_seconds: float
    runs: tuple[str, str] | None
    _validators: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def payment_methods(self) -> list[str]:
        """``stripe``, ``x402`` or both (JECP 06-x402-integration §7)."""
        pricing = self.raw.get("pricing")
        return (pricing.get("payment_methods") if isinstance(pricing, Mapping) else None) or ["stripe"]

    def violations(self, value: Any) -> list[dict[str, str]]:
        """Where `value` breaks the input schema, by JSON pointer (RFC 6901); at most twenty places."""
        return self._violations("input_schema", value)

    def output_violations(self, value: Any) -> list[dict[str, str]]:
        """Where what was delivered breaks the output schema, as `violations`."""
        return self._violations("output_schema", value)

    def _violations(self, name: str, value: Any) -> list[dict[str, str]]:
        try:
            if name not in self._validators:
                self._validators[name] = schema_validator(self.raw.get(name) or {})
        except ValueError as exc:
            # Kept from when less was asked of a schema: nobody can say that a value keeps it.
            return [{"instance_path": "", "schema_path": "", "reason": f"the {name} cannot be used: {str(exc)[:200]}"}]
        return violations(self._validators[name], value)


@dataclass(slots=True)
class Listing:
    """One version of a capability. `namespace` is empty for a built-in; `manifest` is published as it is."""

    id: str
    namespace: str
    name: str
    version: str
    manifest: Mapping[str, Any]
    offers: Mapping[str, Offer]
    sunset_at: UnixMs | None = None
    successor: str | None = None

    def gone(self, at: int) -> bool:
        """Whether its sunset has passed."""
        return self.sunset_at is not None and self.sunset_at <= at


def read_builtin(entry: dict[str, Any]) -> Listing:
    """Read a capability of the Hub's own."""
    actions = []
    for action in entry["actions"]:
        price = read_tariff(action).base
        actions.append({**action, "price_usdc": usd(price), "payment_methods": ["stripe"]})
    prices = [action["price_usdc"] for action in actions]
    listed = {**entry, "pricing": {"min": min(prices), "max": max(prices)}, "actions": actions}
    offers = {each["id"]: _offer(each, (entry["id"], each["id"])) for each in actions}
    return Listing(entry["id"], "", entry["id"], entry.get("version", "1.0.0"), listed, offers)


OWN_WORK = ("", "")
"""Stands for: each action of the manifest is work of the sandbox's own, by the same name."""


def read_manifest(manifest: Mapping[str, Any], runs: tuple[str, str] | None) -> Listing:
    """Read a provider's manifest, whose actions are done by the work `runs`.

    Raises:
        MoneyError: a price is not exact.
    """
    capability = f"{manifest['namespace']}/{manifest['capability']}"
    version = manifest["version"]
    offers = {}
    for action in manifest["actions"]:
        pricing = action["pricing"]
        for key in UNIT_OF_RATE.keys() & pricing.keys():
            pricing[key] = Decimal(pricing[key])
        work = (f"{capability}@{version}", action["id"]) if runs is OWN_WORK else runs
        offers[action["id"]] = _offer(action, work)
    deprecation = manifest.get("deprecation") or {}
    sunset = deprecation.get("sunset_at") if deprecation.get("status", "active") != "active" else None
    successor = deprecation.get("successor_version")
    return Listing(
        id=capability,
        namespace=manifest["namespace"],
        name=manifest["capability"],
        version=version,
        manifest=manifest,
        offers=offers,
        sunset_at=parse_iso(sunset) if isinstance(sunset, str) else None,
        successor=f"{capability}@{successor}" if isinstance(successor, str) else None,
    )


def _offer(action: Mapping[str, Any], runs: tuple[str, str] | None) -> Offer:
    sla = action.get("sla") or {}
    return Offer(
        id=action["id"],
        raw=action,
        tariff=read_tariff(action),
        tier=action.get("trust_tier_required") or "bronze",
        rate_limit_rpm=action.get("rate_limit_rpm") or 0,
        streaming=action.get("streaming") is True,
        timeout_seconds=sla.get("timeout_ms", 30_000) / 1000,
        runs=runs,
    )

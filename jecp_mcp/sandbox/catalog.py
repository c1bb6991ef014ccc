"""What the Hub has for sale: built-ins and providers' manifests, by id and version, changeable at run time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import MoneyError, SettingsError, WireError
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.pricing import UNIT_OF_RATE, Tariff, read_tariff, usd
from jecp_mcp.wire.jecp.ids import split_capability

MAX_CATALOG_BYTES = 16 * 1024 * 1024
_VIOLATIONS_SHOWN = 20


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
    _validator: Any = field(default=None, repr=False)

    def violations(self, value: Any) -> list[dict[str, str]]:
        """Where `value` breaks the input schema, by JSON pointer (RFC 6901); at most twenty places."""
        if self._validator is None:
            self._validator = _validator(self.raw.get("input_schema") or {})
        if self._validator.is_valid(value):
            return []
        found = []
        for error in self._validator.iter_errors(value):
            found.append(
                {
                    "instance_path": _pointer(error.instance_path),
                    "schema_path": _pointer(error.schema_path),
                    "reason": error.message[:500],
                }
            )
            if len(found) == _VIOLATIONS_SHOWN:
                break
        return found


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


class Catalog:
    """The catalog. An unpinned call means the version published last."""

    def __init__(self, builtins: Iterable[Mapping[str, Any]], manifests: Iterable[Mapping[str, Any]]) -> None:
        """Put up the Hub's own and the providers' capabilities.

        Raises:
            WireError, MoneyError: one of them cannot be sold as it stands.
        """
        self.revision = 0
        self._versions: dict[str, dict[str, Listing]] = {}
        for entry in builtins:
            self._add(_read_builtin(_exact(entry)))
        for manifest in manifests:
            self._add(_read_manifest(_exact(manifest), _OWN_WORK))

    def publish(self, manifest: Any) -> Listing:
        """Publish a provider's manifest, validated to the letter; it replaces the same version.

        Raises:
            WireError: it is not valid; the message says where.
        """
        # Imported late: pydantic costs more than the rest of the start.
        from jecp_mcp.wire.jecp.manifest import MAX_MANIFEST_BYTES, check_manifest

        if len(jsontext.dumps(manifest)) > MAX_MANIFEST_BYTES:
            raise WireError(f"the manifest is larger than {MAX_MANIFEST_BYTES} bytes")
        check_manifest(manifest)
        try:
            listing = _read_manifest(manifest, self._work_of(manifest))
            for offer in listing.offers.values():
                _validator(offer.raw["input_schema"])
        except (MoneyError, ValueError) as exc:
            raise WireError(f"the manifest is not valid: {exc}") from exc
        self._add(listing)
        return listing

    def _work_of(self, manifest: Mapping[str, Any]) -> tuple[str, str] | None:
        """The work a manifest's ``extensions.sandbox.runs`` names, if it names one."""
        script = (manifest.get("extensions") or {}).get("sandbox")
        if not isinstance(script, Mapping):
            return None
        capability, _, action = str(script.get("runs")).rpartition(":")
        try:
            offer = self.find(capability).offers.get(action)
        except Refused as refused:
            raise WireError(f"extensions.sandbox.runs: {refused.message}") from refused
        if offer is None or offer.runs is None:
            raise WireError("extensions.sandbox.runs names no action that works here")
        return offer.runs

    def remove(self, capability: str, version: str | None = None) -> list[str]:
        """Take a capability down, or one version of it; the versions taken."""
        versions = self._versions.get(capability, {})
        taken = list(versions) if version is None else [v for v in versions if v == version]
        for each in taken:
            del versions[each]
        if not versions:
            self._versions.pop(capability, None)
        self.revision += bool(taken)
        return taken

    def listings(self, *, builtin: bool) -> list[Listing]:
        """Every version of the built-ins, or of everything else, in the order of publication."""
        return [
            listing
            for versions in self._versions.values()
            for listing in versions.values()
            if (not listing.namespace) is builtin
        ]

    def find(self, capability_id: str) -> Listing:
        """The listing a request means: ``id`` for the current version, ``id@1.2.3`` for that one.

        Raises:
            Refused: there is none.
        """
        try:
            asked = split_capability(capability_id)
        except WireError as exc:
            raise Refused("INVALID_CAPABILITY", f"{capability_id[:100]!r} is not a capability id.") from exc
        versions = self._versions.get(asked.capability)
        if versions is None:
            raise Refused("CAPABILITY_NOT_FOUND", f"'{asked.capability}' is not a published active capability.")
        if asked.version is None:
            return next(reversed(versions.values()))
        if asked.version not in versions:
            raise Refused(
                "CAPABILITY_NOT_FOUND",
                f"'{asked.capability}' has no version {asked.version}.",
                details={"capability": asked.capability, "versions": list(versions)},
            )
        return versions[asked.version]

    def has_namespace(self, namespace: str) -> bool:
        """Whether any provider sells under this namespace."""
        return any(each.startswith(f"{namespace}/") for each in self._versions)

    def _add(self, listing: Listing) -> None:
        versions = self._versions.setdefault(listing.id, {})
        versions.pop(listing.version, None)
        versions[listing.version] = listing
        self.revision += 1


def read_catalog_file(path: Path) -> list[Any]:
    """The manifests of a ``--catalog`` file: a JSON list, or an object with a list under ``manifests``.

    Raises:
        SettingsError: the file cannot be read or is not that.
    """
    try:
        found = jsontext.loads(path.read_bytes(), max_bytes=MAX_CATALOG_BYTES)
    except (OSError, WireError) as exc:
        raise SettingsError(str(path), "", str(exc)) from exc
    manifests = found.get("manifests") if isinstance(found, dict) else found
    if not isinstance(manifests, list):
        raise SettingsError(str(path), "manifests", "a list of manifests is expected")
    return manifests


def _exact(entry: Mapping[str, Any]) -> Any:
    """The same entry as it would arrive over the wire, so that its numbers are exact."""
    return jsontext.loads(json.dumps(entry), max_bytes=MAX_CATALOG_BYTES)


def _read_builtin(entry: dict[str, Any]) -> Listing:
    actions = []
    for action in entry["actions"]:
        price = read_tariff(action).base
        actions.append({**action, "price_usdc": usd(price), "payment_methods": ["stripe"]})
    prices = [action["price_usdc"] for action in actions]
    listed = {**entry, "pricing": {"min": min(prices), "max": max(prices)}, "actions": actions}
    offers = {each["id"]: _offer(each, (entry["id"], each["id"])) for each in actions}
    return Listing(entry["id"], "", entry["id"], entry.get("version", "1.0.0"), listed, offers)


_OWN_WORK = ("", "")
"""Stands for: each action of the manifest is work of the sandbox's own, by the same name."""


def _read_manifest(manifest: Mapping[str, Any], runs: tuple[str, str] | None) -> Listing:
    capability = f"{manifest['namespace']}/{manifest['capability']}"
    version = manifest["version"]
    offers = {}
    for action in manifest["actions"]:
        pricing = action["pricing"]
        for key in UNIT_OF_RATE.keys() & pricing.keys():
            pricing[key] = Decimal(pricing[key])
        work = (f"{capability}@{version}", action["id"]) if runs is _OWN_WORK else runs
        offers[action["id"]] = _offer(action, work)
    ending = manifest.get("deprecation") or {}
    sunset = ending.get("sunset_at") if ending.get("status", "active") != "active" else None
    successor = ending.get("successor_version")
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


def _validator(schema: Any) -> Any:
    """A validator that reads no other document, runs patterns in linear time and repeats nobody's input.

    Raises:
        ValueError: it is no JSON Schema.
    """
    return jsonschema_rs.validator_for(
        jsontext.plain(schema),
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_no_documents,
        mask="the value",
    )


def _no_documents(uri: str) -> Any:
    raise ValueError(f"schemas may not refer to other documents: {uri[:100]}")


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)

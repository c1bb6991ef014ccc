"""Publishing a provider's manifest: the rules beyond its form, and what was published (JECP 04-manifest §6.1, §8.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import apsw

from jecp_mcp import jsontext
from jecp_mcp.errors import MoneyError
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.pricing import read_tariff
from jecp_mcp.sandbox.providers.accounts import Provider
from jecp_mcp.sandbox.providers.composites import composite_faults
from jecp_mcp.sandbox.providers.refusals import ProviderRefused, invalid_manifest
from jecp_mcp.sandbox.providers.registration import endpoint_host
from jecp_mcp.wire.json_schemas import schema_validator, violations

MEDIA_TYPES: Final = frozenset({"application/x-yaml", "application/yaml", "text/yaml", "application/json"})

Status = Literal["active", "submitted"]
"""``submitted``: published, and not for sale until its provider can be paid."""


class Published(NamedTuple):
    """A manifest that a provider published."""

    capability: str
    version: str
    status: str
    manifest: Mapping[str, Any]


def read_published(text: bytes, *, loopback: bool) -> dict[str, Any]:
    """The manifest in a request, of the right form.

    Raises:
        Refused: it cannot be read, is too large, or breaks the schema; each place is named.
    """
    # Imported late: pydantic costs more than the rest of the start.
    from jecp_mcp.wire.jecp.manifest import ManifestInvalid, check_manifest
    from jecp_mcp.wire.jecp.manifest_text import ManifestTooLarge, ManifestUnreadable, read_manifest_text

    try:
        raw = read_manifest_text(text)
        check_manifest(raw, loopback=loopback)
    except ManifestTooLarge as exc:
        raise ProviderRefused("MANIFEST_TOO_LARGE", f"{exc}. Nothing was published.") from exc
    except ManifestUnreadable as exc:
        raise ProviderRefused("PARSE_ERROR", f"{exc}. Nothing was published.") from exc
    except ManifestInvalid as exc:
        raise invalid_manifest(exc.faults) from exc
    assert isinstance(raw, dict)
    return raw


def check_rules(provider: Provider, manifest: Mapping[str, Any], catalog: Catalog, *, loopback: bool) -> list[str]:
    """What is not wrong with a manifest, but better otherwise.

    Args:
        provider: whose it is.
        manifest: of the right form.
        catalog: what its composite actions may call.
        loopback: whether providers are on this machine.

    Raises:
        Refused: a rule is broken; each place is named.
    """
    faults = [*_faults(provider, manifest, catalog)]
    try:
        host = endpoint_host(manifest["endpoint"], "endpoint", loopback=loopback)
    except Refused as refused:
        details = refused.details or {}
        faults.append(("/endpoint", f"is no address that this Hub calls ({details['reason']})"))
    else:
        if host != provider.host:
            faults.append(("/endpoint", f"is at {host}, and the host that was proven to be yours is {provider.host}"))
    if faults:
        raise invalid_manifest(faults)
    return [*_warnings(manifest)]


def _faults(provider: Provider, manifest: Mapping[str, Any], catalog: Catalog) -> Iterator[tuple[str, str]]:
    if manifest["namespace"] != provider.namespace:
        yield "/namespace", f"is not yours, which is {provider.namespace}"
    if "display_name" not in manifest:
        yield "/display_name", "is required"
    for number, action in enumerate(manifest["actions"]):
        place = f"/actions/{number}"
        for field, reason in _schema_faults(action):
            yield f"{place}/{field}", reason
        try:
            tariff = read_tariff(action)
        except MoneyError as exc:
            yield f"{place}/pricing", str(exc)
        else:
            for within, reason in composite_faults(action, tariff.base, catalog):
                yield place + within, reason
        if "x402" in action["pricing"].get("payment_methods", ()) and provider.payout_address is None:
            yield f"{place}/pricing/payment_methods", "x402 needs the usdc_payout_address of your registration"


def _schema_faults(action: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("input_schema", "output_schema"):
        try:
            schema_validator(action[field])
        except ValueError as exc:
            yield field, f"is no JSON Schema: {str(exc)[:200]}"


def _warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    for number, action in enumerate(manifest["actions"]):
        place = f"/actions/{number}"
        examples = action.get("examples") or []
        if not examples:
            yield f"{place}/examples: an example shows agents what to send"
        for position, example in enumerate(examples):
            for part in ("input", "output"):
                if part not in example:
                    continue
                broken = violations(schema_validator(action[f"{part}_schema"]), jsontext.plain(example[part]))
                if broken:
                    yield f"{place}/examples/{position}/{part}{broken[0]['instance_path']}: {broken[0]['reason']}"
    if not manifest.get("support_email"):
        yield "/support_email: an address helps those who buy"


def is_paid(manifest: Mapping[str, Any]) -> bool:
    """Whether any action of a manifest that keeps the rules costs something."""
    tariffs = [read_tariff(action) for action in manifest["actions"]]
    return any(tariff.base or tariff.metered for tariff in tariffs)


class ProviderManifests:
    """The manifests in a `HubDatabase` that providers published."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database

    def find(self, capability: str, version: str) -> Published | None:
        """One version, if it was published."""
        row = self._database.row(
            "SELECT capability, version, status, manifest FROM provider_manifests WHERE capability = ? AND version = ?",
            capability,
            version,
        )
        return None if row is None else _published(*row)

    def keep(self, provider_id: str, manifest: Mapping[str, Any], status: Status) -> Published:
        """Remember a new version.

        Raises:
            Refused: there is this version already.
        """
        capability, version = f"{manifest['namespace']}/{manifest['capability']}", manifest["version"]
        text = jsontext.dumps(manifest).decode()
        try:
            with self._database.atomic():
                self._database.rows(
                    "INSERT INTO provider_manifests (provider_id, capability, version, status, manifest)"
                    " VALUES (?, ?, ?, ?, ?)",
                    provider_id, capability, version, status, text,
                )  # fmt: skip
        except apsw.ConstraintError as exc:
            raise version_exists(capability, version) from exc
        return Published(capability, version, status, manifest)

    def end(self, published: Published, manifest: Mapping[str, Any]) -> Published:
        """Remember that a version is on its way out, or gone: nothing else of it may change (JECP 04-manifest §8.5)."""
        with self._database.atomic():
            self._database.rows(
                "UPDATE provider_manifests SET manifest = ? WHERE capability = ? AND version = ?",
                jsontext.dumps(manifest).decode(),
                published.capability,
                published.version,
            )
        return published._replace(manifest=manifest)

    def activate(self, provider_id: str) -> list[Published]:
        """Put up for sale what waited for its provider to be payable."""
        with self._database.atomic():
            rows = self._database.rows(
                "UPDATE provider_manifests SET status = 'active' WHERE provider_id = ? AND status = 'submitted'"
                " RETURNING capability, version, status, manifest",
                provider_id,
            )
        return [_published(*row) for row in rows]

    def for_sale(self) -> list[tuple[str, str, str | None]]:
        """What is for sale: capability, version and the manifest's text."""
        rows = self._database.rows(
            "SELECT capability, version, manifest FROM provider_manifests WHERE status = 'active' ORDER BY number"
        )
        return [(capability, version, text) for capability, version, text in rows]


def only_ends(earlier: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says of an earlier one no more than that it ends."""
    status = (manifest.get("deprecation") or {}).get("status", "active")
    same = [{key: value for key, value in each.items() if key != "deprecation"} for each in (earlier, manifest)]
    return status != "active" and same[0] == same[1]


def version_exists(capability: str, version: str) -> ProviderRefused:
    """The refusal of a version that was published before."""
    return ProviderRefused(
        "VERSION_EXISTS",
        f"{capability} {version} was published before: give the change a new version."
        " Only its deprecation can be added to a version.",
        details={"capability": capability, "version": version},
    )


def _published(capability: str, version: str, status: str, text: str) -> Published:
    return Published(capability, version, status, jsontext.loads(text, max_bytes=len(text) * 4))

"""What the Hub has for sale: built-ins and providers' manifests, by id and version, changeable at run time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.errors import MoneyError, SettingsError, WireError
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.listing import OWN_WORK, Listing, read_builtin, read_manifest
from jecp_mcp.wire.jecp.ids import split_capability
from jecp_mcp.wire.json_schemas import schema_validator

MAX_CATALOG_BYTES = 16 * 1024 * 1024


class Catalog:
    """The catalog. An unpinned call means the highest version that is not on its way out (JECP 04-manifest §7.2)."""

    def __init__(self, builtins: Iterable[Mapping[str, Any]], manifests: Iterable[Mapping[str, Any]]) -> None:
        """Put up the Hub's own and the providers' capabilities.

        Raises:
            WireError, MoneyError: one of them cannot be sold as it stands.
        """
        self.revision = 0
        self._versions: dict[str, dict[str, Listing]] = {}
        for entry in builtins:
            self._add(read_builtin(_exact(entry)))
        for manifest in manifests:
            self._add(read_manifest(_exact(manifest), OWN_WORK))

    def publish(self, manifest: Any, *, loopback: bool = False) -> Listing:
        """Publish a provider's manifest, validated to the letter; it replaces the same version.

        Args:
            manifest: as `jecp_mcp.jsontext.loads` reads it.
            loopback: whether its endpoint may be on this machine.

        Raises:
            WireError: it is not valid; the message says where.
        """
        listing = self._read(manifest, loopback=loopback)
        try:
            for offer in listing.offers.values():
                for field in ("input_schema", "output_schema"):
                    schema_validator(offer.raw[field])
        except ValueError as exc:
            raise WireError(f"the manifest is not valid: {exc}") from exc
        self._add(listing)
        return listing

    def _read(self, manifest: Any, *, loopback: bool) -> Listing:
        # Imported late: pydantic costs more than the rest of the start.
        from jecp_mcp.wire.jecp.manifest import MAX_MANIFEST_BYTES, check_manifest

        if len(jsontext.dumps(manifest)) > MAX_MANIFEST_BYTES:
            raise WireError(f"the manifest is larger than {MAX_MANIFEST_BYTES} bytes")
        check_manifest(manifest, loopback=loopback)
        try:
            return read_manifest(manifest, self._work_of(manifest))
        except (MoneyError, ValueError) as exc:
            raise WireError(f"the manifest is not valid: {exc}") from exc

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

    def current(self) -> list[Listing]:
        """The version of each capability that is meant where none is named, the Hub's own ones first."""
        every = [*self.listings(builtin=True), *self.listings(builtin=False)]
        return [one for one in every if self.find(one.id) is one]

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
            return _latest(versions)
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

    def publish_file(self, path: Path) -> None:
        """Publish the manifests of a ``--catalog`` file: a JSON list, or an object with a list under ``manifests``.

        Raises:
            SettingsError: the file cannot be read, is not that, or holds a manifest that is not valid.
        """
        try:
            found = jsontext.loads(path.read_bytes(), max_bytes=MAX_CATALOG_BYTES)
        except (OSError, WireError) as exc:
            raise SettingsError(str(path), "", str(exc)) from exc
        manifests = found.get("manifests") if isinstance(found, dict) else found
        if not isinstance(manifests, list):
            raise SettingsError(str(path), "manifests", "a list of manifests is expected")
        for position, manifest in enumerate(manifests):
            try:
                self.publish(manifest)
            except WireError as exc:
                raise SettingsError(str(path), f"manifests[{position}]", str(exc)) from exc

    def restore(self, changes: Iterable[tuple[str, str, str | None]], source: str) -> None:
        """Do again what was changed at run time: capability, version and manifest, None for one taken down.

        Raises:
            SettingsError: a manifest kept in `source` is not valid any more.
        """
        for capability, version, text in changes:
            if text is None:
                self.remove(capability, version)
                continue
            try:
                # Whether this machine's providers are called is judged at each call.
                # So are its schemas, of which less may have been asked when it was published.
                self._add(self._read(jsontext.loads(text, max_bytes=len(text)), loopback=True))
            except WireError as exc:
                raise SettingsError(source, f"{capability}@{version}", str(exc)) from exc

    def _add(self, listing: Listing) -> None:
        versions = self._versions.setdefault(listing.id, {})
        versions.pop(listing.version, None)
        versions[listing.version] = listing
        self.revision += 1


def _latest(versions: Mapping[str, Listing]) -> Listing:
    """The highest version that is active; where none is, the highest."""
    listed = list(versions.values())
    active = [one for one in listed if one.sunset_at is None] or listed
    return max(active, key=lambda one: [int(part) for part in one.version.split(".")])


def _exact(entry: Mapping[str, Any]) -> Any:
    """The same entry as it would arrive over the wire, so that its numbers are exact."""
    return jsontext.loads(json.dumps(entry), max_bytes=MAX_CATALOG_BYTES)

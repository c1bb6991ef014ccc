"""The catalog as published: pages, filters, ETag, single capabilities, in both dialects (JECP 05-discovery §6)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.dialect import Dialect, DialectName
from jecp_mcp.sandbox.error_answers import Refused, Reply
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.success_answers import ENGINE
from jecp_mcp.wire.jecp.tiers import TIERS

DEFAULT_PAGE = 50
MOST_ON_A_PAGE = 200
CATALOG_VERSION = "1.0.2"
_CACHE_CONTROL: Mapping[DialectName, str] = {
    "reference": "public, max-age=60",
    "spec": "public, max-age=300, s-maxage=600",
}
_MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """A query of the catalog."""

    limit: int
    after: tuple[str, str] | None
    namespace: str | None
    tags: frozenset[str]
    tier: str | None
    paginated: bool

    def matches(self, listing: Listing) -> bool:
        """Whether a listing passes the filters."""
        if self.namespace is not None and listing.namespace != self.namespace:
            return False
        if self.tags and not self.tags.intersection(listing.manifest.get("tags") or ()):
            return False
        return self.tier is None or TIERS.index(_tier(listing)) <= TIERS.index(self.tier)


def read_query(query: Mapping[str, str], dialect: DialectName) -> CatalogQuery:
    """Read the query of ``GET /v1/capabilities``; either dialect's names for a filter are understood.

    Raises:
        Refused: the cursor is none of this Hub's, or a number is none.
    """
    size = query.get("page_size" if dialect == "reference" else "limit")
    try:
        limit = DEFAULT_PAGE if size is None else int(size)
    except ValueError as exc:
        raise Refused("INVALID_REQUEST", "the page's size must be a whole number.") from exc
    cursor = query.get("cursor")
    tier = query.get("tier")
    if tier is not None and tier not in TIERS:
        raise Refused("INVALID_REQUEST", f"tier must be one of {', '.join(TIERS)}.")
    tags = ",".join(filter(None, (query.get("tags"), query.get("tag"))))
    paginated = dialect == "spec" or query.get("paginated", "true").lower() != "false"
    return CatalogQuery(
        limit=max(1, min(limit, MOST_ON_A_PAGE)) if paginated else MOST_ON_A_PAGE,
        after=_read_cursor(cursor) if cursor and paginated else None,
        namespace=query.get("namespace") or query.get("provider") or None,
        tags=frozenset(tag.strip() for tag in tags.split(",") if tag.strip()),
        tier=tier,
        paginated=paginated,
    )


class CatalogPages:
    """Pages of a `Catalog`, kept written until the catalog changes. Call counts are those of the last change."""

    def __init__(self, catalog: Catalog, dialect: DialectName, counts: Mapping[str, int]) -> None:
        self._catalog, self._dialect, self._counts = catalog, dialect, counts
        self._revision = catalog.revision
        self._kept: dict[object, tuple[str, bytes]] = {}

    def page(self, query: Mapping[str, str], if_none_match: str | None) -> Reply:
        """One page.

        Raises:
            Refused: the query is not understood.
        """
        asked = read_query(query, self._dialect)
        return self._reply(asked, lambda: self._page(asked), if_none_match)

    def single(self, capability: str, dialect: Dialect, if_none_match: str | None) -> Reply:
        """One capability, or one version of it.

        Raises:
            Refused: there is none.
        """
        try:
            listing = self._catalog.find(capability)
        except Refused as refused:
            if refused.code == "INVALID_CAPABILITY":
                raise Refused("CAPABILITY_NOT_FOUND", f"'{capability[:100]}' is not a published capability.") from None
            raise
        if self._dialect == "reference":
            return self._reply(
                listing.id + "@" + listing.version, lambda: self._reference_entry(listing), if_none_match
            )

        def entry() -> dict[str, Any]:
            shown = _spec_entry(listing)
            shown.setdefault("deprecation", None)
            return {**shown, "manifest_url": f"{dialect.origin}/v1/capabilities/{listing.id}@{listing.version}"}

        return self._reply((listing.id, listing.version, dialect.origin), entry, if_none_match)

    def _reply(self, key: object, make: Any, if_none_match: str | None) -> Reply:
        if self._revision != self._catalog.revision or len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
            self._revision = self._catalog.revision
        kept = self._kept.get(key)
        if kept is None:
            body = jsontext.dumps(make())
            kept = self._kept[key] = (f'"{hashlib.sha256(body).hexdigest()[:32]}"', body)
        etag, body = kept
        headers = {"etag": etag, "cache-control": _CACHE_CONTROL[self._dialect]}
        if if_none_match is not None and _matches(if_none_match, etag):
            return Reply(304, b"", headers)
        return Reply(200, body, {"content-type": "application/json", **headers})

    def _page(self, query: CatalogQuery) -> dict[str, Any]:
        builtins = self._catalog.listings(builtin=True)
        others = [each for each in self._catalog.listings(builtin=False) if query.matches(each)]
        listed = others if self._dialect == "reference" else [each for each in builtins if query.matches(each)] + others
        listed.sort(key=_sort_key)
        after = [each for each in listed if query.after is None or _sort_key(each) > query.after]
        shown = after[: query.limit]
        more = len(after) > len(shown)
        cursor = _write_cursor(shown[-1]) if more and query.paginated else None
        if self._dialect == "spec":
            return {
                "jecp": "1.0",
                "capabilities": [_spec_entry(each) for each in shown],
                "total": len(listed),
                "version": CATALOG_VERSION,
                "next_cursor": cursor,
            }
        page: dict[str, Any] = {
            "jecp": "1.0",
            "engine": ENGINE,
            "capabilities": [each.manifest for each in builtins],
            "third_party_capabilities": [self._reference_entry(each) for each in shown],
            "third_party_count": len(shown),
        }
        if query.paginated:
            page |= {"page_size": query.limit, "has_more": more, "next_cursor": cursor}
        return page | {"paginated": query.paginated}

    def _reference_entry(self, listing: Listing) -> Mapping[str, Any]:
        if not listing.namespace:
            return listing.manifest
        manifest = listing.manifest
        return {
            "id": listing.id,
            "namespace": listing.namespace,
            "name": manifest.get("display_name") or listing.id,
            "version": listing.version,
            "description": manifest.get("description", ""),
            "tags": manifest.get("tags") or [],
            "total_calls": self._counts.get(listing.id, 0),
            "source": "third_party",
            "actions": [{"id": each.id, "payment_methods": each.payment_methods} for each in listing.offers.values()],
            "manifest": manifest,
        }


def _spec_entry(listing: Listing) -> dict[str, Any]:
    manifest = listing.manifest
    shown: dict[str, Any] = {
        "id": listing.id,
        "provider": listing.namespace or "hub",
        "name": manifest.get("name") or manifest.get("display_name") or listing.id,
        "description": manifest.get("description", ""),
        "version": listing.version,
        "tags": manifest.get("tags") or [],
        "actions": [_spec_action(each) for each in listing.offers.values()],
        "trust_tier_required": _tier(listing),
        "rate_limit_rpm": max((each.rate_limit_rpm for each in listing.offers.values()), default=0),
    }
    if "deprecation" in manifest:
        shown["deprecation"] = manifest["deprecation"]
    return shown


def _spec_action(offer: Offer) -> dict[str, Any]:
    kept = ("name", "examples", "side_effects", "sla")
    shown: dict[str, Any] = {
        "id": offer.id,
        "description": offer.raw.get("description", ""),
        "price_usdc": usd(offer.tariff.base),
        "payment_methods": offer.payment_methods,
        "input_schema": offer.raw.get("input_schema") or {},
        "output_schema": offer.raw.get("output_schema") or {},
        "streaming": offer.streaming,
        "trust_tier_required": offer.tier,
        **{key: offer.raw[key] for key in kept if key in offer.raw},
    }
    if offer.tariff.metered:
        shown["pricing"] = offer.raw["pricing"]
    return shown


def _tier(listing: Listing) -> str:
    """The least tier that can use any of a capability's actions."""
    return min((offer.tier for offer in listing.offers.values()), key=TIERS.index, default=TIERS[0])


def _sort_key(listing: Listing) -> tuple[str, str]:
    return (listing.id, listing.version)


def _write_cursor(listing: Listing) -> str:
    return base64.urlsafe_b64encode(json.dumps(_sort_key(listing)).encode()).decode("ascii").rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        capability, version = found
    except (binascii.Error, ValueError, TypeError, RecursionError) as exc:
        raise Refused("INVALID_CURSOR", "The cursor is none of this Hub's.") from exc
    if not isinstance(capability, str) or not isinstance(version, str):
        raise Refused("INVALID_CURSOR", "The cursor is none of this Hub's.")
    return capability, version


def _matches(header: str, etag: str) -> bool:
    """Weak comparison, as If-None-Match asks for (RFC 9110 §13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in given or etag in given

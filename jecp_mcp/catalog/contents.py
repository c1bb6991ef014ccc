"""A catalog at one moment, and what differs between two. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jecp_mcp.catalog.rows import Row, Rows
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.jsontext import NOTHING


def _no_actions() -> Mapping[str, Offer]:
    return MappingProxyType({})


def _none_left_out() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is on offer.

    Attributes:
        revision: changes exactly when something changes that a buyer can see; ``""`` before the first fetch.
        actions: by `Offer.key`.
        quarantined: entries set aside while reading: an id as far as there was one, and why.
        fetched_at: when the source last confirmed it, milliseconds since the Unix epoch; None before the first fetch.
        excluded: the operator's patterns that left something out.
        left_out: the keys of the actions that the operator's settings leave out, by the name of the setting.
    """

    revision: str = ""
    actions: Mapping[str, Offer] = field(default_factory=_no_actions)
    quarantined: tuple[tuple[str, str], ...] = ()
    fetched_at: UnixMs | None = None
    excluded: frozenset[str] = frozenset()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=_none_left_out)

    def get(self, key: str) -> Offer | None:
        """The action with this key (``namespace/name:action``), or None."""
        return self.actions.get(key)


@dataclass(frozen=True, slots=True)
class CatalogDiff:
    """What changed from one catalog to the next, by action key. A provider's statistics do not count."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """Whether a buyer would notice nothing."""
        return not (self.added or self.removed or self.changed)


def difference(old: Rows, new: Rows) -> CatalogDiff:
    """What a buyer would notice, keys in order."""
    before, after = old.rows, new.rows
    return CatalogDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(
            sorted(
                key
                for key, row in after.items()
                if (was := before.get(key)) is not None and was.seen != row.seen and not _alike(old[key], new[key])
            )
        ),
    )


def merged(pages: Iterable[Mapping[str, Row]]) -> Rows:
    """One catalog of a source's pages that may repeat: sold before sunset, then the highest version, then first."""
    found: dict[str, Row] = {}
    for page in pages:
        for key, row in page.items():
            other = found.get(key)
            if other is None or (other is not row and row.preference > other.preference):
                found[key] = row
    return Rows(found)


def revision_of(actions: Rows) -> str:
    """A short digest of everything a buyer can see."""
    seen = "".join(f"{key}\n{actions.rows[key].seen}\n" for key in sorted(actions.rows))
    return hashlib.blake2b(seen.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _alike(one: Offer, other: Offer) -> bool:
    """Whether only the order of something differs."""
    return _lasting(one) == _lasting(other)


def _lasting(action: Offer) -> Offer:
    """The action without what changes by itself: how often it was called, and fields this version does not know."""
    return replace(action, total_calls=None, extra=NOTHING)

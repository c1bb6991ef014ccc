"""A Hub's catalog at one moment, and what differs between two. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jecp_mcp.clock import UnixMs
from jecp_mcp.wire.catalog import dump_actions
from jecp_mcp.wire.forms import NOTHING, Action
from jecp_mcp.wire.ids import version_order


def _no_actions() -> Mapping[str, Action]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a Hub sells.

    Attributes:
        revision: changes exactly when something changes that a buyer can see; ``""`` before the first fetch.
        actions: by `Action.key`.
        quarantined: entries set aside while reading: an id as far as there was one, and why.
        fetched_at: when the Hub last confirmed it, milliseconds since the Unix epoch; None before the first fetch.
    """

    revision: str = ""
    actions: Mapping[str, Action] = field(default_factory=_no_actions)
    quarantined: tuple[tuple[str, str], ...] = ()
    fetched_at: UnixMs | None = None

    def get(self, key: str) -> Action | None:
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


def difference(old: Mapping[str, Action], new: Mapping[str, Action]) -> CatalogDiff:
    """What a buyer would notice, keys in order."""
    return CatalogDiff(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(key for key in old.keys() & new.keys() if not _alike(old[key], new[key]))),
    )


def merged(actions: Iterable[Action]) -> dict[str, Action]:
    """Actions by key, from pages that may repeat them: sold before sunset, then the highest version, then the first."""
    found: dict[str, Action] = {}
    for action in actions:
        other = found.get(action.key)
        if other is None or (other is not action and _preference(action) > _preference(other)):
            found[action.key] = action
    return found


def revision_of(actions: Mapping[str, Action]) -> str:
    """A short digest of everything a buyer can see."""
    seen = (_lasting(actions[key]) for key in sorted(actions))
    return hashlib.blake2b(dump_actions(seen), digest_size=12).hexdigest()


def _preference(action: Action) -> tuple[bool, tuple[tuple[int, ...], str]]:
    gone = action.deprecation is not None and action.deprecation.status == "sunset"
    return (not gone, version_order(action.version))


def _alike(one: Action, other: Action) -> bool:
    return one is other or one == other or _lasting(one) == _lasting(other)


def _lasting(action: Action) -> Action:
    """The action without what changes by itself: how often it was called, and fields this version does not know."""
    return replace(action, total_calls=None, extra=NOTHING)

"""The Hub's catalog as tools: which actions are published, under which names, as what cards.

Publishing an unchanged catalog changes nothing, not even the identity of the cards. One action that cannot be
published costs the others nothing: it is set aside with its reason. Actions past their sunset are not published, but
are still found, so that a call of one is answered with its successor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from jecp_mcp.catalog.changes import Vetting
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.rows import is_withdrawn, on_sale
from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import format_usdc
from jecp_mcp.settings import ToolSettings
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.settings.patterns import matches
from jecp_mcp.source_names import NAMED
from jecp_mcp.tools.publishing.cleaning import (
    TITLE_LENGTH,
    clean,
    look_alike_words,
    provider_of,
    title_of,
)
from jecp_mcp.tools.publishing.descriptions import describe
from jecp_mcp.tools.publishing.host_profiles import name_lengths
from jecp_mcp.tools.publishing.naming import Collision, Names, notations, split_version
from jecp_mcp.tools.publishing.obstacles import Obstacles
from jecp_mcp.tools.publishing.pricing import price_kind
from jecp_mcp.tools.schemas.publishable_schema import Unfit, fit
from jecp_mcp.tools.types import ToolCard

log = logging.getLogger(__name__)

MOST_DIRECT: Final = 1_000
"""The most actions published one by one, whatever the mode: `tools.max_tools` goes no higher either."""

_DESTROYS: Final = ("modifies_state", "sends_email")


class PublishedTool(NamedTuple):
    """An action as a tool."""

    name: str
    action: Offer
    card: ToolCard


_UNVETTED: Final = Vetting()


class ToolRegistry:
    """The published tools of one catalog after another.

    Attributes:
        mode: how the current catalog is published: each action on its own, or found by search.
        cards: the catalog's published tools, by name. A new tuple exactly when something changed.
        unlisted: how many actions more would be among them, each on its own, if the list had room.
        quarantined: actions set aside, by key or as far as they had one, with the reason.
    """

    def __init__(
        self, settings: ToolSettings, commands: CommandLine = PLAIN, obstacles: Obstacles | None = None
    ) -> None:
        """Hold no tool yet.

        Args:
            settings: which actions are published, and how.
            commands: what the operator is told to run.
            obstacles: what the mandate has against an action; what it denies is found, and not published.
        """
        self._settings = settings
        self._obstacles = obstacles
        self._listing = commands.line("catalog")
        self._given = Names(name_lengths(settings))
        self._unnamed: Mapping[str, Offer] | None = None
        self._actions: Mapping[str, Offer] = MappingProxyType({})
        self._tools: dict[str, tuple[Offer, PublishedTool | Unfit]] = {}
        self._foreign: tuple[tuple[str, str], ...] = ()
        self._vetting = _UNVETTED
        self.mode: Literal["direct", "search"] = "search" if settings.mode == "search" else "direct"
        self.cards: tuple[ToolCard, ...] = ()
        self.unlisted = 0

    def publish(self, catalog: Catalog, vetting: Vetting = _UNVETTED) -> bool:
        """Take a catalog as the current one.

        Args:
            vetting: what of it is held, which is set aside like what cannot be published, and what looks like another.

        Returns:
            Whether the list of published tools changed.
        """
        marks, self._vetting = self._vetting.marks, vetting
        self._actions = catalog.actions
        self._foreign = tuple(catalog.quarantined)
        self._unnamed = catalog.actions
        self._tools = {
            key: (action, made._replace(action=action) if isinstance(made, PublishedTool) else made)
            for key, (before, made) in self._tools.items()
            if (action := catalog.actions.get(key)) is not None
            and _looks_alike(before, action)
            # Its successor may have come or gone.
            and (action.deprecation is None or action.deprecation.successor is None)
            and marks.get(action.payee) == vetting.marks.get(action.payee)
        }
        sold = self._permitted(on_sale(catalog.actions))
        self.mode = self._mode_for(len(sold))
        chosen = sold if self.mode == "direct" else self._pinned_keys(sold)
        made = [self._make(catalog.actions[key]) for key in chosen]
        published = sorted((one for one in made if isinstance(one, PublishedTool)), key=lambda one: one.name)
        cards = tuple(one.card for one in published[: self._most()])
        self.unlisted = len(published) - len(cards) if self.mode == "direct" else 0
        if cards == self.cards:
            return False
        self.cards = cards
        return True

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all, be it set aside."""
        return not self._actions

    @property
    def collisions(self) -> tuple[Collision, ...]:
        """Actions that had the same plain name, and what they are called instead."""
        return self._names().collisions

    @property
    def cut(self) -> tuple[str, ...]:
        """The keys of actions whose names are too long for a host, or hold what no name may, and end in a hash."""
        return self._names().cut

    @property
    def quarantined(self) -> Mapping[str, str]:
        """What is set aside, with the reason; of actions never looked at, only what the catalog itself refused."""
        unfit = {key: made.reason for key, (_, made) in self._tools.items() if isinstance(made, Unfit)}
        held = {key: why for key, why in self._vetting.held.items() if key in self._actions}
        return {**dict(self._foreign), **unfit, **held}

    def warning(self, action: Offer) -> str | None:
        """What to be told before buying from this action's provider, in our own words."""
        famous = self._vetting.marks.get(action.payee)
        return None if famous is None else look_alike_words(action, famous)

    def resolve(self, name: str) -> PublishedTool | None:
        """What a tool name stands for, published one by one or not; None for no action and for a quarantined one."""
        key = self._names().key(name)
        made = self._make(self._actions[key]) if key is not None else None
        return made if isinstance(made, PublishedTool) else None

    def find(self, text: str) -> Offer | None:
        """The action that a tool name, a key, a capability id with one action or any other of its `notations` means.

        What means several actions means none. With a version pin it is that version or none: whoever names one wants
        no other.
        """
        wanted, version = split_version(text)
        key = wanted if wanted in self._actions else self._names().key(wanted)
        if key is not None:
            return self._actions[key] if version in {None, self._actions[key].version} else None
        meant = {action.key: action for one in notations(text) for action in self._meant(*one)}
        return next(iter(meant.values())) if len(meant) == 1 else None

    def _meant(self, wanted: str, version: str | None) -> list[Offer]:
        """The action of a key, or those of a capability id, which has no colon; of one version where that is named."""
        if ":" in wanted:
            found = [self._actions[wanted]] if wanted in self._actions else []
        else:
            found = [self._actions[key] for key in self._actions if key.rpartition(":")[0] == wanted]
        sold = [action for action in found if not is_withdrawn(action)] or found
        # A capability with several actions is none of them, also where only one has that version.
        return sold if version is None or (len(sold) == 1 and sold[0].version == version) else []

    def name_of(self, action: Offer) -> str | None:
        """The tool name of an action of the current catalog; None for any other and for a quarantined one."""
        current = self._actions.get(action.key)
        if current is None or isinstance(self._make(current), Unfit):
            return None
        return self._names().name(action.key)

    def name_within(self, name: str, length: int) -> str:
        """What hosts that take so many characters are given in the place of a tool name."""
        key = self._names().key(name)
        return name if key is None else self._names().within(key, length) or name

    def names_from(self, start: str, limit: int) -> list[str]:
        """The first tool names that begin so, in order, of actions that are not set aside."""
        names: list[str] = []
        for name in self._names().starting_with(start):
            if self.resolve(name) is not None:
                names.append(name)
                if len(names) >= limit:
                    break
        return names

    def successor(self, action: Offer, named: str | None = None) -> str | None:
        """The tool that takes the place of an action, if the catalog has it.

        Args:
            named: what is said to take its place, where that is not the catalog's own word.
        """
        said = named or (action.deprecation.successor if action.deprecation is not None else None)
        plain = split_version(said)[0] if said else ""
        for text in (f"{plain}:{action.action}", plain) if plain else ():
            # Another source's of the same id is another offer.
            found = self.find(f"{action.source_name}{NAMED}{text}" if action.source_name else text)
            if found is not None and found.key != action.key and found.key not in self._vetting.held:
                return self._names().name(found.key)
        return None

    def _permitted(self, keys: list[str]) -> list[str]:
        """Those that may be bought at all; a catalog of which everything may is not looked at."""
        obstacles, names = self._obstacles, self._names
        if obstacles is None:
            return keys
        return [
            key
            for key in keys
            if obstacles.allows_all_like(key) or obstacles.permits(self._actions[key], names().name(key) or key)
        ]

    def _names(self) -> Names:
        """The current catalog's names; made when first needed, which a start that only publishes our own does not."""
        if self._unnamed is not None:
            keys, self._unnamed, cut = self._unnamed, None, self._given.cut
            self._given.assign(keys)
            for collision in self._given.collisions:
                log.warning("tool names collide: %s", "; ".join(f"{key} is {name}" for key, name in collision.names))
            if self._given.cut != cut:
                log.info("%d names are cut and end in a hash: see %s", len(self._given.cut), self._listing)
        return self._given

    def _mode_for(self, sold: int) -> Literal["direct", "search"]:
        if self._settings.mode == "auto":
            return "direct" if sold <= self._settings.max_tools else "search"
        return self._settings.mode

    def _most(self) -> int:
        return MOST_DIRECT if self._settings.mode == "direct" else self._settings.max_tools

    def _pinned_keys(self, keys: Iterable[str]) -> list[str]:
        pins = self._settings.pinned
        if not pins:
            return []
        return [key for key in keys if self._names().name(key) in pins or any(matches(pin, (key,)) for pin in pins)]

    def _make(self, action: Offer) -> PublishedTool | Unfit:
        held = self._vetting.held.get(action.key)
        if held is not None:
            return Unfit(held)
        known = self._tools.get(action.key)
        if known is not None:
            return known[1]
        name = self._names().name(action.key)
        made: PublishedTool | Unfit = Unfit("the action has no name")
        if name is not None:
            made = _publish(name, action, self.warning(action), self.successor(action), self._obstacles)
        self._tools[action.key] = (action, made)
        if isinstance(made, Unfit):
            log.warning("%s is not published: %s", clean(action.key, TITLE_LENGTH, one_line=True), made.reason)
        return made


def _publish(
    name: str, action: Offer, warning: str | None, successor: str | None, obstacles: Obstacles | None
) -> PublishedTool | Unfit:
    if "input_schema" in action.extra and action.extra["input_schema"] is not True:
        return Unfit("the input schema is not an object")
    fitted = fit(action.input_schema)
    if isinstance(fitted, Unfit):
        return fitted
    effects = action.side_effects
    card = ToolCard(
        name=name,
        description=describe(
            action,
            warning,
            successor,
            fitted.lost,
            against="" if obstacles is None else obstacles.words(action, name),
            most=None if obstacles is None else obstacles.most(action, name),
        ),
        input_schema=fitted.schema,
        title=title_of(action),
        # Hosts run read-only tools without asking; that an action changes nothing is only its provider's word.
        read_only=False,
        destructive=any(effects.get(kind) is True for kind in _DESTROYS),
        meta=_meta(action),
        left_to_hub=(*fitted.lost, *fitted.unchecked),
    )
    return PublishedTool(name, action, card)


def _meta(action: Offer) -> dict[str, Any]:
    """What programs may want to know of a tool; models are not shown it."""
    meta: dict[str, Any] = {
        "jecp/action": clean(action.key, TITLE_LENGTH * 4, one_line=True),
        "jecp/provider": provider_of(action),
        "jecp/price_usdc": None if action.price.amount is None else format_usdc(action.price.amount),
        "jecp/price_kind": price_kind(action.price),
        "jecp/trust_tier": clean(action.tier, TITLE_LENGTH, one_line=True),
    }
    if action.version is not None:
        meta["jecp/version"] = clean(action.version, TITLE_LENGTH, one_line=True)
    if action.streaming:
        meta["jecp/streaming"] = True
    return meta


def _looks_alike(one: Offer, other: Offer) -> bool:
    """Whether the same would be made of both; how often an action was called is shown nowhere."""
    return one is other or one == other or replace(one, total_calls=other.total_calls) == other

"""The published tools as each kind of host is shown them: names, schemas and a number that it takes.

What a host is not shown it can still buy through ``jecp_call``; why it is not shown is said wherever the action is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from jecp_mcp.settings import ToolSettings
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.tools.publishing.host_profiles import PROFILES, Dialect, Profile
from jecp_mcp.tools.publishing.output_schemas import purchase_output
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.tools.schemas.dialects import Beyond, odd_key, plain
from jecp_mcp.tools.schemas.gemini import for_gemini
from jecp_mcp.tools.schemas.references import with_types
from jecp_mcp.tools.types import ToolCard

log = logging.getLogger(__name__)

_MOST_LOGGED: Final = 10


class View(NamedTuple):
    """What hosts of one profile are shown.

    Attributes:
        cards: the catalog's tools, by name.
        call_only: tools that are published and not shown, by their usual name, with the reason in our own words.
        renamed: what tools are called instead of their usual name.
    """

    cards: tuple[ToolCard, ...]
    call_only: Mapping[str, str]
    renamed: Mapping[str, str]


class Views:
    """The views of one registry. One per process."""

    def __init__(self, registry: ToolRegistry, settings: ToolSettings, commands: CommandLine = PLAIN) -> None:
        """Show a registry's tools; `commands` is what the operator is told to run."""
        self._registry = registry
        self._settings = settings
        self._listing = commands.line("catalog")
        self._views: dict[str, tuple[Sequence[ToolCard], int, View]] = {}
        self._known: dict[str, _Known] = {}
        self._outputs: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def of(self, profile: Profile, *, own: int = 0) -> View:
        """What hosts of a profile are shown.

        Args:
            own: how many tools are listed beside the catalog's.
        """
        cards = self._registry.cards
        made = self._views.get(profile.name)
        if made is None or made[0] is not cards or made[1] != own:
            before = made[2].call_only if made is not None else {}
            made = self._views[profile.name] = (cards, own, self._view(profile, cards, own))
            _tell(profile, made[2].call_only, before, self._listing)
        return made[2]

    def own(self, profile: Profile, cards: tuple[ToolCard, ...]) -> tuple[ToolCard, ...]:
        """The bridge's own tools as hosts of a profile take them: none is missing for any host."""
        if not profile.outputs:
            cards = tuple(replace(card, output_schema=None) for card in cards)
        schemas = [_Known(card.input_schema).within(profile.dialect) for card in cards]
        fitting = [schema for schema in schemas if not isinstance(schema, Beyond)]
        return tuple(replace(card, input_schema=one) for card, one in zip(cards, fitting, strict=True))

    def call_only(self, host: str) -> Mapping[str, str]:
        """What hosts of the profile of this name are not shown, as it was when they last listed the tools."""
        made = self._views.get(host)
        return made[2].call_only if made is not None else self.of(PROFILES[host]).call_only

    def listed(self, host: str) -> frozenset[str]:
        """The tools that hosts of the profile of this name are shown, and by their usual name."""
        made = self._views.get(host)
        view = made[2] if made is not None else self.of(PROFILES[host])
        return frozenset(card.name for card in view.cards) - frozenset(view.renamed.values())

    def by_profile(self, card: ToolCard) -> tuple[dict[str, str], dict[str, str]]:
        """Of one tool, published one by one or not: by profile, why it is not shown, and what else it is called."""
        schemas = {name: self._schema(one, card) for name, one in PROFILES.items()}
        unshown = {name: schema.reason for name, schema in schemas.items() if isinstance(schema, Beyond)}
        lengths = {name: one.name_length(self._settings.server_name) for name, one in PROFILES.items()}
        names = {name: self._registry.name_within(card.name, length) for name, length in lengths.items()}
        return unshown, {name: other for name, other in names.items() if other != card.name and name not in unshown}

    def _view(self, profile: Profile, cards: Sequence[ToolCard], own: int) -> View:
        length = profile.name_length(self._settings.server_name)
        shown: list[ToolCard] = []
        call_only: dict[str, str] = {}
        renamed: dict[str, str] = {}
        for card in cards:
            schema = self._schema(profile, card)
            if isinstance(schema, Beyond):
                call_only[card.name] = schema.reason
                continue
            name = self._registry.name_within(card.name, length)
            if name != card.name:
                renamed[card.name] = name
            output = self._output_schema(card) if profile.outputs else None
            same = name == card.name and schema is card.input_schema and output is None
            shown.append(card if same else replace(card, name=name, input_schema=schema, output_schema=output))
        # The operator's word that each action is a tool stands, whatever a host then makes of so many.
        if profile.most_tools is not None and self._settings.mode != "direct":
            room = max(profile.most_tools - own, 0)
            usual = {name: name_before for name_before, name in renamed.items()}
            for card in shown[room:]:
                call_only[usual.get(card.name, card.name)] = f"this host takes {profile.most_tools} tools at most"
            del shown[room:]
        return View(tuple(sorted(shown, key=lambda card: card.name)), call_only, renamed)

    def _output_schema(self, card: ToolCard) -> Mapping[str, Any] | None:
        """What a card's tool gives back, made anew where the provider says something else of it."""
        found = self._registry.resolve(card.name)
        if found is None:
            return None
        said = found.action.output_schema
        known = self._outputs.get(card.name)
        if known is None or known[0] != said:
            if len(self._outputs) > 2 * len(self._registry.cards):
                self._outputs.clear()
            known = self._outputs[card.name] = (said, purchase_output(found.action))
        return known[1]

    def _schema(self, profile: Profile, card: ToolCard) -> Mapping[str, Any] | Beyond:
        """A card's schema as hosts of a profile take it, or why they do not."""
        known = self._known.get(card.name)
        if known is None or known.schema is not card.input_schema:
            if len(self._known) > 2 * len(self._registry.cards):
                self._known.clear()
            known = self._known[card.name] = _Known(card.input_schema, card.name)
        if profile.plain_keys and known.odd is not None:
            return known.odd
        return known.within(profile.dialect)


class _Known:
    """What is known of one schema, once it was asked for."""

    def __init__(self, schema: Mapping[str, Any], name: str = "") -> None:
        self.schema = schema
        self._name = name

    @cached_property
    def odd(self) -> Beyond | None:
        return odd_key(self.schema)

    def within(self, dialect: Dialect) -> Mapping[str, Any] | Beyond:
        """The schema in a dialect, or why it cannot be put into it."""
        match dialect:
            case Dialect.WHOLE:
                return self.schema
            case Dialect.TYPED:
                return self.typed
            case Dialect.PLAIN:
                return self.plain
            case Dialect.GEMINI:
                return self.gemini

    @cached_property
    def typed(self) -> Mapping[str, Any]:
        return concise(with_types(self.schema), self._name)

    @cached_property
    def gemini(self) -> Mapping[str, Any] | Beyond:
        return self.plain if isinstance(self.plain, Beyond) else for_gemini(self.plain)

    @cached_property
    def plain(self) -> Mapping[str, Any] | Beyond:
        """The schema in the dialect; the same object if it is in it already, and the card then the same too."""
        made = plain(self.schema)
        return made if isinstance(made, Beyond) else concise(self.schema if made == self.schema else made, self._name)


def _tell(profile: Profile, call_only: Mapping[str, str], before: Mapping[str, str], listing: str) -> None:
    """Log what is not shown now and was before; the command `listing` says it too."""
    news = [name for name in call_only if name not in before]
    if news:
        log.warning(
            "%d actions are offered to %s hosts through jecp_call only: see %s",
            len(call_only),
            profile.name,
            listing,
        )
    for name in news[:_MOST_LOGGED]:
        log.info("%s: %s", name, call_only[name])

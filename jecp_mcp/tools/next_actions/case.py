"""One refusal and where it was met: what every next step is chosen and built from. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.tools.next_actions.alternatives import Alternatives
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.wire.jecp.next_actions import HubAction

_LONGEST_WAIT: Final = 86_400

Source = Literal["hub", "bridge"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a refusal was met.

    Attributes:
        tool: the tool the model called, and `arguments` what it gave; the same call again is these two. The arguments
            are None where they are not at hand.
        own: the names of our own tools that are published now.
        links: which of the Hub's links may be shown.
        now: the wall clock.
        target: the published name of the action to be bought, None when there is none.
        successor: the published name of the action that takes its place, if the catalog has one.
        offers: where other actions are looked for; None where the catalog is not at hand.
        page: where a person can answer in a browser, None where there is no such page.
    """

    tool: str
    arguments: Mapping[str, Any] | None
    own: frozenset[str]
    links: LinkPolicy
    now: UnixMs
    target: str | None = None
    action: Offer | None = None
    successor: str | None = None
    offers: Alternatives | None = None
    page: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One refusal, with everything that bears on the next step."""

    end: CallEnd
    refusal: Refusal
    context: Context
    said: HubAction | None
    type: str
    source: Source

    @property
    def wait(self) -> int | None:
        """How long to wait as the Hub said, in seconds, within a day."""
        seconds = self.refusal.retry_after_seconds
        if seconds is None and self.said is not None:
            seconds = self.said.retry_after_seconds
        return None if seconds is None else min(max(seconds, 0), _LONGEST_WAIT)


def at_hub_of(offer: Offer | None) -> Mapping[str, Any]:
    """The argument that names the Hub of an offer, for the tools that take one; none for the first's."""
    return {"hub": offer.source_name} if offer is not None and offer.source_name else {}


def named_hub(case: Case) -> Mapping[str, Any]:
    """The argument that names the Hub that a refusal is about, where that says so."""
    called = case.refusal.details.get("hub")
    return {"hub": called} if case.source == "bridge" and isinstance(called, str) else {}


def action_of(case: Case) -> Offer | None:
    """What was to be bought."""
    return case.context.action or case.end.offer

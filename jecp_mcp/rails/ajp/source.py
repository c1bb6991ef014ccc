"""The agents of the settings as offers: one tool each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.catalog.sources import Callback, Outage
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.ajp.payload import SCHEMA
from jecp_mcp.rails.ajp.roster import UNLISTED
from jecp_mcp.settings.ajp import AGENT_ID, CAPABILITY, SOURCE, AgentSettings, AjpSettings

_REFRESH_SECONDS: Final = 3_600.0


class AgentSource:
    """The agents that may be hired. They change with the settings alone, and so never while this runs.

    Attributes:
        current: all of them.
    """

    name = SOURCE
    outage: Outage | None = None
    was_asked = True

    def __init__(self, settings: AjpSettings, clock: Clock) -> None:
        """Offer the agents of the settings."""
        offers = [_offer(agent) for agent in settings.agents]
        if settings.allow_unlisted:
            offers.append(_unlisted())
        written = jsontext.dumps([[one.key, one.price.amount, one.description] for one in offers])
        revision = hashlib.sha256(written).hexdigest()[:16]
        self.current = Catalog(revision, Rows.of(offers), (), clock.now())

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Nothing ever changes."""
        del callback
        return lambda: None

    def until_refresh(self) -> float:
        """Seconds until it looks for news, of which there are none."""
        return _REFRESH_SECONDS

    async def refresh(self) -> CatalogDiff:
        """There is no news."""
        return CatalogDiff()

    async def keep_fresh(self) -> None:
        """There is no news, until cancelled."""
        await anyio.sleep_forever()


def _offer(agent: AgentSettings) -> Offer:
    words = agent.description.strip() or "An agent that the operator lets be hired."
    return Offer(
        CAPABILITY,
        agent.name,
        agent.id,
        Price(MicroUSDC(agent.max_usdc), "per_job", bounded=True),
        title=f"Hire {agent.name}",
        description=f"{words} The status of the call has the result of a long job.",
        input_schema=_schema(agent),
        timeout_ms=agent.max_seconds * 1000,
        source=SOURCE,
        known_as=agent.id,
    )


def _unlisted() -> Offer:
    limits = AgentSettings.unlisted("provenance:domain:agent.example")
    schema = _schema(limits)
    named = {"type": "string", "pattern": AGENT_ID, "description": "Its id, such as provenance:domain:agent.example."}
    return Offer(
        *UNLISTED,
        "",
        Price(MicroUSDC(limits.max_usdc), "per_job", bounded=True),
        title="Hire another agent",
        description=(
            "An agent that the operator did not list is hired for one job, once a person has agreed to it, each time. "
            "The status of the call has the result of a long job."
        ),
        input_schema={
            **schema,
            "required": ["agent", *schema["required"]],
            "properties": {"agent": named, **schema["properties"]},
        },
        timeout_ms=limits.max_seconds * 1000,
        source=SOURCE,
    )


def _schema(agent: AgentSettings) -> dict[str, Any]:
    properties: dict[str, Any] = dict(SCHEMA["properties"])
    properties["max_seconds"] = {**properties["max_seconds"], "maximum": agent.max_seconds}
    return {**SCHEMA, "properties": properties}

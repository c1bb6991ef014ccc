"""The one place where the parts are put together."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.catalog import embeddings
from jecp_mcp.catalog.pins import FILE as PINS
from jecp_mcp.catalog.pins import Pins
from jecp_mcp.catalog.search import Finder
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.cli.credential_store import CredentialStore
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.publisher import Publisher
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.naming import Naming
from jecp_mcp.mandate.opening import open_configured
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.rails.base import new_call_id
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.jecp.wiring import open_hub
from jecp_mcp.rails.registry import Parts, Rails, Way
from jecp_mcp.rails.wiring import RAILS
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.dispatch import ToolDispatcher
from jecp_mcp.tools.own.handlers import ToolDeps
from jecp_mcp.tools.own.hubs import HubAccess, Hubs
from jecp_mcp.tools.own.outages import outage_words
from jecp_mcp.tools.own.wallet import Wallet
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.publishing.obstacles import Obstacles
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.publishing.views import Views
from jecp_mcp.tools.receipts import OWED
from jecp_mcp.tools.results import Results
from jecp_mcp.tools.schemas.arguments import ArgumentChecks

if TYPE_CHECKING:
    from jecp_mcp.tools.own.paid_http import PaidHttpTools

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 1.0
"""How long a start leaves the machine to the host's first questions before it looks for news."""

CHECK_AFTER_SECONDS: Final = 60.0
"""How long after a start the ledger's whole file is looked through: that reads all of it."""

APPROVAL_SECONDS: Final = 1.0
"""How soon an approval takes effect."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """The assembled parts, while they are open."""

    dispatcher: ToolDispatcher
    calls: Calls
    source: AllOffers
    registry: ToolRegistry
    finder: Finder
    policy: Policy
    start: Start
    hubs: Hubs
    pins: Pins
    publisher: Publisher
    ledger: Ledger
    wallet: Wallet
    _tasks: TaskGroup

    @property
    def known(self) -> bool:
        """Whether there is a catalog, if only the one of an earlier run."""
        return self.source.current.fetched_at is not None

    async def refresh(self) -> None:
        """Fetch the catalog once. A source that cannot be reached is logged: what is known of it stays."""
        await self.source.refresh()
        for outage in self.source.outages:
            log.warning("the catalog was not fetched: %s", outage_words(outage))

    async def discover(self, tool: str) -> None:
        """Hear what the Hub that sells a tool says of itself; every one where that is not known."""
        offer = self.registry.find(tool)
        async with anyio.create_task_group() as tasks:
            for hub in self.hubs:
                if offer is None or hub.name == offer.source_name:
                    tasks.start_soon(hub.client.discover)

    def fresh_seconds(self) -> float:
        """For how long from now the list of tools stays what it is, as far as that is known.

        What is held may be approved at any moment, and a first catalog may arrive.
        """
        waits = self.pins.waiting or not self.known
        return 0.0 if waits else self.source.until_refresh()

    def keep_fresh(self) -> None:
        """Keep guide and catalog fresh until the bridge closes, once the host has had its first answers."""
        self._tasks.start_soon(self._refresh_behind)

    async def _refresh_behind(self) -> None:
        # Opening the HTTP client costs a tenth of a cold start; what the disk remembers answers meanwhile.
        await anyio.sleep(QUIET_SECONDS)
        for hub in self.hubs:
            self._tasks.start_soon(hub.client.discover)
        self._tasks.start_soon(self._attend)
        await self.source.keep_fresh()

    async def _attend(self) -> None:
        """Let an approval given at the operator's terminal take effect without a restart; keep search ready."""
        while True:
            await anyio.sleep(APPROVAL_SECONDS)
            await self.publisher.look()
            if self.registry.mode == "search":
                # No model should wait for the index of a large catalog.
                await self.finder.prepare()

    def check_ledger(self) -> None:
        """Look for damage to the ledger's whole file, once the host is at work, beside everything else."""
        self._tasks.start_soon(self._check_ledger)

    async def _check_ledger(self) -> None:
        await anyio.sleep(CHECK_AFTER_SECONDS)
        try:
            await self.ledger.check()
        except LedgerError as exc:
            log.error("the ledger was looked through; nothing can be bought from it: %s", exc)  # noqa: TRY400 - the cause is in the message

    def recover(self) -> None:
        """Finish, beside everything else, what other processes left open, until the bridge closes."""
        self._tasks.start_soon(self.calls.keep_recovering)


@asynccontextmanager
async def _opened(ways: Iterable[Way]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for way in ways:
            if way.opened is not None:
                await stack.enter_async_context(way.opened)
        yield


def _open_hub(parts: Parts, start: Start, changed: Callable[[], None], name: str) -> tuple[Way, HubAccess]:
    """A Hub as a way to pay, with the agent's account there."""
    settings = parts.settings
    store = CredentialStore(settings, start.state, start.account(name), lambda: way.client, changed, name)
    own = replace(
        parts,
        settings=settings.model_copy(update={"hub": settings.every_hub[name]}),
        catalog_file=start.catalog(name),
        credentials=store.current,
    )
    way = open_hub(own, name)
    return way, HubAccess(name, way.client, store)


def _paid_http(
    ways: Iterable[Way],
    calls: Calls,
    wallet: Wallet,
    results: Results,
    links: LinkPolicy,
    start: Start,
    clock: Clock,
) -> PaidHttpTools | None:
    """The tools that pay merchants, where some are listed and there is something to pay them with."""
    ready = [way for way in ways if way.rail.ready() is None]
    roads = [way.road for way in ready if way.road is not None]
    if not roads:
        return None
    from jecp_mcp.tools.own.paid_http import PaidHttpTools

    return PaidHttpTools(calls, wallet, results, links, roads, clock, start.commands)


def _paid_by(rails: Rails, offer: Offer) -> str | Refusal:
    """What an action is paid with; elsewhere than at a Hub its rail goes without saying."""
    rail = rails.selling(offer)
    if rail is not None and rail.name in OWED:
        return "bill"
    return rail.paid_by(offer) if isinstance(rail, JecpRail) else "wallet"


@asynccontextmanager
async def build(
    start: Start,
    *,
    changed: Callable[[], None] = lambda: None,
    store: ArtifactStore | None = None,
    shared_disk: bool = False,
) -> AsyncIterator[Bridge]:
    """Open everything a paid call needs; leaving lets running calls end and writes what is queued.

    Args:
        start: settings, state folder and credentials.
        changed: called when the list of published tools changed.
        store: where bought files are kept, if not in the state folder's own store.
        shared_disk: whether the host can open the paths of that store.
    """
    settings, clock = start.settings, SystemClock()
    first, *further = settings.every_hub.values()
    policy = Policy.from_settings(settings.mandate, Naming.from_settings(settings))
    origins = (*first.link_origins, *(origin for one in further for origin in (one.base_url, *one.link_origins)))
    links = LinkPolicy(
        first.base_url,
        (*origins, *settings.paid_http.merchants, *settings.flow402.merchants, *settings.ajp.origins),
    )
    parts = Parts(
        settings,
        start.catalog(),
        lambda: start.credentials,
        clock,
        start.state,
        start.wallet,
        start.commands,
        start.agent_key,
        start.bootstrap_key,
        os.environ,
    )
    at_hubs = [_open_hub(parts, start, changed, name) for name in settings.every_hub]
    hubs, ways = Hubs([access for _, access in at_hubs]), [way for way, _ in at_hubs]
    ways += [way for name, open_way in RAILS.items() if name != JecpRail.name and (way := open_way(parts)) is not None]
    sold = [way for name, (way, _) in zip(settings.every_hub, at_hubs, strict=True) if name == start.asked_hub] or ways
    source = AllOffers([source for way in sold for source in way.sources])
    ledger = open_configured(settings.ledger, start.ledger, clock=clock)
    own = [source.name for way in ways if way.own_offers for source in way.sources]
    pins = Pins(start.state / PINS, source.names, settings.catalog, clock, start.commands, own=own)
    registry = ToolRegistry(settings.tools, start.commands, Obstacles(policy))
    publisher = Publisher(source, pins, registry, changed)
    finder = Finder(lambda: publisher.current, embeddings.installed if settings.catalog.embeddings else None)
    if store is None:
        store = ArtifactStore(start.artifacts, settings.artifacts, clock, shared_disk=shared_disk)
    rails = Rails(ways)
    calls = Calls(
        policy=policy,
        ledger=ledger,
        rails=rails,
        clock=clock,
        mint=new_call_id,
        keep_bodies_days=settings.ledger.keep_bodies_days,
    )
    results = Results(store, settings.artifacts, links)
    wallet = Wallet(calls, policy, clock, hubs, partial(_paid_by, rails))
    deps = ToolDeps(
        registry=registry,
        offers=source,
        views=Views(registry, settings.tools, start.commands),
        finder=finder,
        calls=calls,
        wallet=wallet,
        results=results,
        store=store,
        hubs=hubs,
        links=links,
        clock=clock,
        paid_http=_paid_http(ways, calls, wallet, results, links, start, clock),
        commands=start.commands,
    )
    dispatcher = ToolDispatcher(deps, ArgumentChecks())
    try:
        async with _opened(ways), calls.open(), anyio.create_task_group() as tasks:
            yield Bridge(
                dispatcher,
                calls,
                source,
                registry,
                finder,
                policy,
                start,
                hubs,
                pins,
                publisher,
                ledger,
                deps.wallet,
                tasks,
            )
            tasks.cancel_scope.cancel()
    finally:
        pins.close()
        with anyio.CancelScope(shield=True):
            try:
                await ledger.close()
            except LedgerError as exc:
                log.error("the ledger could not be brought up to date while closing: %s", exc)  # noqa: TRY400 - the cause is in the message

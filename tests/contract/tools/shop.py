"""A dispatcher over the real pipeline, ledger, registry, search and artifact store; the rail and the account are scripted."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from jecp_mcp import jsontext
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller
from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.search import Finder
from jecp_mcp.catalog.sources import AllOffers, Outage
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.money import ZERO, MicroUSDC, parse_usdc
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest
from jecp_mcp.settings import ArtifactSettings, MandateSettings, ToolSettings
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.dispatch import ToolDispatcher
from jecp_mcp.tools.own.definitions import OWN
from jecp_mcp.tools.own.handlers import ToolDeps
from jecp_mcp.tools.own.hubs import HubAccess, Hubs
from jecp_mcp.tools.own.registration import RegisteredAccount
from jecp_mcp.tools.own.wallet import Wallet
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.publishing.obstacles import Obstacles
from jecp_mcp.tools.publishing.output_schemas import PURCHASE
from jecp_mcp.tools.publishing.result_profiles import result_profile
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.tools.publishing.views import Views
from jecp_mcp.tools.results import Results
from jecp_mcp.tools.schemas.arguments import ArgumentChecks
from jecp_mcp.tools.types import ToolResult
from jecp_mcp.wire.jecp.account import TopupSession
from tests.rails import PlainRail, alone

HUB = "https://jecp.dev"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def action(
    capability: str, name: str, price: str | None, *, title: str = "", deprecation: Deprecation | None = None
) -> Offer:
    amount = None if price is None else parse_usdc(price)
    namespace = capability.partition("/")[0] if "/" in capability else ""
    return Offer(
        capability,
        name,
        namespace,
        Price(amount),
        version="1.0.0",
        title=title,
        description=f"{title or name} for people",
        input_schema=SCHEMA,
        examples=({"input": {"n": 1}},),
        deprecation=deprecation,
    )


INVOICE = action("docs/invoice", "render", "0.05", title="Render an invoice")
SUMMARY = replace(
    action("text/summary", "extract", "0.01", title="Summarise a text"),
    examples=(float("nan"), "x" * 9_999, {"input": {"n": 1}}),
)
VIDEO = action("media/video", "render", "1.50", title="Render a video")
OLD = action("docs/bill", "render", "0.02", title="Old bill", deprecation=Deprecation("sunset", None, "docs/invoice"))
NEW_PRICE = action("data/odd", "count", None, title="Count oddly")
UNFIT = replace(action("data/bomb", "count", "0.01"), input_schema={"type": "array"})
ACTIONS = (INVOICE, SUMMARY, VIDEO, OLD, NEW_PRICE, UNFIT)


class StillClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = parse_iso("2026-11-21T10:00:00Z")

    def now(self) -> UnixMs:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


def catalog(actions: Sequence[Offer], left_out: Mapping[str, tuple[str, ...]] | None = None) -> Catalog:
    return Catalog("r", {one.key: one for one in actions}, left_out=left_out or {})


@dataclass
class Account:
    """The Hub's side of an agent: a wallet to top up, an account to register."""

    registered: bool = True
    checkout: str = "https://checkout.stripe.com/c/pay/cs_1"
    fault: Exception | None = None
    topups: list[int] = field(default_factory=list)
    free_calls: int | None = None

    def present(self) -> bool:
        return self.registered

    async def register(self, name: str | None) -> RegisteredAccount:
        if self.fault is not None:
            raise self.fault
        self.registered = True
        return RegisteredAccount(f"jdb_ag_{name or 'agent'}0123456789abcdef", 100, "the platform's keyring")

    async def topup(self, amount_usd: int) -> TopupSession:
        if self.fault is not None:
            raise self.fault
        self.topups.append(amount_usd)
        return TopupSession(self.checkout)


Script = Callable[[StoredRequest, bool], Outcome]
MISSING = Refusal("CREDENTIALS_MISSING", "There is no agent account. Nothing was charged.", source="bridge")


class Rail(PlainRail):
    """A rail whose execution is a function."""

    def __init__(self, script: Script, account: Account) -> None:
        super().__init__()
        self.script = script
        self.sent: list[tuple[str, bool]] = []
        self._account = account

    def ready(self) -> Refusal | None:
        return None if self._account.registered else MISSING

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        return self._send(call.request, replay=False)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        return self._send(call.request, replay=True)

    def _send(self, request: StoredRequest, *, replay: bool) -> Outcome:
        self.sent.append((request.call_id, replay))
        return self.script(request, replay)


def charged(request: StoredRequest, output: Any = None) -> Outcome:
    billing = Billing(charged=True, amount=request.hold, balance_after=MicroUSDC(430_000), reference="tx_1")
    answer = Answer(request.call_id, output if output is not None else {"done": True}, billing, provider="docs")
    return Outcome(Verdict.CHARGED, request.hold, answer, None, "the Hub said so", reference="tx_1")


def good(request: StoredRequest, _replay: bool) -> Outcome:
    return charged(request)


def refusing(code: str, **fields: Any) -> Outcome:
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, Refusal(code, "No", **fields), "the Hub refused")


def lost() -> Outcome:
    refusal = Refusal("HUB_LOST_ANSWER", "The Hub's answer was lost.", source="bridge")
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, "the answer was lost")


@dataclass
class Source:
    """Where the offers come from: away as long as a test says so; `back` is what its return brings."""

    current: Catalog
    name: str = ""
    outage: Outage | None = None
    back: Callable[[], None] | None = None
    was_asked: bool = True
    times: int = 0

    def subscribe(self, _callback: object) -> Callable[[], None]:
        return lambda: None

    def until_refresh(self) -> float:
        return 0.0

    async def refresh(self) -> CatalogDiff:
        self.times += 1
        self.was_asked = True
        if self.back is not None:
            self.outage = None
            self.back()
        elif self.outage is not None:
            raise PayeeError(self.outage.code, self.outage.reason)
        return CatalogDiff()

    async def keep_fresh(self) -> None:
        """Nobody keeps it fresh."""


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(schema)


def check_output(schema: Mapping[str, Any], result: ToolResult, client: str = "") -> None:
    """See that a client which knows a tool's output schema keeps the result."""
    if result.structured is None:
        # It is shown no such schema.
        assert result_profile(client).drops_blocks
    else:
        _validator(json.dumps(schema)).validate(json.loads(jsontext.dumps(result.structured)))


class CheckedDispatcher(ToolDispatcher):
    """The dispatcher, each of whose results meets what its tool says that it gives back."""

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        result = await super().call(name, arguments, caller)
        schema = PURCHASE if name not in OWN else OWN[name].output_schema
        if schema is not None:
            check_output(schema, result, caller.client)
        return result


@dataclass
class Shop:
    dispatcher: ToolDispatcher
    rail: Rail
    account: Account
    clock: StillClock
    registry: ToolRegistry
    calls: Calls
    store: ArtifactStore
    source: Source
    published: Catalog
    ledger: Ledger


@asynccontextmanager
async def opened(
    path: Path,
    script: Script = good,
    *,
    mandate: Mapping[str, Any] | None = None,
    account: Account | None = None,
    artifacts: ArtifactSettings | None = None,
    shared_disk: bool = True,
    tools: ToolSettings | None = None,
    goods: Sequence[Offer] = ACTIONS,
    outage: Outage | None = None,
    left_out: Mapping[str, tuple[str, ...]] | None = None,
) -> AsyncIterator[Shop]:
    account = account or Account()
    clock, rail, ids = StillClock(), Rail(script, account), itertools.count(1)
    settings = tools or ToolSettings()
    policy = Policy.from_settings(MandateSettings(**(mandate or {})))
    registry = ToolRegistry(settings, obstacles=Obstacles(policy))
    published = catalog(goods, left_out)
    source = Source(published, outage=outage)
    shop: Shop
    registry.publish(published)
    ledger = open_ledger(path / "ledger.sqlite", clock=clock)
    calls = Calls(
        policy=policy,
        ledger=ledger,
        rails=alone(rail),
        clock=clock,
        mint=lambda: f"call_{next(ids):04}",
    )
    links, chosen = LinkPolicy(HUB), artifacts or ArtifactSettings()
    hubs = Hubs([HubAccess("", account, account)])  # type: ignore[arg-type]  # it stands for both
    store = ArtifactStore(path / "artifacts", chosen, clock, shared_disk=shared_disk)
    deps = ToolDeps(
        views=Views(registry, settings),
        registry=registry,
        offers=AllOffers([source]),
        finder=Finder(lambda: shop.published),
        calls=calls,
        wallet=Wallet(calls, policy, clock, hubs),
        results=Results(store, chosen, links),
        store=store,
        hubs=hubs,
        links=links,
        clock=clock,
    )
    try:
        async with calls.open():
            dispatcher = CheckedDispatcher(deps, ArgumentChecks())
            shop = Shop(dispatcher, rail, account, clock, registry, calls, store, source, published, ledger)
            yield shop
    finally:
        await ledger.close()


unreachable = PayeeError("HUB_UNREACHABLE", "The Hub did not answer.")

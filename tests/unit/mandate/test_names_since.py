"""A source, a payee or a tool that is called otherwise since: the rules mean the same calls, by the names of today."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls import stored
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import WireError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.naming import Naming, fits, names_of, pattern_of, stored_names
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Permit, Policy, authorise
from jecp_mcp.mandate.records import Admission, Admitted, Conclusion, OverLimit
from jecp_mcp.mandate.repair.unaccounted import Unexplained
from jecp_mcp.mandate.windows import Window
from jecp_mcp.mandate.working_set import MeterState
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.ajp.roster import Roster
from jecp_mcp.rails.ajp.source import AgentSource
from jecp_mcp.settings import MandateSettings, Settings
from jecp_mcp.settings.patterns import matches
from jecp_mcp.source_names import NAMED
from jecp_mcp.tool_names import usual_name
from tests.unit.mandate.reservations import START, HandClock, reservation

HUB, OTHER = "https://hub.example", "https://other.example"
AGENT = "provenance:domain:agent.example"
LONG = "docs/a-capability-whose-name-takes-all-the-room:and-its-action"
NAMES = ("", "eu", "de")


def hubs(**names: str) -> Naming:
    """The naming of settings with these Hubs, by address."""
    blocks = [{"name": name, "base_url": url} for name, url in names.items() if name != "first"]
    return Naming.from_settings(Settings.model_validate({"hub": {"base_url": names["first"]}, "hubs": blocks}))


def called(name: str) -> Naming:
    """The naming in which `HUB` is called so, beside another Hub."""
    return hubs(first=HUB, us=OTHER) if not name else hubs(**{"first": OTHER, name: HUB})


def listing(**ids: str) -> Settings:
    """Settings that list these agents."""
    listed = [{"name": name, "id": one, "max_usdc": "1"} for name, one in ids.items()]
    return Settings.model_validate({"ajp": {"identity": "provenance:domain:us.example", "agents": listed}})


def agents(**ids: str) -> Naming:
    return Naming.from_settings(listing(**ids))


def sold(name: str, key: str = "docs/pdf:make", source: str = HUB) -> Offer:
    capability, _, action = key.partition(":")
    return Offer(capability, action, "docs", Price(MicroUSDC(50)), source=source, source_name=name)


def hire(name: str) -> Offer:
    return Offer("ajp/hire", name, AGENT, Price(MicroUSDC(50)), source="ajp", known_as=AGENT)


def patterns(name: str, key: str) -> Iterator[str]:
    """Whatever an operator may write for an action of `HUB` while that is called so."""
    if name:
        yield from (f"{name}::*", f"{name}::{key}", f"*::{key}", f"{name}::{key.partition(':')[0]}", f"{name[0]}?::*")
        yield usual_name(f"{name}{NAMED}{key}")
        if key != LONG:
            yield f"{name}__*"
    else:
        yield from ("hub::*", f"hub::{key}", usual_name(key))
    yield from (key, f"{key[:6]}*")


RENAMED = [
    (before, after, key, pattern)
    for before, after in itertools.permutations(NAMES, 2)
    for key in ("docs/pdf:make", "text-stats:count", LONG)
    for pattern in patterns(after, key)
]


def bind_and_fit(naming: Naming, pattern: str, offer: Offer) -> bool:
    return fits(naming.bind(pattern), stored_names(offer, usual_name(offer.key)))


@pytest.mark.parametrize(("before", "after", "key", "pattern"), RENAMED)
def test_a_pattern_means_what_its_hub_sold_under_any_name(before: str, after: str, key: str, pattern: str) -> None:
    offer = sold(before, key)
    naming = called(after)
    assert bind_and_fit(naming, pattern, offer)
    now = naming.names(stored_names(offer, usual_name(offer.key)))
    assert set(names_of(sold(after, key), usual_name(sold(after, key).key))) == set(now)
    assert pattern_of(naming.bind(pattern)) == pattern


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(NAMES, 2)))
def test_a_name_that_another_hub_has_now_does_not_mean_who_had_it_before(before: str, after: str) -> None:
    naming = hubs(
        **{
            after or "first": HUB,
            before or "first": OTHER,
            **({"first": "https://x.example"} if before and after else {}),
        }
    )
    for pattern in (f"{before or 'hub'}::*", *([f"{before}__*"] if before else [])):
        assert not bind_and_fit(naming, pattern, sold(before))
        assert bind_and_fit(naming, pattern, sold(after, source=OTHER))


def test_one_whose_hub_is_gone_is_met_by_the_name_of_its_time() -> None:
    naming = hubs(first=OTHER, de="https://x.example")
    assert bind_and_fit(naming, "*::docs/*", sold("eu"))
    assert naming.names(stored_names(sold("eu"), "t"))[0] == "eu::docs/pdf:make"


@pytest.mark.parametrize("pattern", ["ajp/hire:digest", "ajp_hire_digest", "ajp/hire:*", "*digest"])
def test_a_pattern_means_an_agent_that_is_called_otherwise_since(pattern: str) -> None:
    naming = agents(digest=AGENT, other="provenance:domain:other.example")
    assert bind_and_fit(naming, pattern, hire("summariser"))
    assert naming.names(stored_names(hire("summariser"), "t"))[0] == "ajp/hire:digest"
    # Of one that stands there twice, nobody knows which is meant.
    twice = agents(digest=AGENT, copy=AGENT)
    assert twice.names(stored_names(hire("summariser"), "t"))[0] == "ajp/hire:summariser"


def test_the_settings_name_agents_as_they_are_on_offer() -> None:
    settings = listing(digest=AGENT)
    (offer,) = AgentSource(settings.ajp, HandClock()).current.actions.values()
    assert settings.named_payees == ((offer.source, offer.own_key, offer.key),)


def test_a_job_is_the_same_job_and_is_found_out_about_whatever_its_agent_is_called() -> None:
    jobs = set()
    for name in ("summariser", "digest"):
        listed = listing(**{name: AGENT, "other": "provenance:domain:other.example"}).ajp
        offer = AgentSource(listed, HandClock()).current.actions[f"ajp/hire:{name}"]
        jobs.add(stored.identity("local", offer.source, offer.own_key, {"instruction": "Sum it up."}))
        assert Roster(listed).stored("summariser", AGENT).name == name
    assert len(jobs) == 1
    for none_or_two in (listing(other="provenance:domain:other.example"), listing(one=AGENT, two=AGENT)):
        with pytest.raises(WireError, match="does not stand in the settings"):
            Roster(none_or_two.ajp).stored("summariser", AGENT)


def test_the_source_of_a_row_is_no_name_that_a_pattern_could_fit() -> None:
    kept = stored_names(sold("", source="https://[::1]:8000"), "docs_pdf_make")
    for pattern in ("*8000*", "*https*", "*::*", '*"*'):
        assert not fits(pattern, kept)
        assert not fits(called("de").bind(pattern), kept)
    assert fits("hub::*", kept)
    assert fits("docs/*", kept)


def test_what_no_name_decides_on_has_the_meter_that_it_always_had() -> None:
    alone = Naming.from_settings(Settings())
    assert [alone.bind(one) for one in ("docs/*", "docs_pdf_*", "*", "docs/pdf")] == [
        "docs/*",
        "docs_pdf_*",
        "*",
        "docs/pdf",
    ]
    assert called("eu").bind("docs/*") == "docs/*"


@pytest.mark.parametrize("key", ["docs/pdf:make", "text-stats:count", LONG])
@pytest.mark.parametrize("name", NAMES)
def test_a_servers_tool_is_named_whoever_buys(name: str, key: str) -> None:
    offer = sold(name, key)
    tool = usual_name(offer.key)
    for asked in (offer.key, tool, "another_hosts_name"):
        assert matches(tool, names_of(offer, asked))
    assert "docs__pdf_make" not in names_of(sold("", "docs_/pdf:make"), "asked"), "it may be that of another action"


def test_what_is_lost_counts_towards_the_pattern_and_not_its_naming() -> None:
    bound = called("eu").bind("eu::*")
    state = MeterState(1, "k", Window.DAY, "local", bound, None, 0, 0, 0)
    (name,) = Unexplained([], [state]).names("local")
    assert name == "eu::*"
    assert fits(bound, ("unreadable", name))


def policy(naming: Naming, **rules: Any) -> Policy:
    return Policy.from_settings(MandateSettings.model_validate(rules), naming)


async def buy(ledger: Ledger, offer: Offer, rules: Policy, tool: str | None = None) -> Admission:
    """Reserve one call of 50 micro-USDC."""
    tool = usual_name(offer.key) if tool is None else tool
    permit = authorise(
        rules, offer, tool, offer.listed, now=START, principal="local", session="s", most_per_call=MicroUSDC(9_000)
    )
    assert isinstance(permit, Permit)
    wanted = reservation("s", permit.hold, meters=permit.meters)
    return await ledger.reserve(
        replace(wanted, source=offer.source, payee=offer.payee, offer=offer.key, names=stored_names(offer, tool))
    )


Opened = Callable[[], Ledger]


@asynccontextmanager
async def opened(open_it: Opened) -> AsyncIterator[Ledger]:
    ledger = open_it()
    yield ledger
    assert (await ledger.audit()).findings == ()
    await ledger.close()


CASES: Mapping[str, tuple[tuple[Offer, Naming, str], tuple[Offer, Naming, str]]] = {
    "Hub": ((sold("eu"), called("eu"), "eu::*"), (sold("de"), called("de"), "de::*")),
    "first Hub": ((sold(""), called(""), "hub::*"), (sold("de"), called("de"), "de__*")),
    "agent": (
        (hire("digest"), agents(digest=AGENT), "ajp_hire_digest"),
        (hire("brief"), agents(brief=AGENT), "ajp/hire:brief"),
    ),
}


async def is_counted_on(open_it: Opened, case: str) -> None:
    """A limit that is used up under one name has no room under another, nor after what was free is known to be."""
    (offer, naming, pattern), (later, since, anew) = CASES[case]
    windows = {"hourly_usdc": "0.0001", "daily_usdc": "0.0001", "total_usdc": "0.0001"}
    before = policy(naming, daily_usdc="1", limits=[{"match": pattern, **windows}])
    after = policy(since, daily_usdc="1", limits=[{"match": anew, **windows}])
    async with opened(open_it) as ledger:
        first, _ = [await buy(ledger, offer, before) for _ in range(2)]
        assert isinstance(first, Admitted)
        assert isinstance(await buy(ledger, offer, before), OverLimit)
    async with opened(open_it) as ledger:
        over = await buy(ledger, later, after)
        assert isinstance(over, OverLimit)
        assert over.meter.label.startswith(f"limits[{anew}].")
        await ledger.conclude_now(Conclusion(first.call_id, Verdict.NOT_CHARGED))
        assert isinstance(await buy(ledger, later, after), Admitted)
        assert isinstance(await buy(ledger, later, after), OverLimit)
    async with opened(open_it) as ledger:
        # And back: what was bought meanwhile is counted too.
        assert isinstance(await buy(ledger, offer, before), OverLimit)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES)
async def test_a_limit_counts_what_was_spent_under_the_name_before(tmp_path: Path, case: str) -> None:
    await is_counted_on(lambda: open_ledger(tmp_path / "ledger.sqlite", "s"), case)


async def counts_programs(open_it: Opened) -> None:
    """A limit that names a tool has no room for what a program, which calls no tool, has bought."""
    rules = policy(Naming(), daily_usdc="1", limits=[{"match": "docs_pdf_*", "daily_usdc": "0.0001"}])
    general = policy(Naming(), daily_usdc="1")
    async with opened(open_it) as ledger:
        for asked in ("docs/pdf:make", "another_hosts_name"):
            assert isinstance(await buy(ledger, sold(""), general, asked), Admitted)
        assert isinstance(await buy(ledger, sold(""), rules), OverLimit)


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_limit_that_names_a_tool_counts_what_programs_buy(tmp_path: Path) -> None:
    await counts_programs(lambda: open_ledger(tmp_path / "ledger.sqlite", "s"))

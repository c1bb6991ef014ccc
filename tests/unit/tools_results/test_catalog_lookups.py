"""What an error turns to when an action cannot be had: ranked equivalents, names nearly right, the tier it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.search import Finder
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.error_results import error_object
from jecp_mcp.tools.next_actions.alternatives import Alternatives
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.wire.jecp.tiers import TIERS

from .scene import ACTION, FixedClock, context, refused

SOLD = {"type": "object"}


def other(capability: str, price: int | None, *, name: str = "render", tier: str = "bronze", **more: Any) -> Offer:
    return Offer(
        capability,
        name,
        capability.partition("/")[0],
        Price(None if price is None else MicroUSDC(price)),
        title=more.pop("title", "Render an invoice"),
        input_schema=SOLD,
        tier=tier,
        tier_rank=TIERS.index(tier),
        **more,
    )


CHEAP = other("bolt/invoice", 20_000)
DEAR = other("acme/invoice", 90_000)
GOLD = other("crown/invoice", 10_000, tier="gold")
OWN = other("docs/invoice", 1_000, name="preview", title="Preview an invoice")
CATALOG = (
    ACTION,
    CHEAP,
    DEAR,
    GOLD,
    OWN,
    other("data/rows", 10, name="count", title="Count rows"),
    other("free/invoice", None),
    other("gone/invoice", 10, deprecation=Deprecation("sunset")),
    other("denied/invoice", 10),
)


def offers(clock: FixedClock | None = None, also: tuple[Offer, ...] = ()) -> Alternatives:
    catalog = Catalog("r", {one.key: one for one in (*CATALOG, *also)})
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog)
    return Alternatives(
        registry, Finder(lambda: catalog), clock or FixedClock(), lambda action, _: action.payee != "denied"
    )


def step(code: str, at: Alternatives, **refusal: Any) -> Mapping[str, Any]:
    found = error_object(refused(Refusal(code, "No.", source="hub", **refusal)), context(offers=at))
    return dict(found["next_action"])


def tools(said: Mapping[str, Any]) -> list[str]:
    return [one["tool"] for one in said["alternatives"]]


def test_a_provider_that_fails_leads_to_others_that_do_the_same_the_cheapest_first() -> None:
    said = step("PROVIDER_ERROR", offers())
    assert (said["tool"], said["arguments"]) == ("jecp_describe", {"tool": "crown_invoice_render"})
    assert said["alternatives"] == [
        {"tool": "crown_invoice_render", "price_usdc": "0.01", "tier": "gold"},
        {"tool": "bolt_invoice_render", "price_usdc": "0.02"},
        {"tool": "acme_invoice_render", "price_usdc": "0.09"},
    ]
    assert said["source"] == "bridge"


def test_a_provider_that_failed_lately_comes_last_for_a_while() -> None:
    clock = FixedClock()
    at = offers(clock)
    at.note_failure(GOLD)
    assert tools(step("PROVIDER_ERROR", at)) == ["bolt_invoice_render", "acme_invoice_render", "crown_invoice_render"]
    clock.at = UnixMs(clock.at + 601_000)
    assert tools(step("PROVIDER_ERROR", at))[0] == "crown_invoice_render"


@pytest.mark.parametrize("word", [{"alternative": "acme/invoice"}, {"fallback": {"capability": "acme/invoice"}}])
def test_what_the_hub_itself_offers_comes_first(word: dict[str, Any]) -> None:
    said = step("PROVIDER_ERROR", offers(), next_action={"type": "try_alternative_provider", **word})
    assert tools(said)[0] == "acme_invoice_render"
    assert len(tools(said)) == len(set(tools(said)))
    assert said["source"] == "hub"


def test_where_nothing_does_the_same_nobody_is_sent_to_search_for_it() -> None:
    lonely = replace(ACTION, capability="docs/seal", action="stamp", title="Stamp a seal")
    found = error_object(
        refused(Refusal("PROVIDER_ERROR", "No.")), context(offers=offers(), action=lonely, target="docs_seal_stamp")
    )
    assert (found["next_action"]["type"], found["next_action"]["actor"]) == ("stop", "human")
    assert "tool" not in found["next_action"]


def test_what_only_shares_the_material_does_not_do_the_same() -> None:
    def text(capability: str, name: str, *inputs: str) -> Offer:
        schema = {"type": "object", "properties": {key: {"type": "string"} for key in inputs}}
        return replace(other(capability, 10, name=name, title=name, tags=("text",)), input_schema=schema)

    count, rival = text("docs/stats", "count", "text"), text("acme/stats", "count", "text", "language")
    at = offers(also=(count, rival, text("bolt/summary", "shorten", "text"), text("crown/stats", "plot", "values")))
    assert [one["tool"] for one in at.same_task(count)] == ["acme_stats_count"]


def kept(title: str, price: int, *, by: str = "acme") -> Offer:
    name = title.lower().replace(" ", "-")
    schema = {"type": "object", "properties": {"file": {"type": "string"}}}
    return replace(other(f"{by}/conversion", price, name=name, title=title, tags=("pdf",)), input_schema=schema)


@pytest.mark.parametrize(
    ("asked", "misfit"),
    [("HTML to PDF", "PDF to HTML"), ("Holidays in Spain", "Holidays in Poland"), ("Protect a PDF", "Unlock a PDF")],
)
def test_what_is_cheaper_does_the_very_same(asked: str, misfit: str) -> None:
    dear = kept(asked, 90_000)
    at = offers(also=(dear, kept(misfit, 10), kept(asked, 60_000, by="bolt"), kept(asked, 20_000, by="crown")))
    limit = MicroUSDC(50_000)
    assert [one["tool"].partition("_")[0] for one in at.within(limit, dear)] == ["crown"]
    assert at.within(limit, replace(dear, capability="acme/other", action="compile", title="Compile a report")) == []


def test_a_tier_too_low_says_what_it_takes_and_what_can_be_had_now() -> None:
    said = step("INSUFFICIENT_TRUST", offers(), details={"required": "gold", "current": "silver"})
    assert (said["actor"], said["tool"], said["arguments"]) == (
        "agent",
        "jecp_describe",
        {"tool": "bolt_invoice_render"},
    )
    assert "trust tier gold, which takes 500 completed calls (at most 400 more)" in said["hint"]
    assert "crown_invoice_render" not in tools(said)


def test_a_name_nearly_right_is_answered_with_the_right_ones_and_a_search() -> None:
    found = error_object(
        CallEnd(Charge.NO, refusal=Refusal("TOOL_NOT_FOUND", "None. Nothing was charged.", source="bridge")),
        context(offers=offers(), tool="docs_invoce_render", target=None, action=None),
    )["next_action"]
    assert tools(found)[0] == "docs_invoice_render"
    assert (found["tool"], found["arguments"]) == ("jecp_search", {"query": "docs invoce render"})


def test_an_action_the_hub_lost_is_answered_with_those_beside_it() -> None:
    said = step("ACTION_NOT_FOUND", offers())
    assert tools(said)[0] == "docs_invoice_preview"
    assert "docs_invoice_render" not in tools(said)
    assert said["arguments"] == {"query": "invoice render"}


@pytest.mark.parametrize("kind", ["x402_settle", "check_signer", "resign", "check_gas", "switch_to_wallet"])
def test_a_payment_by_signature_is_answered_with_what_is_configured(kind: str) -> None:
    said = step("PAYMENT_REQUIRED", offers(), next_action={"type": kind})
    assert (said["type"], said["actor"], said["source"]) == (kind, "operator", "hub")
    assert "(hub.payment)" in said["hint"]


LONELY = replace(ACTION, capability="docs/sealing", action="stamp", title="Stamp a seal")


def lonely(code: str, *also: Offer, **details: Any) -> Mapping[str, Any]:
    """The step after a refusal of what nothing else on sale is like."""
    at = offers(also=(LONELY, *also))
    where = context(offers=at, action=LONELY, target="docs_sealing_stamp", tool="docs_sealing_stamp")
    return dict(error_object(refused(Refusal(code, "No.", source="hub", details=details)), where)["next_action"])


def test_nobody_is_sent_to_a_search_that_finds_only_what_cannot_be_had() -> None:
    for code in ("ACTION_NOT_FOUND", "CAPABILITY_DEPRECATED", "PROVIDER_ERROR"):
        step = lonely(code)
        assert step.get("tool") != "jecp_search", code
        # A name that is nearly right can be read at once.
        if "tool" in step:
            assert (step["tool"], step["arguments"]) == ("jecp_describe", {"tool": step["alternatives"][0]["tool"]})
        else:
            assert (step["actor"], "Tell the user" in step["hint"]) == ("human", True)


def test_a_withdrawn_action_leads_to_what_does_the_same_and_to_no_search_for_itself() -> None:
    rival = replace(LONELY, capability="acme/sealing", payee="acme")
    step = lonely("CAPABILITY_DEPRECATED", rival)
    assert (step["type"], step["tool"], step["arguments"]) == (
        "use_successor",
        "jecp_describe",
        {"tool": "acme_sealing_stamp"},
    )
    # The newer version of itself is no other tool.
    step = lonely("CAPABILITY_DEPRECATED", successor="docs/sealing@2.0.0")
    assert (step["type"], step["actor"], "tool" in step) == ("use_successor", "human", False)
    assert "ask again later" in step["hint"]

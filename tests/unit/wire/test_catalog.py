import json
from typing import Any

import pytest

from jecp_mcp.catalog.stored_offers import dump_offer, load_offer
from jecp_mcp.domain.offers import Deprecation, Offer
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.catalog import CatalogPage, PricingModel, parse_page
from tests.steps import steps

SPEC: dict[str, Any] = {
    "id": "deepl/translate", "provider": "deepl", "name": "Translate", "description": "Words.", "version": "2.1.0",
    "trust_tier_required": "silver", "rate_limit_rpm": 30, "region": "eu",
    "actions": [
        {"id": "text", "description": "One text.", "price_usdc": 0.0005, "payment_methods": ["stripe", "x402"],
         "input_schema": {"type": "object", "properties": {"x": {"minimum": 0.5}}}, "output_schema": {"type": "string"}},
        {"id": "document", "description": "A file.", "price_usdc": "1.50", "input_schema": {}, "output_schema": {}, "new": 1},
    ],
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "namespace": "docs", "capability": "pdf", "version": "1.2.0", "description": "PDFs.", "tags": ["pdf"],
    "endpoint": "https://docs.example/jecp", "compliance": {"gdpr_compliant": True},
    "deprecation": {"status": "deprecated", "sunset_at": "2026-12-21T00:00:00Z", "successor_version": "2.0.0"},
    "actions": [
        {"id": "render", "name": "Render", "description": "Makes a PDF.", "streaming": True,
         "pricing": {"base": "$0.005", "currency": "USDC", "model": "per_call"}, "trust_tier_required": "gold",
         "rate_limit_rpm": 0, "input_schema": {"type": "object"}, "output_schema": {"type": "object"},
         "examples": [{"input": {}, "output": {}}], "side_effects": {"stores_data": True},
         "sla": {"timeout_ms": 60000, "latency_p95_ms": 900}},
        {"id": "ocr", "description": "Reads.", "input_schema": {}, "output_schema": {},
         "pricing": {"base": 0.01, "currency": "both", "model": "per_token", "input_per_token_usdc": 0.0000001}},
    ],
}  # fmt: skip
REFERENCE: dict[str, Any] = {
    "jecp": "1.0", "engine": "e", "page_size": 50, "has_more": True, "next_cursor": "c2", "third_party_count": 1,
    "capabilities": [
        {"id": "file-chain", "name": "Files", "description": "Chains.", "pricing": {"min": "$0.005", "max": "$0.01"},
         "actions": [{"id": "batch-convert", "name": "Convert", "description": "Many.", "input_schema": {"type": "object"},
                      "price_usdc": 0.005, "payment_methods": ["stripe"]}]}
    ],
    "third_party_capabilities": [
        {"id": "docs/pdf", "namespace": "docs", "name": "PDF", "version": "1.2.0", "description": "Listing.", "tags": ["pdf"],
         "total_calls": 12, "source": "third_party", "actions": [{"id": "render", "payment_methods": ["stripe"]}],
         "manifest": MANIFEST}
    ],
}  # fmt: skip


def read(page: Any) -> CatalogPage:
    return parse_page(json.dumps(page).encode())


def only(page: Any) -> Offer:
    (action,) = read(page).actions
    return action


def by_key(page: CatalogPage) -> dict[str, Offer]:
    return {action.key: action for action in page.actions}


def priced(**pricing: Any) -> Offer:
    return only({"capabilities": [{"id": "a/b", "actions": [{"id": "c", **pricing}]}]})


def test_the_specifications_page_gives_every_action_with_its_price_and_provider() -> None:
    page = read({"jecp": "1.0", "capabilities": [SPEC], "total": 7, "version": "1", "next_cursor": None})
    actions = by_key(page)
    assert list(actions) == ["deepl/translate:text", "deepl/translate:document"]
    text = actions["deepl/translate:text"]
    assert (text.price.amount, text.price.kind.exact, text.payee, text.version) == (500, True, "deepl", "2.1.0")
    assert (text.tier, text.tier_rank, text.extra["payment_methods"]) == ("silver", 1, ["stripe", "x402"])
    assert (text.capability_name, text.capability_description) == ("Translate", "Words.")
    assert actions["deepl/translate:document"].price.amount == 1_500_000
    assert actions["deepl/translate:document"].extra == {
        "new": 1,
        "capability": {"provider": "deepl", "rate_limit_rpm": 30, "region": "eu"},
    }
    assert (page.total, page.next_cursor, page.has_more, page.quarantined) == (7, None, False, ())


def test_the_reference_hubs_page_gives_builtins_and_third_parties_alike() -> None:
    page = read(REFERENCE)
    actions = by_key(page)
    assert list(actions) == ["file-chain:batch-convert", "docs/pdf:render", "docs/pdf:ocr"]
    builtin = actions["file-chain:batch-convert"]
    assert (builtin.payee, builtin.version, builtin.price.amount) == ("", None, 5_000)
    assert builtin.extra == {
        "payment_methods": ["stripe"],
        "capability": {"pricing": {"min": "$0.005", "max": "$0.01"}},
    }
    render = actions["docs/pdf:render"]
    assert (render.price.amount, render.streaming, render.tier, render.timeout_ms) == (
        5_000,
        True,
        "gold",
        60_000,
    )
    assert (render.total_calls, render.tags, render.title) == (12, ("pdf",), "Render")
    assert render.deprecation == Deprecation("deprecated", "2026-12-21T00:00:00Z", "2.0.0")
    assert render.side_effects == {"stores_data": True}
    assert render.examples == ({"input": {}, "output": {}},)
    assert (page.next_cursor, page.has_more) == ("c2", True)


def test_a_metered_action_keeps_its_rates_and_is_not_exact() -> None:
    ocr = by_key(read(REFERENCE))["docs/pdf:ocr"]
    assert (ocr.price.amount, ocr.price.model, ocr.price.kind.exact) == (10_000, PricingModel.PER_TOKEN, False)
    assert str(ocr.price.rates["input_per_token_usdc"]) == "1E-7"


def test_one_capability_by_itself_reads_like_a_page() -> None:
    assert [action.key for action in read(SPEC).actions] == ["deepl/translate:text", "deepl/translate:document"]
    assert len(read({"jecp": "1.0", "capability": SPEC}).actions) == 2


@pytest.mark.parametrize(
    ("pricing", "problem"),
    [
        ({"price_usdc": 0.0000001}, "six decimals"), ({"price_usdc": -1}, "negative"), ({"price_usdc": "free"}, "not an amount"),
        ({"price_usdc": True}, "decimal text"), ({"price_usdc": 10**12}, "exceed"), ({}, "no price"),
        ({"pricing": {"base": "$1", "currency": "JPY"}}, "currency"), ({"pricing": {"base": "$1", "currency": 5}}, "currency"),
        ({"pricing": {"base": None}}, "no price"), ({"pricing": "cheap"}, "no price"),
    ],
)  # fmt: skip
def test_a_price_that_cannot_be_taken_is_unknown_and_says_why(pricing: dict[str, Any], problem: str) -> None:
    price = priced(**pricing).price
    assert price.amount is None
    assert not price.kind.exact
    assert price.problem is not None
    assert problem in price.problem


def test_an_unknown_pricing_model_is_never_exact() -> None:
    price = priced(pricing={"base": "$1", "model": "per_moon"}).price
    assert (price.amount, price.model, price.kind.exact) == (1_000_000, None, False)
    assert "per_moon" in (price.problem or "")


@pytest.mark.parametrize(
    ("entry", "name", "reason"),
    [
        (7, "", "not an object"), ({"actions": []}, "", "no id"), ({"id": "BAD ID", "actions": []}, "BAD ID", "not a capability id"),
        ({"id": "x/y"}, "x/y", "no list of actions"), ({"id": "x/y", "actions": {"a": 1}}, "x/y", "no list of actions"),
        ({"id": "x/y", "actions": [{"id": "NO"}]}, "x/y:NO", "no valid id"), ({"id": "x/y", "actions": [None]}, "x/y:None", "no valid id"),
        ({"id": "x/y", "actions": [{"id": "a"}, {"id": "a"}]}, "x/y:a", "twice"),
        ({"id": "x/y", "actions": [{"id": f"a{n}"} for n in range(501)]}, "x/y", "more than 500"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_set_aside_with_its_reason_and_spoils_nothing_else(entry: Any, name: str, reason: str) -> None:
    page = read({"capabilities": [entry, SPEC]})
    assert {"deepl/translate:text", "deepl/translate:document"} <= set(by_key(page))
    ((where, why),) = page.quarantined
    assert where == name
    assert reason in why


def test_fields_of_the_wrong_kind_are_neither_used_nor_lost() -> None:
    wrong = {
        "description": 5,
        "streaming": "yes",
        "input_schema": [],
        "rate_limit_rpm": -1,
        "examples": "x",
        "sla": "fast",
    }
    action = priced(price_usdc=1, **wrong)
    assert (action.description, action.streaming, action.examples, action.timeout_ms) == (
        "",
        False,
        (),
        None,
    )
    assert action.input_schema == {}
    assert action.extra == wrong


def test_an_unknown_trust_tier_counts_as_the_highest() -> None:
    assert priced(price_usdc=1, trust_tier_required="diamond").tier == "platinum"
    assert priced(price_usdc=1, trust_tier_required="Silver").tier == "silver"


def test_repeated_builtins_merge_by_key_and_of_two_versions_the_best_stays() -> None:
    def version(number: str, status: str = "active") -> dict[str, Any]:
        return {
            "id": "a/b",
            "version": number,
            "deprecation": {"status": status},
            "actions": [{"id": "c", "price_usdc": 1}],
        }

    assert only({"capabilities": [version("1.10.0"), version("1.9.0")]}).version == "1.10.0"
    assert only({"capabilities": [version("1.9.0"), version("2.0.0", "sunset")]}).version == "1.9.0"
    assert only({"capabilities": [{**version("1.0.0"), "id": "a/b@3.0.0", "version": None}]}).version == "3.0.0"
    twice = read({"capabilities": REFERENCE["capabilities"] * 2})
    assert (len(twice.actions), twice.quarantined) == (1, ())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"capabilities":{}}', b'{"third_party_capabilities":1}', b"<html>", b'{"error":{}}']
)
def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        parse_page(body)


def test_a_snapshot_comes_back_without_loss() -> None:
    actions = read(REFERENCE).actions + read({"capabilities": [SPEC]}).actions + (priced(),)
    assert tuple(load_offer(dump_offer(action)[0], "") for action in actions) == actions


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"7", b"[99,[],[]]", b"[2,[1],[null,{}]]", b"[2,7,[]]"])
def test_a_damaged_snapshot_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(WireError):
        load_offer(data, "")


def test_reading_takes_as_many_steps_for_each_action_whether_there_are_a_hundred_or_two_thousand() -> None:
    entries = [
        {**SPEC, "id": f"ns/cap{n}", "actions": [{**SPEC["actions"][0], "id": f"a{m}"} for m in range(10)]}
        for n in range(200)
    ]
    for count in (10, 200):
        body = json.dumps({"capabilities": entries[:count]}).encode()
        assert len(parse_page(body).actions) == 10 * count
        assert steps(lambda body=body: parse_page(body)) < 270 * 10 * count


def test_a_page_of_more_capabilities_or_actions_than_anybody_sells_is_refused() -> None:
    with pytest.raises(WireError, match="more than 20000 capabilities"):
        read({"capabilities": [{}] * 20_001})
    full = [{"id": f"a/b{at}", "actions": [{"id": "x"}, *[{}] * 499]} for at in range(101)]
    with pytest.raises(WireError, match="more than 50000 actions"):
        read({"capabilities": full})

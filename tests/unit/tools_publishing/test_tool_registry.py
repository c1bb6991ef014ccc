"""Which actions are published, as what, and when the list counts as changed."""

import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType

import pytest

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.domain.offers import Deprecation, Offer, Price
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from tests.steps import steps

SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "description": "what"}}, "required": ["text"]}


def action(key: str, **more) -> Offer:
    capability, _, name = key.partition(":")
    return Offer(
        capability, name, capability.partition("/")[0], Price(MicroUSDC(5_000)), "1.0.0", input_schema=SCHEMA, **more
    )


def catalog(*actions: Offer, quarantined: tuple[tuple[str, str], ...] = ()) -> Catalog:
    return Catalog("r", MappingProxyType({one.key: one for one in actions}), quarantined)


A, B, C = action("acme/a:run"), action("acme/b:run"), action("other/c:run")
GONE = action("acme/old:run", deprecation=Deprecation("sunset", None, "acme/a"))


def names(registry: ToolRegistry) -> list[str]:
    return [card.name for card in registry.cards]


def test_auto_publishes_each_action_up_to_the_limit_and_only_pinned_ones_beyond():
    registry = ToolRegistry(ToolSettings(max_tools=2, pinned=("other/*",)))
    assert registry.publish(catalog(A, B))
    assert (registry.mode, names(registry)) == ("direct", ["acme_a_run", "acme_b_run"])
    assert registry.publish(catalog(A, B, C))
    assert (registry.mode, names(registry)) == ("search", ["other_c_run"])


@pytest.mark.parametrize("pin", ["acme_b_run", "acme/b:run", "acme/b:*"])
def test_an_action_is_pinned_by_name_key_or_pattern(pin):
    registry = ToolRegistry(ToolSettings(mode="search", pinned=(pin,)))
    registry.publish(catalog(A, B, C))
    assert names(registry) == ["acme_b_run"]


def test_direct_publishes_all_and_search_none():
    direct, search = ToolRegistry(ToolSettings(mode="direct", max_tools=1)), ToolRegistry(ToolSettings(mode="search"))
    assert direct.publish(catalog(C, A, B))
    assert names(direct) == ["acme_a_run", "acme_b_run", "other_c_run"]
    assert not search.publish(catalog(A, B, C))
    assert search.cards == ()


def test_the_list_changed_exactly_when_a_card_did():
    registry = ToolRegistry(ToolSettings())
    assert registry.publish(catalog(A, B))
    cards = registry.cards
    assert not registry.publish(catalog(A, B))
    assert not registry.publish(catalog(replace(A, total_calls=99), replace(B, extra={"new": 1})))
    assert registry.cards is cards
    assert registry.publish(catalog(replace(A, price=Price(MicroUSDC(6_000))), B))
    assert "0.006" in registry.cards[0].description
    assert registry.publish(catalog(B))
    assert registry.publish(catalog())


def test_what_is_resolved_is_the_current_action_not_the_one_first_seen():
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A))
    newer = replace(A, total_calls=5)
    registry.publish(catalog(newer))
    published = registry.resolve("acme_a_run")
    assert published is not None
    assert published.action is newer


def test_unpublished_actions_are_resolved_and_found_too():
    registry = ToolRegistry(ToolSettings(mode="search"))
    registry.publish(catalog(A, B, C))
    published = registry.resolve("other_c_run")
    assert published is not None
    assert published.card.input_schema["required"] == ["text"]
    assert registry.find("other_c_run") is C
    assert registry.find("other/c:run") is C
    assert registry.find("other/c@1.0.0") is C
    assert registry.find("nothing") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("other/c@1.0.0", C),
        ("other/c@1.0.0:run", C),
        ("other/c:run@1.0.0", C),
        ("other_c_run@1.0.0", C),
        ("other/c@9.9.9", None),
        ("other/c@1.0.1:run", None),
        ("other/c:run@1.0", None),
        ("other_c_run@2.0.0", None),
        ("other/c@", None),
        ("other/c@1.0.0:walk", None),
        ("other/c@1.0.0@1.0.0", None),
    ],
)
def test_a_version_pin_is_met_or_nothing_is_found(text, found):
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, B, C))
    assert registry.find(text) is found


HUBS_OWN = replace(action("stats:count"), payee="")


@pytest.mark.parametrize(
    "text",
    [
        *(f"{start}{joint}run" for start in ("other/c", "other.c") for joint in ":/."),
        *(f"{start}{joint}run@1.0.0" for start in ("other/c", "other.c") for joint in ":/."),
        *(f"{start}@1.0.0{joint}run" for start in ("other/c", "other.c") for joint in ":/."),
        "other.c",
        "other.c@1.0.0",
        "other_c_run",
    ],
)
def test_every_notation_of_an_action_means_it(text):
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, B, C, HUBS_OWN))
    assert registry.find(text) is C
    for wrong in (text.replace("run", "walk"), text.replace("1.0.0", "1.0.1"), f"{text}.run.run"):
        assert wrong == text or registry.find(wrong) is None, wrong


@pytest.mark.parametrize(
    "text", ["stats:count", "stats/count", "stats.count", "stats@1.0.0/count", "stats", "stats_count"]
)
def test_every_notation_means_the_hubs_own_actions_too(text):
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, HUBS_OWN))
    assert registry.find(text) is HUBS_OWN


def test_a_notation_that_means_two_actions_means_none():
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(HUBS_OWN, action("stats/count:all")))
    assert registry.find("stats/count") is None
    assert registry.find("stats:count") is HUBS_OWN
    assert registry.find("stats/count/all").key == "stats/count:all"


def test_a_version_is_never_met_by_an_action_that_has_none():
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(replace(C, version=None)))
    assert registry.find("other/c@1.0.0") is None
    assert registry.find("other/c") is not None
    assert registry.resolve("nothing") is None
    assert registry.name_of(C) == "other_c_run"
    assert registry.name_of(GONE) is None


def test_a_capability_id_means_its_only_action_or_nothing():
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, action("acme/two:x"), action("acme/two:y")))
    assert registry.find("acme/a") is A
    assert registry.find("acme/two") is None


def test_what_is_past_its_sunset_is_not_published_but_found_with_its_successor():
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, GONE))
    assert names(registry) == ["acme_a_run"]
    found = registry.resolve("acme_old_run")
    assert registry.find("acme/old:run") is GONE
    assert found is not None
    assert "No longer sold. Use acme_a_run instead." in found.card.description


def test_what_is_past_its_sunset_does_not_count_towards_the_limit():
    registry = ToolRegistry(ToolSettings(max_tools=1))
    registry.publish(catalog(A, GONE))
    assert registry.mode == "direct"


def test_what_is_set_aside_is_named_with_its_reason_and_not_resolved():
    bad = replace(B, input_schema={"type": "array"})
    registry = ToolRegistry(ToolSettings())
    registry.publish(catalog(A, bad, quarantined=(("acme/x", "no actions"),)))
    assert registry.quarantined == {"acme/x": "no actions", "acme/b:run": "the input schema takes no object"}
    assert registry.resolve("acme_b_run") is None
    assert registry.name_of(bad) is None
    assert registry.find("acme/b:run") is bad
    registry.publish(catalog(A, B))
    assert registry.quarantined == {}
    assert names(registry) == ["acme_a_run", "acme_b_run"]


def test_the_card_carries_price_provider_version_and_honest_hints():
    harmless = {"modifies_state": False, "stores_data": False, "sends_email": False, "external_api_call": True}
    registry = ToolRegistry(ToolSettings())
    free = replace(B, side_effects=harmless, price=replace(B.price, amount=ZERO))
    paid = replace(B, capability="acme/d", side_effects=harmless)
    registry.publish(catalog(A, free, replace(C, side_effects={"sends_email": True}), paid))
    plain, reader, _, sender = registry.cards
    assert plain.meta["jecp/price_usdc"] == "0.005"
    assert plain.meta["jecp/provider"] == "acme"
    assert plain.meta["jecp/version"] == "1.0.0"
    assert not any(card.read_only for card in registry.cards), "a host would run it unasked on its provider's word"
    assert (plain.destructive, reader.destructive, sender.destructive) == (False, False, True)
    assert not any(card.idempotent for card in registry.cards)


def test_publishing_takes_as_many_steps_for_each_action_whether_there_are_forty_or_a_thousand():
    many = [replace(action(f"ns{at}/cap:run"), description=f"Does thing {at}. " * 10) for at in range(1_000)]
    for count in (40, 1_000):
        offered = catalog(*many[:count])
        assert steps(lambda offered=offered: ToolRegistry(ToolSettings(mode="direct")).publish(offered)) < 700 * count


def test_publishing_does_not_load_the_validator_or_the_database():
    code = "import sys, jecp_mcp.tools.publishing.tool_registry; print({'jsonschema_rs', 'apsw', 'httpx2', 'anyio', 'mcp'} & set(sys.modules))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout.strip() == "set()"
